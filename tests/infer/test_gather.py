"""Inputs of a run, and the names of its outputs."""

import os
from pathlib import Path

import pytest

from srzoo.infer.gather import InputFile, gather
from srzoo.infer.targets import Naming


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder with images at three depths; it is the working directory."""
    for name in ("in/a.jpg", "in/a.png", "in/notes.txt", "in/sub/b.png", "in/sub/deep/a.png", "in/.hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(words, **options):
    return [str(file.name) for file in gather(words, **options).files]


def test_files_folders_and_patterns(tree):
    assert names(["in/a.png"]) == ["a.png"]
    assert names(["in"]) == ["a.jpg", "a.png"]
    assert names(["in"], recursive=True) == ["a.jpg", "a.png", "sub/b.png", "sub/deep/a.png"]
    assert names(["in/*.png"]) == ["a.png"]
    assert names(["in/*/*.png"]) == ["sub/b.png"]
    assert names(["in/**/*.png"]) == ["a.png", "sub/b.png", "sub/deep/a.png"]
    assert names([f"{tree}/in/s*"]) == ["sub/b.png"]
    assert names(["."], recursive=True) == ["in/a.jpg", "in/a.png", "in/sub/b.png", "in/sub/deep/a.png"]


def test_each_file_counts_once(tree):
    assert names(["in/a.png", "in", "in/../in/a.png", f"{tree}/in/a.*"]) == ["a.png", "a.jpg"]


@pytest.mark.usefixtures("tree")
def test_files_left_out_are_reported():
    reasons = [(str(fault.file), fault.reason) for fault in gather(["in"]).left_out]
    assert reasons == [("in/.hidden.png", "hidden"), ("in/notes.txt", ".txt"), ("in/sub", "sub-folder")]


def test_a_name_that_exists_is_no_pattern(tree):
    (tree / "with [1].png").write_bytes(b"x")
    (tree / "with 1.png").write_bytes(b"x")
    assert names(["with [1].png"]) == ["with [1].png"]
    assert names(["with [[]1].png"]) == ["with [1].png"]


@pytest.mark.usefixtures("tree")
def test_names_may_be_any_bytes():
    path = os.fsdecode(b"in/\xff\xe9.png")
    Path(path).write_bytes(b"x")
    assert names([path]) == names([os.fsdecode(b"in/\xff*")]) == [os.fsdecode(b"\xff\xe9.png")]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nothing.png", "nothing.png does not exist"),
        ("*.webp", r"no file fits the pattern \*.webp"),
        ("empty", "image folder empty holds no image"),
        ("above", "image folder above holds no image .*it holds 1 sub-folder"),
    ],
)
def test_inputs_that_are_not_there(tree, word, message):
    (tree / "empty").mkdir()
    (tree / "above" / "below").mkdir(parents=True)
    (tree / "above" / "below" / "x.png").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match=message):
        gather(["in/a.png", word])


def test_outputs_inside_the_input_folder_are_left_out(tree):
    (tree / "in" / "out").mkdir()
    (tree / "in" / "out" / "a.png").write_bytes(b"x")
    assert "out/a.png" in names(["in"], recursive=True)
    assert "out/a.png" not in names(["in"], recursive=True, without=tree / "in" / "out")


def naming(
    out: str | None = "out", *, is_file: bool = False, kind="png", suffix: str | None = None, magnification: float = 2
):
    return Naming(None if out is None else Path(out), is_file, kind, suffix, magnification)


def targets(words, rule, **options):
    return [str(path) for path in rule.targets(gather(words, **options).files)]


@pytest.mark.usefixtures("tree")
def test_outputs_keep_names_and_tree():
    assert targets(["in/sub"], naming(), recursive=True) == ["out/b.png", "out/deep/a.png"]
    assert targets(["in"], naming(kind="tiff", suffix="-big"), recursive=True)[2:] == [
        "out/sub/b-big.tiff",
        "out/sub/deep/a-big.tiff",
    ]
    assert targets(["in/sub/b.png"], naming(None)) == ["in/sub/b_x2.png"]
    assert targets(["in/sub/b.png"], naming(None, magnification=3.5)) == ["in/sub/b_x3.5.png"]
    assert targets(["in/sub/b.png"], naming("other/name.jpg", is_file=True, kind="jpg")) == ["other/name.jpg"]


def test_one_name_with_two_suffixes_gives_two_outputs(tree):
    assert targets(["in"], naming()) == ["out/a.jpg.png", "out/a.png.png"]
    assert targets(["in"], naming(None)) == ["in/a.jpg_x2.png", "in/a.png_x2.png"]
    # The longer name may be taken.
    (tree / "in" / "a.png.png").write_bytes(b"x")
    assert targets(["in"], naming()) == ["out/a.jpg.png", "out/a.png.png", "out/a.png.png.png"]


@pytest.mark.usefixtures("tree")
def test_two_inputs_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"in/a.png and in/sub/deep/a.png would both be written to out/a.png.png"):
        targets(["in/a.png", "in/sub/deep/a.png"], naming())


@pytest.mark.parametrize("out", ["in/sub", "in/../in/sub"])
def test_inputs_are_never_replaced(tree, out):
    with pytest.raises(ValueError, match=r"in/sub/b.png is an input, and would be replaced"):
        targets(["in/sub/b.png"], naming(out))
    (tree / "link.png").hardlink_to(tree / "in" / "sub" / "b.png")
    with pytest.raises(ValueError, match=r"in/sub/b.png is an input"):
        targets(["in/sub/b.png"], naming("link.png", is_file=True))


def test_outputs_of_an_earlier_run_are_no_inputs(tree):
    folder = tree / "in" / "sub"
    (folder / "b_x2.png").write_bytes(b"x")
    (folder / "c_x2.png").write_bytes(b"x")  # no c.png
    files, outputs = naming(None).without_outputs(gather(["in/sub"]).files)
    assert [file.path.name for file in files] == ["b.png", "c_x2.png"]
    assert [path.name for path in outputs] == ["b_x2.png"]
    # A file that is named itself is an input all the same.
    named = [*files, InputFile(Path("in/sub/b_x2.png"), Path("b_x2.png"))]
    assert naming(None).without_outputs(named) == (named, [])
