"""Packs: the samples of their folders, whatever the files; never half of one."""

import errno
import json
import os
import shutil
import signal
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.data import names as names_module
from srzoo.data.fingerprint import fingerprint
from srzoo.data.gt_images import GTImages
from srzoo.data.lq_images import LQImages
from srzoo.data.paired import PairedImages
from srzoo.data.storage import journal, open_store, pack, pack_index, pack_writer, packing, read_image
from srzoo.data.storage.pack_writer import write_pack
from srzoo.engine.inputs import encoded
from srzoo.images import write_image
from srzoo.inputs import inputs_of
from srzoo.options import load_options
from srzoo.state import load_state
from srzoo.streams import Purpose, stream
from tests.support import photograph, run_train, training_options, write_options, write_photographs


def packed(*words):
    """Run `srzoo data pack`; the exit code."""
    arguments = parse(["data", "pack", "--workers", "1", *map(str, words)])
    return execute(arguments.run, arguments)


@pytest.fixture
def folder(tmp_path):
    """Images of several kinds, one in a sub-folder: RGB, grey, 16 bits, alpha, JPEG, a turned one, an array."""
    gt = tmp_path / "gt"
    write_photographs(gt, 2, 48, 64)
    write_image(gt / "sub" / "grey.png", photograph(48, 64)[:, :, :1])
    write_image(gt / "deep.png", photograph(48, 64).astype(np.uint16) * 257 + 3)
    write_image(gt / "alpha.png", np.dstack([photograph(48, 64), photograph(48, 64)[..., :1]]))
    write_image(gt / "00.jpg", photograph(48, 64))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(photograph(64, 48)).save(gt / "turned.jpg", exif=exif)
    np.save(gt / "array.npy", photograph(50, 70))
    return gt


def draws(dataset, count=2):
    return [
        dataset.draw(index, stream(3, Purpose.SAMPLE, number, index))
        for index in range(len(dataset))
        for number in range(count)
    ]


