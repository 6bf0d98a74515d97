"""LMDB databases in BasicSR's layout: read, written, and refused with the reason."""

import os
import shutil
import signal
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.data.fingerprint import fingerprint
from srzoo.data.gt_images import GTImages
from srzoo.data.paired import PairedImages
from srzoo.data.storage import database_writer, open_store, read_image
from srzoo.data.storage.database_writer import write_database
from srzoo.images import encode_image, write_image
from srzoo.streams import Purpose, stream
from tests.support import photograph

lmdb = pytest.importorskip("lmdb")


def packed(*words):
    """Run `srzoo data pack --store lmdb`; the exit code."""
    arguments = parse(["data", "pack", "--store", "lmdb", "--workers", "1", *map(str, words)])
    return execute(arguments.run, arguments)


def write_like_basicsr(folder, images):
    """Write key -> pixels as BasicSR's create_lmdb.py does."""
    environment = lmdb.open(str(folder), map_size=2**24)
    with environment.begin(write=True) as transaction, (folder / "meta_info.txt").open("w") as meta:
        for key, pixels in images.items():
            transaction.put(key.encode("ascii"), encode_image(pixels, ".png"))
            height, width, channels = pixels.shape
            meta.write(f"{key}.png ({height},{width},{channels}) 1\n")
    environment.close()


@pytest.fixture
def folders(tmp_path):
    """Three pairs, one in a sub-folder, at x2; a grey one and one of 16 bits among them."""
    forms = {"a": lambda x: x, "sub/grey": lambda x: x[:, :, :1], "deep": lambda x: x.astype(np.uint16) * 257 + 1}
    for number, (key, form) in enumerate(forms.items()):
        write_image(tmp_path / "gt" / f"{key}.png", form(photograph(48, 64, top=9 * number)))
        write_image(tmp_path / "lq" / f"{key}x2.png", form(photograph(24, 32, top=9 * number)))
    return tmp_path


TRAINING = {"scale": 2, "phase": "train", "gt_size": 16, "lq_template": "{}x2", "use_hflip": True, "use_rot": True}


def draws(dataset):
    return [dataset.draw(index, stream(3, Purpose.SAMPLE, 0, index)) for index in range(len(dataset))]


def assert_same(first, second):
    assert [sample["key"] for sample in first] == [sample["key"] for sample in second]
    for a, b in zip(first, second, strict=True):
        for name in ("lq", "gt"):
            torch.testing.assert_close(a[name], b[name], rtol=0, atol=0)


def faults(dataset, full=False):
    return [fault.reason for found in dataset.check(full) for fault in found]


def test_a_database_gives_the_samples_of_its_folder(folders, capsys):
    for kind in ("gt", "lq"):
        assert packed(folders / kind, folders / f"{kind}.lmdb") == 0
    dataset = PairedImages(gt=folders / "gt.lmdb", lq=folders / "lq.lmdb", **TRAINING)
    plain = PairedImages(gt=folders / "gt", lq=folders / "lq", **TRAINING)
    assert_same(draws(dataset), draws(plain))
    assert faults(dataset, full=True) == []
    assert fingerprint(dataset) == fingerprint(plain)
    assert (folders / "gt.lmdb" / "meta_info.txt").read_text().splitlines() == [
        "a.png (48,64,3) 1",
        "deep.png (48,64,3) 1",
        "sub/grey.png (48,64,1) 1",
    ]
    assert packed(folders / "gt", folders / "gt.lmdb", "--verify") == 0
    assert "holds the 3 images" in capsys.readouterr().out


def test_files_of_png_are_stored_as_they_are(folders):
    assert packed(folders / "gt", folders / "gt.lmdb") == 0
    with lmdb.open(str(folders / "gt.lmdb"), readonly=True) as environment, environment.begin() as transaction:
        assert transaction.get(b"sub/grey") == (folders / "gt" / "sub" / "grey.png").read_bytes()


