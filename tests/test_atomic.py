"""Atomic writes: the whole file or none."""

import errno
import os

import pytest

from srzoo.atomic import write_atomic, write_text


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "weights.bin"
    write_text(target, "good")

    def fills_the_disk(file):
        file.write(b"half of ")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        OSError, match=r"could not write .*weights.bin: No space left on device; the earlier file is intact"
    ):
        write_atomic(target, fills_the_disk)
    assert target.read_text() == "good"
    with pytest.raises(OSError, match=r"could not write .*new.bin: No space left on device$"):
        write_atomic(tmp_path / "new.bin", fills_the_disk)
    assert list(tmp_path.iterdir()) == [target]


def test_interruption_leaves_nothing(tmp_path):
    def interrupted(file):
        file.write(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "new", interrupted)
    assert not list(tmp_path.iterdir())


def test_missing_folders_are_created_and_files_get_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "new" / "folder" / "notes.txt", "grün")
        assert os.umask(0o027) == 0o027, "the umask is left as it was"
    finally:
        os.umask(before)
    written = tmp_path / "new" / "folder" / "notes.txt"
    assert written.read_text(encoding="utf-8") == "grün"
    assert written.stat().st_mode & 0o777 == 0o640