def assert_same(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a["key"] == b["key"]
        for name in a.keys() - {"key"}:
            torch.testing.assert_close(a[name], b[name], rtol=0, atol=0)


@pytest.mark.parametrize("words", [(), ("--codec", "png"), ("--shard-size", "0.01MB")], ids=["raw", "png", "shards"])
@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_a_pack_has_keys_order_and_samples_of_its_folder(folder, tmp_path, words, color):
    assert packed(folder, tmp_path / "p", *words) == 0
    options = {"scale": 2, "phase": "train", "gt_size": 32, "use_hflip": True, "use_rot": True, "color": color}
    ours, theirs = GTImages(gt=tmp_path / "p", **options), GTImages(gt=folder, **options)
    assert [pair.key for pair in ours.pairs] == [pair.key for pair in theirs.pairs]
    assert "sub/grey" in [pair.key for pair in ours.pairs]
    assert {"00.png", "00.jpg"} <= {pair.key for pair in ours.pairs}  # differ by their suffixes alone
    assert_same(draws(ours), draws(theirs))
    assert_same([ours[index] for index in range(len(ours))], [theirs[index] for index in range(len(theirs))])
    assert [fault for found in ours.check(full=True) for fault in found] == []
    assert fingerprint(ours) == fingerprint(theirs) is not None


def test_webp_holds_8_bits_without_loss(folder, tmp_path, capsys):
    assert packed(folder, tmp_path / "p", "--codec", "webp") == 2
    assert "deep.png: WebP holds 8 bits" in capsys.readouterr().err
    (folder / "deep.png").unlink()
    assert packed(folder, tmp_path / "p", "--codec", "webp") == 0  # continues with the others
    options = {"scale": 2, "phase": "train", "gt_size": 32}
    assert_same(draws(GTImages(gt=tmp_path / "p", **options)), draws(GTImages(gt=folder, **options)))


def test_pairs_of_packs_and_folders_match_by_template(tmp_path):
    for number in range(3):
        write_image(tmp_path / "gt" / "a" / f"{number}_HR.png", photograph(48, 64, top=9 * number))
        write_image(tmp_path / "lq" / "a" / f"{number}x2.png", photograph(24, 32, top=9 * number))
    assert packed(tmp_path / "gt", tmp_path / "gt.pack") == packed(tmp_path / "lq", tmp_path / "lq.pack") == 0
    options = {"scale": 2, "phase": "train", "gt_size": 16, "gt_template": "{}_HR", "lq_template": "{}x2"}
    folders = PairedImages(gt=tmp_path / "gt", lq=tmp_path / "lq", **options)
    for gt, lq in (("gt.pack", "lq.pack"), ("gt", "lq.pack"), ("gt.pack", "lq")):
        dataset = PairedImages(gt=tmp_path / gt, lq=tmp_path / lq, **options)
        assert_same(draws(dataset), draws(folders))
        assert [fault for found in dataset.check(full=True) for fault in found] == []
    meta = tmp_path / "meta.txt"
    meta.write_text("a/1_HR.png (48,64,3)\na/2_HR.png (48,63,3)\na/9_HR.png\n")
    dataset = PairedImages(gt=tmp_path / "gt.pack", lq=tmp_path / "lq.pack", meta_info=meta, **options)
    reasons = [fault.reason for found in dataset.check(full=False) for fault in found]
    assert len(reasons) == 2
    assert "meta.txt:3 but missing" in reasons[0]
    assert "is 48x64 but" in reasons[1]
    (tmp_path / "pairs.txt").write_text("lq.pack/a/1x2.png gt.pack/a/1_HR.png\n")
    listed = PairedImages(pairs=tmp_path / "pairs.txt", scale=2, phase="train", gt_size=16)
    torch.testing.assert_close(listed[0]["lq"], folders[1]["lq"])


def test_a_crop_is_a_view_of_the_shard(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    pixels = read_image(tmp_path / "p" / "01.png").rgb
    assert not pixels.flags.owndata
    assert not pixels.flags.writeable
    assert isinstance(pixels.base, pack.mmap.mmap)


def test_pages_that_are_given_back_are_read_again(folder, tmp_path, monkeypatch):
    assert packed(folder, tmp_path / "p") == 0
    before = read_image(tmp_path / "p" / "01.png").rgb
    monkeypatch.setattr(pack, "_MAPPED", 0)
    after = read_image(tmp_path / "p" / "00.png").rgb
    assert np.array_equal(before, read_image(folder / "01.png").rgb)
    assert np.array_equal(after, read_image(folder / "00.png").rgb)


def test_packs_are_read_by_workers(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    dataset = GTImages(gt=tmp_path / "p", scale=2, phase="eval")
    in_workers = list(DataLoader(dataset, batch_size=None, num_workers=2))
    assert_same(in_workers, [dataset[index] for index in range(len(dataset))])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_packs_are_read_by_workers_that_start_with_nothing(folder, tmp_path, method):
    assert packed(folder, tmp_path / "p") == 0
    dataset = GTImages(gt=tmp_path / "p", scale=2, phase="eval")
    in_workers = list(DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context=method))
    assert_same(in_workers, [dataset[index] for index in range(len(dataset))])


def test_a_complete_pack_is_left_as_it_is(folder, tmp_path, capsys):
    assert packed(folder, tmp_path / "p") == 0
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "p").iterdir()}
    os.utime(folder / "01.png", ns=(1, 1))  # copied without its time
    assert packed(folder, tmp_path / "p", "--verify") == 0
    assert "holds the 8 images" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "p").iterdir()} == before
    assert packed(folder, tmp_path / "p", "--codec", "png") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert packed(folder, tmp_path / "p", "--codec", "png", "--overwrite") == 0
    store: Any = open_store(tmp_path / "p")
    assert store.index.codec == "png"