def test_databases_of_basicsr_are_read(folders):
    for kind, end in (("gt", ""), ("lq", "x2")):
        names = [f"a{end}", f"deep{end}", f"sub/grey{end}"]
        images = {name: read_image(folders / kind / f"{name}.png").rgb for name in names}
        write_like_basicsr(folders / f"{kind}.lmdb", images)
    dataset = PairedImages(gt=folders / "gt.lmdb", lq=folders / "lq.lmdb", **TRAINING)
    assert_same(draws(dataset), draws(PairedImages(gt=folders / "gt", lq=folders / "lq", **TRAINING)))
    assert faults(dataset, full=True) == []
    assert fingerprint(dataset) is not None


def test_keys_that_differ_are_named(folders):
    pixels = photograph(48, 64)
    write_like_basicsr(folders / "gt.lmdb", {"a": pixels, "b": pixels})
    write_like_basicsr(folders / "lq.lmdb", {"ax2": pixels[::2, ::2], "cx2": pixels[::2, ::2]})
    found = faults(PairedImages(gt=folders / "gt.lmdb", lq=folders / "lq.lmdb", **TRAINING))
    assert found[0].startswith(f"has no partner bx2.* in {folders / 'lq.lmdb'}")
    assert found[1] == "extra: no GT image belongs to it"
    assert len(found) == 2


def test_a_missing_key_and_a_wrong_size_are_named(folders):
    write_like_basicsr(folders / "gt.lmdb", {"a": photograph(48, 64), "b": photograph(48, 64)})
    meta = folders / "gt.lmdb" / "meta_info.txt"
    meta.write_text(meta.read_text().replace("48,64,3", "48,65,3", 1) + "none.png (48,64,3) 1\n")
    found = faults(GTImages(gt=folders / "gt.lmdb", scale=2, phase="eval"))
    assert found == [
        f"is 48x64 but {meta}:1 says 48x65",
        "key 'none', which meta_info.txt:3 names, is not in data.mdb",
    ]


def test_a_list_that_is_missing_or_broken_is_named(folders):
    write_like_basicsr(folders / "gt.lmdb", {"a": photograph(48, 64)})
    meta = folders / "gt.lmdb" / "meta_info.txt"
    for text, message in (
        (None, "meta_info.txt is missing beside data.mdb"),
        ("a.png (48,64,3) 1\na.png (48,64,3) 1\n", "meta_info.txt:2: a.png is listed twice, in line 1 too"),
        ("a.png\n", "meta_info.txt:1: expected `key.png "),
        ("", "is empty"),
    ):
        meta.unlink(missing_ok=True)
        if text is not None:
            meta.write_text(text)
        with pytest.raises(ValueError, match=message):
            open_store(folders / "gt.lmdb")


