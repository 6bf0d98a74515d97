"""Atomic writes: the whole file or none."""

import errno

import pytest

from srzoo.atomic import write_atomic, write_text


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "weights.bin"
    write_text(target, "good")

    def fills_the_disk(file):
        file.write(b"half of ")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(
        OSError, match=r"could not write .*weights.bin: No space left on device; an earlier file is intact"
    ):
        write_atomic(target, fills_the_disk)
    assert target.read_text() == "good"
    assert list(tmp_path.iterdir()) == [target]


def test_interruption_leaves_nothing(tmp_path):
    def interrupted(file):
        file.write(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "new", interrupted)
    assert not list(tmp_path.iterdir())