def test_sizes_and_paths_that_are_wrong_are_named(folder, tmp_path, capsys):
    assert [packing.shard_bytes(text) for text in ("4GB", "0.5mb", "1TB")] == [4 * 10**9, 500_000, 10**12]
    for size in ("4", "GB", "-1 GB", "0KB", "4 apples"):
        assert packed(folder, tmp_path / "p", f"--shard-size={size}") == 2
        assert "expected a size" in capsys.readouterr().err
    assert packed(folder, "--verify") == 2
    assert "is neither a pack nor an LMDB database" in capsys.readouterr().err
    assert packed(folder, tmp_path / "p") == packed(folder, tmp_path / "p") == 0
    assert packed(tmp_path / "p", tmp_path / "q") == 2
    assert "is a store already" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(folder, tmp_path, capsys):
    assert packed(folder, tmp_path / "p", "--dry-run") == 0
    assert "8 images" in capsys.readouterr().out
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("commit", [1, 2, 100])
@pytest.mark.parametrize("after", [1, 3, 5, 8])
def test_a_pack_killed_at_any_moment_is_unfinished_and_continues(folder, tmp_path, monkeypatch, after, commit):
    monkeypatch.setattr(pack_writer, "_COMMIT_IMAGES", commit)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.*"))}
    child = os.fork()
    if child == 0:
        for number, _ in enumerate(write_pack(files, folder, tmp_path / "p", codec="raw", shard_size=30_000), 1):
            if number == after:
                os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with pytest.raises(ValueError, match="unfinished: run the same `srzoo data pack` again"):
        open_store(tmp_path / "p")
    with (tmp_path / "p" / "unfinished.jsonl").open("a") as journal:
        journal.write('{"name": "cut o')
    assert len(list(write_pack(files, folder, tmp_path / "p", codec="raw", shard_size=30_000))) == 8
    list(write_pack(files, folder, tmp_path / "whole", codec="raw", shard_size=30_000))
    shards = sorted(path.name for path in (tmp_path / "whole").glob("shard*"))
    assert len(shards) > 2
    for name in shards:
        assert (tmp_path / "p" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert packed(tmp_path / "p", "--verify") == 0


def test_a_killed_index_leaves_the_pack_unfinished(folder, tmp_path, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    files = {path.name: path for path in sorted(folder.glob("*.*"))}
    monkeypatch.setattr(pack_writer, "write_index", killed)
    with pytest.raises(KeyboardInterrupt):
        list(write_pack(files, folder, tmp_path / "p", codec="raw", shard_size=30_000))
    with pytest.raises(ValueError, match="unfinished"):
        open_store(tmp_path / "p")


def test_lost_bytes_of_a_shard_are_written_again(folder, tmp_path, capsys):
    (folder / "zz.png").write_bytes(b"no image")
    files = {path.name: path for path in sorted(folder.glob("*.*"))}
    with pytest.raises(ValueError, match=r"zz\.png: not a readable image"):
        list(write_pack(files, folder, tmp_path / "p", codec="raw", shard_size=10**9))
    os.truncate(tmp_path / "p" / "shard-00000.bin", 20_000)  # a power failure
    files.pop("zz.png")
    list(write_pack(files, folder, tmp_path / "p", codec="raw", shard_size=10**9))
    assert packed(tmp_path / "p", "--verify") == 0
    assert "7 images are whole" in capsys.readouterr().out


def test_two_writers_of_one_pack_do_not_meet(folder, tmp_path):
    files = {path.name: path for path in sorted(folder.glob("*.*"))}
    first = write_pack(files, folder, tmp_path / "p", codec="raw", shard_size=10**9)
    next(first)
    with pytest.raises(ValueError, match="another process is writing"):
        next(write_pack(files, folder, tmp_path / "p", codec="raw", shard_size=10**9))
    list(first)
    assert packed(tmp_path / "p", "--verify") == 0


def test_a_writer_that_comes_late_leaves_the_pack_alone(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    (tmp_path / "p" / "unfinished.jsonl").touch()  # opened just after the first writer removed its journal
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "p").glob("[is]*")}
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.*"))}
    assert len(list(write_pack(files, folder, tmp_path / "p", codec="raw", shard_size=4 * 10**9))) == 8
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "p").iterdir()} == before


def test_a_file_system_without_locks_is_written_to_with_a_warning(folder, tmp_path, monkeypatch, caplog):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(journal.fcntl, "flock", no_locks)
    assert packed(folder, tmp_path / "p", "--verify") == 0
    assert "has no locks" in caplog.text


