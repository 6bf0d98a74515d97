"""Caches of decoded images: the same samples, the right choice, one pack for all."""

import logging
import os
import shutil

import pytest
import torch

from srzoo.data import cache
from srzoo.data.gt_images import GTImages
from srzoo.data.paired import PairedImages
from srzoo.images import write_image
from srzoo.streams import Purpose, stream
from tests.support import photograph, write_photographs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    for number in range(3):
        write_image(tmp_path / "gt" / f"{number}.png", photograph(96, 120, top=20 * number))
        write_image(tmp_path / "lq" / f"{number}.png", photograph(48, 60, top=20 * number))
    return tmp_path


def paired(folder, **options):
    return PairedImages(gt=folder / "gt", lq=folder / "lq", scale=2, phase="train", gt_size=32, use_rot=True, **options)


def draws(dataset):
    return [dataset.draw(index, stream(3, Purpose.SAMPLE, 0, index)) for index in range(len(dataset))]


@pytest.mark.parametrize("kind", ["auto", "ram", "disk", "none", True, False])
def test_samples_are_the_same_with_any_cache(folder, kind):
    expected, dataset = draws(paired(folder)), paired(folder, cache=kind)
    for _ in range(2):
        for ours, plain in zip(draws(dataset), expected, strict=True):
            assert torch.equal(ours["gt"], plain["gt"])
            assert torch.equal(ours["lq"], plain["lq"])


def test_a_disk_cache_is_written_once_and_follows_the_files(folder, monkeypatch):
    def refused(*_, **__):
        raise AssertionError("read or written again")

    paired(folder, cache="disk")
    packs = folder / "user" / "srzoo" / "packs"
    assert len(list(packs.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(cache.Packing, "write", refused)
        patch.setattr("srzoo.data.imageset.read_image", refused)
        draws(paired(folder, cache="disk"))
    write_image(folder / "gt" / "0.png", photograph(96, 120, top=3))
    dataset = paired(folder, cache="disk")
    assert len(list(packs.iterdir())) == 2
    assert torch.equal(draws(dataset)[0]["gt"], draws(paired(folder))[0]["gt"])


def test_ranks_write_one_pack(folder):
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            draws(paired(folder, cache="disk"))
            os._exit(0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert len(list((folder / "user" / "srzoo" / "packs").iterdir())) == 1


@pytest.mark.parametrize(
    ("memory", "disk", "quick", "expected"),
    [(10**9, 0, 0.0, "ram"), (10**3, 10**9, 0.0, "disk"), (10**3, 10**3, 0.0, "none"), (10**9, 10**9, 10.0, "none")],
)
def test_auto_measures_decides_and_says_so(folder, monkeypatch, caplog, memory, disk, quick, expected):
    monkeypatch.setattr(cache, "free_memory", lambda: memory)
    monkeypatch.setattr(cache, "_free_disk", lambda _: disk)
    monkeypatch.setattr(cache, "_QUICK", quick)
    files = sorted((folder / "gt").iterdir())
    with caplog.at_level(logging.INFO, "srzoo"):
        assert cache.chosen_cache(files, "auto", 2) == expected
    (line,) = caplog.messages
    assert line.startswith("cache: auto: 3 images take ")
    assert f": {expected} (" in line
    (folder / "gt" / "0.png").write_bytes(b"")
    assert cache.chosen_cache(files, "auto", 2) == "none"  # the check of all files reports it


def test_memory_is_left_for_others(folder, monkeypatch):
    monkeypatch.setattr("srzoo.data.imageset.free_memory", lambda: 0)
    dataset = paired(folder, cache="ram")
    draws(dataset)
    assert dataset._cache == {}


def test_a_full_disk_is_refused_before_writing(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**3))
    with pytest.raises(OSError, match="are free"):
        paired(folder, cache="disk")


def test_sources_of_several_folders_are_cached_together(folder):
    write_photographs(folder / "more", 2)
    sources = {"a": {"gt": folder / "gt"}, "b": {"gt": folder / "more"}}
    from srzoo.data.gt_images import Source

    made = {name: Source(**source) for name, source in sources.items()}
    options = {"scale": 2, "phase": "train", "gt_size": 32, "sources": made}
    for ours, plain in zip(draws(GTImages(cache="disk", **options)), draws(GTImages(**options)), strict=True):
        assert torch.equal(ours["gt"], plain["gt"])
