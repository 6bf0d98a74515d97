"""Writing of packs: at any moment a pack is complete, or known to be unfinished and continued."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from srzoo.cli import parse
from srzoo.data.gt_images import GTImages
from srzoo.data.storage import journal, open_store, pack_writer, packing
from srzoo.data.storage.journal import JOURNAL
from srzoo.data.storage.pack_writer import write_pack
from tests.data.packs import assert_same, draws, packed, write_folder
from tests.support import ROOT, all_ended, write_photographs


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "gt")


def test_webp_holds_8_bits_without_loss(folder, tmp_path, capsys):
    assert packed(folder, tmp_path / "p", "--codec", "webp") == 2
    assert "deep.png: WebP holds 8 bits" in capsys.readouterr().err
    (folder / "deep.png").unlink()
    assert packed(folder, tmp_path / "p", "--codec", "webp") == 0  # continues with the others
    options = {"scale": 2, "phase": "train", "gt_size": 32}
    assert_same(draws(GTImages(gt=tmp_path / "p", **options)), draws(GTImages(gt=folder, **options)))


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


def test_all_files_that_cannot_be_used_are_named_at_once(folder, tmp_path, capsys):
    for name in ("empty.png", "sub/text.png"):
        (folder / name).write_bytes(b"no image" * ("text" in name))
    (folder / "cut.png").write_bytes((folder / "00.png").read_bytes()[:2000])
    (folder / "00.jpg").unlink()  # a database has one image of a key
    for words in (["--dry-run"], [], ["--store", "lmdb"]):
        assert packed(folder, tmp_path / "".join(["p", *words]), *words) == 2
        error = capsys.readouterr().err
        assert "3 image(s) could not be used" in error
        assert all(f"{folder / name}: " in error for name in ("empty.png", "sub/text.png", "cut.png"))
    assert not (tmp_path / "p--dry-run").exists()


@pytest.mark.parametrize("action", ["info", "make-lr", "subimages", "pack", "check"])
@pytest.mark.parametrize("number", ["-1", "2.5", "many"])
def test_a_wrong_number_of_workers_is_refused(action, number, capsys):
    words = {"make-lr": ["gt", "out", "--scale", "2"], "info": ["gt"], "check": ["-opt", "x.yml"]}
    with pytest.raises(SystemExit) as end:
        parse(["data", action, *words.get(action, ["gt", "out"]), f"--workers={number}"])
    assert end.value.code == 2
    assert "expected a number of processes, 0 for one per core" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("store", ["mmap", "lmdb"])
def test_a_killed_pack_leaves_no_worker_and_continues_at_once(tmp_path, store):
    write_photographs(tmp_path / "gt", 1, 120, 120)
    for number in range(600):
        shutil.copy(tmp_path / "gt" / "00.png", tmp_path / "gt" / f"copy{number}.png")
    words = ["data", "pack", tmp_path / "gt", tmp_path / "out", "--store", store, "--codec", "webp", "--workers", "2"]
    command = [sys.executable, "-m", "srzoo.cli", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    file = tmp_path / "out" / JOURNAL
    while not (file.is_file() and len(file.read_bytes().splitlines()) > 2):  # workers have made images
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not all_ended(process.pid, 0)
    with pytest.raises(ValueError, match="unfinished"):
        open_store(tmp_path / "out")
    assert packed(*words[2:4], "--store", store, "--codec", "webp", "--verify") == 0
    assert all_ended(process.pid, 10)


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