def test_names_of_any_bytes_are_kept(folder, tmp_path):
    (folder / "01.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    assert packed(folder, tmp_path / "p", "--verify") == 0
    keys = [[pair.key for pair in GTImages(gt=path, scale=2, phase="eval").pairs] for path in (folder, tmp_path / "p")]
    assert keys[0] == keys[1]
    assert os.fsdecode(b"caf\xe9") in keys[1]


def test_other_folders_are_not_written_to(folder, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert packed(folder, tmp_path / "mine") == 2
    assert packed(folder, tmp_path / "mine", "--overwrite") == 2
    assert "is not empty" in capsys.readouterr().err
    assert packed(folder, folder / "p") == 2
    assert "lies in the folder to pack" in capsys.readouterr().err
    assert packed(tmp_path / "none", tmp_path / "p") == 2
    assert packed(folder) == 2
    assert "--verify" in capsys.readouterr().err


def test_a_full_disk_is_foreseen(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 50_000))
    assert packed(folder, tmp_path / "p") == 2
    assert "only 0.00 GB are free" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_a_disk_that_fills_up_leaves_a_pack_that_continues(folder, tmp_path, monkeypatch, capsys):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pack_writer.os, "fsync", full)
        assert packed(folder, tmp_path / "p") == 2
    monkeypatch.setattr(pack_writer, "_COMMIT_IMAGES", 2)
    with monkeypatch.context() as patch:
        patch.setattr(pack_writer._ShardWriter, "commit", lambda _: full(0))
        assert packed(folder, tmp_path / "p") == 2
    assert "the disk is full; 0 of 8 images are packed" in capsys.readouterr().err
    assert packed(folder, tmp_path / "p", "--verify") == 0