def test_a_damaged_database_is_refused(folders):
    write_like_basicsr(folders / "gt.lmdb", {"a": photograph(48, 64)})
    (folders / "gt.lmdb" / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(ValueError, match=r"data\.mdb: not a readable LMDB database"):
        open_store(folders / "gt.lmdb")


def test_a_database_of_another_architecture_is_refused(folders):
    write_like_basicsr(folders / "gt.lmdb", {"a": photograph(48, 64)})
    data = folders / "gt.lmdb" / "data.mdb"
    content = bytearray(data.read_bytes())
    for page in (0, os.sysconf("SC_PAGE_SIZE")):  # of the two first pages, the magic number after 16 bytes
        content[page + 16 : page + 20] = content[page + 16 : page + 20][::-1]
    data.write_bytes(content)
    with pytest.raises(ValueError, match="written on a machine with another byte order: make it again"):
        open_store(folders / "gt.lmdb")


@pytest.mark.parametrize("where", ["database", "journal"])
def test_a_disk_that_fills_up_leaves_a_database_that_continues(folders, monkeypatch, capsys, where):
    def full(*_, **__):
        raise lmdb.DiskError("mdb_txn_commit: No space left on device") if where == "database" else OSError(28, "full")

    monkeypatch.setattr(database_writer, "_COMMIT_IMAGES", 1)
    with monkeypatch.context() as patch:
        if where == "database":
            patch.setattr(database_writer, "key_of_name", full)
            patch.setattr(database_writer, "_refuse_equal_keys", lambda _: None)
        else:
            patch.setattr(database_writer.Journal, "add", full)
        assert packed(folders / "gt", folders / "gt.lmdb") == 2
    assert "the disk is full: make room and run the same command again, it continues" in capsys.readouterr().err
    with pytest.raises(ValueError, match="unfinished"):
        open_store(folders / "gt.lmdb")
    assert packed(folders / "gt", folders / "gt.lmdb", "--verify") == 0


def test_a_database_that_is_written_again_is_read_again(folders):
    write_like_basicsr(folders / "gt.lmdb", {"a": photograph(48, 64)})
    np.testing.assert_array_equal(read_image(folders / "gt.lmdb" / "a.png").rgb, photograph(48, 64))
    shutil.rmtree(folders / "gt.lmdb")
    write_like_basicsr(folders / "gt.lmdb", {"a": photograph(48, 64, top=3)})
    assert open_store(folders / "gt.lmdb") is not None
    np.testing.assert_array_equal(read_image(folders / "gt.lmdb" / "a.png").rgb, photograph(48, 64, top=3))


def test_workers_open_the_database_themselves(folders):
    assert packed(folders / "gt", folders / "gt.lmdb") == 0
    dataset = GTImages(gt=folders / "gt.lmdb", scale=2, phase="eval")
    whole = [dataset[index] for index in range(len(dataset))]  # open in this process too
    assert_same(list(DataLoader(dataset, batch_size=None, num_workers=2)), whole)


@pytest.mark.slow
def test_workers_that_start_with_nothing_open_the_database(folders):
    assert packed(folders / "gt", folders / "gt.lmdb") == 0
    dataset = GTImages(gt=folders / "gt.lmdb", scale=2, phase="eval")
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert_same(list(loader), [dataset[index] for index in range(len(dataset))])


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_database_killed_at_any_moment_is_unfinished_and_continues(folders, monkeypatch, after):
    monkeypatch.setattr(database_writer, "_COMMIT_IMAGES", 1)
    files = {path.relative_to(folders / "gt").as_posix(): path for path in sorted((folders / "gt").rglob("*.png"))}
    out = folders / "x.lmdb"
    child = os.fork()
    if child == 0:
        for number, _ in enumerate(write_database(files, folders / "gt", out, codec="png"), 1):
            if number == after:
                os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with pytest.raises(ValueError, match="unfinished: run the same `srzoo data pack` again"):
        open_store(out)
    assert packed(folders / "gt", out, "--verify") == 0
    assert len(GTImages(gt=out, scale=2, phase="eval")) == 3


def test_the_map_grows(folders, monkeypatch):
    monkeypatch.setattr(database_writer, "_FIRST_SIZE", 2**14)
    assert packed(folders / "gt", folders / "gt.lmdb", "--verify") == 0


def test_a_database_older_than_its_folder_is_noticed(folders):
    assert packed(folders / "gt", folders / "gt.lmdb") == 0
    write_image(folders / "gt" / "a.png", photograph(48, 64, top=5))
    (reason,) = faults(GTImages(gt=folders / "gt.lmdb", scale=2, phase="eval"))
    assert "older than its folder" in reason
    assert packed(folders / "gt", folders / "gt.lmdb") == 2
    assert packed(folders / "gt", folders / "gt.lmdb", "--overwrite") == 0
    assert faults(GTImages(gt=folders / "gt.lmdb", scale=2, phase="eval")) == []


def test_equal_keys_and_raw_pixels_are_refused(folders, capsys):
    write_image(folders / "gt" / "a.jpg", photograph(48, 64))
    assert packed(folders / "gt", folders / "gt.lmdb") == 2
    assert "a.jpg and a.png have one key" in capsys.readouterr().err
    assert packed(folders / "lq", folders / "gt.lmdb", "--codec", "raw") == 2
    assert "--codec png" in capsys.readouterr().err


def test_without_lmdb_the_package_is_named(folders, monkeypatch):
    assert packed(folders / "gt", folders / "gt.lmdb") == 0
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ModuleNotFoundError, match="pip install lmdb"):
        GTImages(gt=folders / "gt.lmdb", scale=2, phase="eval")[0]
