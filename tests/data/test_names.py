"""Names and paths in arrays: the texts that went in, found and shared; listings of a million images take no objects."""

import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from srzoo.data import names as names_module
from srzoo.data import shared
from srzoo.data.gt_images import GTImages, Source
from srzoo.data.lists import _resolved
from srzoo.data.names import Names, PathsBuilder, suffix_of, without_suffix
from srzoo.data.shared import SharedArray
from srzoo.data.sources import WeightedCandidates
from srzoo.data.storage.folder import names_below
from tests.support import write_photographs

# More than are decoded at a time; some are no ASCII, one is no text.
TEXTS = [f"n{number % 7}/{number:05}.png" for number in range(5000)] + ["grün.png", "caf\udce9.png", "z/ä/b.jpg"]


def test_names_read_as_they_were_put_in():
    names = Names.of(TEXTS)
    assert list(names) == TEXTS == names[:]
    assert names[-1] == TEXTS[-1]
    assert names[4999:5002] == TEXTS[4999:5002]
    with pytest.raises(IndexError):
        names[len(TEXTS)]
    assert list(Names.of([])) == []
    assert list(pickle.loads(pickle.dumps(names))) == TEXTS


def test_names_are_found_in_large_and_small_lists(monkeypatch):
    texts = sorted(
        {f"{n % 7}/{n:03}.png" for n in range(200)} | {"a-b/0.png", "a/0.png", "a!/0.png", "b.png"}, key=Path
    )
    for small in (0, 1000):
        monkeypatch.setattr(names_module, "_SMALL", small)
        found = Names.of(texts)
        assert [found.find(name) for name in texts] == list(range(len(texts)))
        assert [found.find(name) for name in reversed(texts)] == list(reversed(range(len(texts))))
        assert found.find("a") is found.find("zzz") is found.find("") is None
        assert all(name in found for name in [*texts, *reversed(texts)])
        assert not any(name in found for name in ("a", "zzz", "", 3))


def test_suffixes_are_those_of_paths():
    for name in ("a.png", "a.b.png", ".hidden", "a.", "sub.d/a", "sub/.b.png", "a", "..png", "x/y.tar.gz"):
        assert without_suffix(name) == Path(name).with_suffix("").as_posix(), name
        assert suffix_of(name) == Path(name).suffix, name


@given(st.lists(st.text("ab./ä\udce9", min_size=1), max_size=8))
def test_stems_are_names_without_suffix(texts):
    assert list(Names.of(texts).stems()) == [without_suffix(text) for text in texts]


@example("a/../b.png", "/data")
@example("a//b.png", "/data")
@given(st.text("ab./~ ", max_size=8), st.sampled_from(["/", "/data", "/data/a b"]))
def test_names_in_lists_become_absolute_paths(text, folder):
    path = Path(text).expanduser() if text.startswith("~/") else Path(text)
    assert _resolved(folder, text) == os.path.normpath(Path(folder, path))


def test_paths_keep_their_folders_once():
    texts = ["/data/a/1.png", "/data/b/1.png", "/data/a/2.tar.png", "/3.png", "4.png"]
    builder = PathsBuilder()
    for text in texts:
        builder.add(text)
    paths = builder.done()
    assert list(paths) == [Path(text) for text in texts]
    assert list(paths.stems()) == [Path(text).stem for text in texts]
    assert paths[1:3] == [Path(text) for text in texts[1:3]]
    assert len(paths._folders) == 4


def total_of(array, queue):
    queue.put((int(array.array.sum()), "[heap]" if array._file is None and not is_mapped(array) else "mapped"))


def is_mapped(array):
    return array.array.base is not None and not array.array.flags.owndata


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_start_with_nothing_map_the_array(method, monkeypatch):
    monkeypatch.setattr(shared, "_WORTH_SHARING", 100)
    array = SharedArray(np.arange(1000))
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    for _ in range(2):
        process = context.Process(target=total_of, args=(array, queue))
        process.start()
        assert queue.get(timeout=120) == (499500, "mapped")
        process.join()
    assert array.array.sum() == 499500
    assert array._file is not None  # one copy for all, this process included


def test_folders_are_listed_in_the_order_of_paths(tmp_path):
    write_photographs(tmp_path / "gt", 2, 8, 8)
    for name in ("a/1.png", "a.png", "a-b/1.png", "a/b/2.png", "A.png", ".hidden/x.png", "a/notes.txt"):
        (tmp_path / "gt" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "gt" / name).write_bytes(b"x")
    names, left_out = names_below(tmp_path / "gt")
    everything = [path for path in (tmp_path / "gt").rglob("*.png") if ".hidden" not in path.parts]
    assert [tmp_path / "gt" / name for name in names] == sorted(everything)
    assert [(fault.file.name, fault.reason) for fault in left_out] == [(".hidden", "hidden"), ("notes.txt", ".txt")]


def test_candidates_are_those_of_a_written_out_list():
    sources = [(4, 1.0), (3, 2.5), (5, 0.4), (2, 3.0)]
    expected, first = [], 0
    for number, weight in sources:
        images = range(first, first + number)
        expected += [range(image, image + 1) for image in images for _ in range(int(weight))]
        expected += [images] * round((weight % 1) * number)
        first += number
    candidates = WeightedCandidates(sources)
    assert list(candidates) == expected
    assert candidates[-1] == expected[-1]
    assert list(candidates[3:9]) == expected[3:9]


def test_a_limit_takes_sub_images_wherever_they_lie(tmp_path):
    for name in ("a_s001", "b", "a_s002", "c"):
        write_photographs(tmp_path / "gt" / name, 1, 40, 40)
    names = ["x_s001.png", "x_s002.png", "w.png", "y.png"]
    for name in names:
        (tmp_path / "one" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "one" / name).write_bytes((tmp_path / "gt" / "b" / "00.png").read_bytes())
    sources = {"one": Source(gt=tmp_path / "one", limit=2), "all": Source(gt=tmp_path / "gt")}
    dataset = GTImages(sources=sources, scale=2, phase="train", gt_size=32)
    keys = ["one/w", "one/x_s001", "one/x_s002", "all/a_s001/00", "all/a_s002/00", "all/b/00", "all/c/00"]
    assert [pair.key for pair in dataset.pairs] == keys
    assert [pair.key for pair in dataset.pairs[2:4]] == keys[2:4]
    assert dataset.pairs[-1].key == keys[-1]
