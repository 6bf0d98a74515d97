"""Hashes of files: kept across runs outside the data, as long as the files stay the same."""

import hashlib
import json
import os
import time

import pytest

from srzoo.data import hashes
from srzoo.data.hashes import file_hashes


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Folder of the cache, which keeps files of any size."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "WORTH_KEEPING", 1)
    return tmp_path / "cache" / "srzoo" / "hashes"


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "data" / "a.png"
    path.parent.mkdir()
    path.write_bytes(b"first")
    age(path, 60)
    return path


def age(path, seconds):
    then = time.time_ns() - seconds * 10**9
    os.utime(path, ns=(then, then))


def count_reads(monkeypatch):
    """Forget what this process has read; return a list that grows with every file that is read."""
    hashes._file_hash.cache_clear()
    read = []
    monkeypatch.setattr(
        hashes, "sha256", lambda path: read.append(path) or hashlib.sha256(path.read_bytes()).hexdigest()
    )
    return read


@pytest.mark.usefixtures("cache")
def test_unchanged_files_are_read_once_across_runs(image, monkeypatch):
    first = file_hashes([image])
    assert first == {image: hashlib.sha256(b"first").hexdigest()}
    assert [path.name for path in image.parent.iterdir()] == ["a.png"]
    read = count_reads(monkeypatch)
    assert file_hashes([image]) == first
    assert read == []
    image.write_bytes(b"other")
    assert file_hashes([image]) == {image: hashlib.sha256(b"other").hexdigest()}
    assert read == [image]


def test_files_that_have_just_changed_and_small_folders_are_not_kept(cache, image, monkeypatch):
    age(image, 0)
    file_hashes([image])
    assert json.loads(next(cache.iterdir()).read_text()) == {}
    next(cache.iterdir()).unlink()
    age(image, 60)
    monkeypatch.setattr(hashes, "WORTH_KEEPING", 100)
    file_hashes([image])
    assert not list(cache.iterdir())


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"a.png": 3}', b'{"a.png": [5, 6]}', b"\xff\0"])
def test_a_broken_cache_is_ignored(cache, image, monkeypatch, content):
    expected = file_hashes([image])
    next(cache.iterdir()).write_bytes(content)
    read = count_reads(monkeypatch)
    assert file_hashes([image]) == expected
    assert read == [image]


@pytest.mark.usefixtures("cache")
def test_a_cache_that_cannot_be_written_is_ignored(image, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert file_hashes([image]) == {image: hashlib.sha256(b"first").hexdigest()}
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "cache"))
    assert file_hashes([image]) == {image: hashlib.sha256(b"first").hexdigest()}