def test_a_pack_older_than_its_folder_is_noticed(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0

    def faults():
        dataset = GTImages(gt=tmp_path / "p", scale=2, phase="eval")
        return [fault.reason for found in dataset.check(full=False) for fault in found]

    os.utime(folder / "01.png", ns=(1, 1))
    assert faults() == []
    write_image(folder / "00.png", photograph(48, 64, top=3))
    write_image(folder / "new.png", photograph(48, 64, top=3))
    (reason,) = faults()
    assert "older than its folder" in reason
    assert "1 changed, 00.png first; 1 new, new.png first" in reason
    shutil.move(tmp_path, tmp_path.with_name("moved"))  # both move: the folder is found beside the pack
    shutil.copytree(tmp_path.with_name("moved"), tmp_path)
    assert len(faults()) == 1
    shutil.rmtree(tmp_path.with_name("moved"))
    shutil.rmtree(folder)
    assert faults() == []


def change(path, place, content):
    with path.open("r+b") as file:
        file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
        file.write(content)


def test_a_damaged_index_is_refused(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    index = tmp_path / "p" / "index.srzoo"
    whole = index.read_bytes()
    # Magic word, description, names, places.
    names = whole.index(b"00.jpg00.png")
    for place in (3, 60, names, names + 200):
        change(index, place, b"\xee")
        with pytest.raises(ValueError, match=r"index.srzoo: (not the index|the index of this pack is damaged)"):
            open_store(tmp_path / "p")
        index.write_bytes(whole)
    index.write_bytes(whole[:20])
    with pytest.raises(ValueError, match="truncated"):
        open_store(tmp_path / "p")
    index.write_bytes(whole)
    change(index, -80, b"\xee")  # checksums of contents are compared when they are used
    with pytest.raises(ValueError, match="damaged"):
        fingerprint(GTImages(gt=tmp_path / "p", scale=2, phase="eval"))


def test_damaged_pixels_are_found(folder, tmp_path, capsys):
    assert packed(folder, tmp_path / "p") == 0
    shard = tmp_path / "p" / "shard-00000.bin"
    change(shard, 100, b"\x12\x34\x56")
    assert packed(tmp_path / "p", "--verify") == 2
    assert "1 of 8 images are damaged" in capsys.readouterr().err
    dataset = GTImages(gt=tmp_path / "p", scale=2, phase="eval")
    found = [(fault.file.name, fault.reason) for found in dataset.check(full=True) for fault in found]
    assert found == [("00.jpg", "damaged in shard-00000.bin (its checksum differs)")]
    os.truncate(shard, 5000)
    with pytest.raises(ValueError, match="has 5000 of"):
        open_store(tmp_path / "p")
    shard.unlink()
    with pytest.raises(ValueError, match="is missing"):
        open_store(tmp_path / "p")


def test_another_byte_order_or_version_is_refused(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    index = tmp_path / "p" / "index.srzoo"
    content = index.read_bytes()
    length = struct.unpack_from("<I", content, 8)[0]
    head = json.loads(content[44 : 44 + length])
    for change in ({"byte_order": "big"}, {"version": 2}):
        text = json.dumps(head | change).encode()
        index.write_bytes(
            pack_index._START.pack(pack_index._MAGIC, len(text), pack_index.hashlib.sha256(text).digest()) + text
        )
        with pytest.raises(ValueError, match="version 1 with little-endian numbers"):
            open_store(tmp_path / "p")


def test_images_beyond_max_pixels_are_refused(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    with pytest.raises(ValueError, match=r"data.max_pixels"):
        read_image(tmp_path / "p" / "01.png", 1000)
    with pytest.raises(FileNotFoundError, match="does not exist in this pack"):
        read_image(tmp_path / "p" / "none.png")


def test_names_are_found_in_large_and_small_packs(monkeypatch):
    names = sorted({f"{n % 7}/{n:03}.png" for n in range(200)} | {"a-b/0.png", "a/0.png", "b.png"}, key=Path)
    text = "".join(names).encode()
    found = names_module.Names(np.frombuffer(text, np.uint8), np.cumsum([len(name) for name in names]))
    assert list(found) == names == found[:]
    for small in (0, 1000):
        monkeypatch.setattr(names_module, "_SMALL", small)
        assert [found.find(name) for name in names] == list(range(len(names)))
        assert found.find("a") is found.find("zzz") is found.find("") is None


def test_training_images_in_a_packed_validation_set_are_found(tmp_path, capsys):
    options = training_options(tmp_path)
    shutil.copy(tmp_path / "train" / "01.png", tmp_path / "val" / "again.png")
    assert packed(tmp_path / "train", tmp_path / "packed") == 0
    options["datasets"]["train"]["gt"] = str(tmp_path / "packed")
    assert run_train(write_options(tmp_path / "x.yml", options)) == 2
    assert "is also in val/held_out" in capsys.readouterr().err


def test_a_training_on_a_pack_equals_that_on_its_folder(tmp_path):
    options = training_options(tmp_path)
    assert packed(tmp_path / "train", tmp_path / "packed") == 0
    file = write_options(tmp_path / "x.yml", options)
    on_pack = f"datasets.train.gt={tmp_path / 'packed'}"
    assert run_train(file) == 0
    assert run_train(file, on_pack, "name=on_pack") == 0
    # A state of one continues on the other: they are the same data.
    assert run_train(file, "train.total_iter=2", "name=both") == 0
    assert run_train(file, on_pack, "name=both", resume="auto") == 0
    states = [load_state(tmp_path / "experiments" / name / "states" / "4.state") for name in ("run", "on_pack", "both")]
    for state in states[1:]:
        torch.testing.assert_close(state["model"], states[0]["model"], rtol=0, atol=0)
    resolved = load_options(file, [on_pack]).options
    gt = {"gt_size": 32, "scale": 2, "phase": "train"}
    assert encoded(inputs_of(resolved, GTImages(gt=tmp_path / "packed", **gt))) == encoded(
        inputs_of(load_options(file).options, GTImages(gt=tmp_path / "train", **gt))
    )


def test_lq_images_of_a_pack_are_written(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    dataset = LQImages(lq=tmp_path / "p", scale=1, phase="eval")
    for index, pair in enumerate(dataset.pairs):
        dataset.write_output(index, dataset[index]["lq"], tmp_path / "out" / f"{pair.key}.png")
        ours, packed_image = read_image(tmp_path / "out" / f"{pair.key}.png").rgb, read_image(pair.main_file).rgb
        np.testing.assert_array_equal(ours, packed_image)


def test_the_images_of_a_pack_are_listed_when_they_are_asked_for(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    pairs = GTImages(gt=tmp_path / "p", scale=2, phase="eval").pairs
    assert not isinstance(pairs, list)
    assert pairs[-1].key == "turned"
    assert [pair.key for pair in pairs[1:3]] == ["00.png", "01"]
    with pytest.raises(IndexError):
        pairs[8]
