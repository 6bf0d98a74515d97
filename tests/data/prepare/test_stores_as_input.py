"""Commands that prepare images take packs and databases as they take folders."""

import json

import pytest

from tests.data.packs import packed
from tests.support import write_photographs
from tests.test_convert import srzoo

FORMS = [("pack", ()), ("png.pack", ("--codec", "png")), ("lmdb", ("--store", "lmdb"))]


@pytest.fixture(params=FORMS, ids=[name for name, _ in FORMS])
def folders(request, tmp_path, monkeypatch):
    """Write GT images, pack them, and run commands below tmp_path; return the name of the store."""
    name, words = request.param
    monkeypatch.chdir(tmp_path)
    write_photographs(tmp_path / "gt", 3, 48, 64)
    write_photographs(tmp_path / "gt" / "sub", 1, 48, 64)
    assert packed("gt", name, *words) == 0
    return name


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.png")}


@pytest.mark.parametrize("command", [("make-lr", "--scale", "2,4"), ("subimages", "--size", "32", "--step", "16")])
def test_files_made_from_a_store_are_those_made_from_its_folder(command, folders, tmp_path, monkeypatch, capsys):
    name, *words = command
    for source in ("gt", folders):
        assert srzoo(monkeypatch, "data", name, source, f"from {source}", *words) == 0
    assert content(tmp_path / f"from {folders}") == content(tmp_path / "from gt") != {}
    capsys.readouterr()
    assert srzoo(monkeypatch, "data", name, folders, f"from {folders}", *words) == 0
    assert "wrote 0 files" in capsys.readouterr().out


def test_tiles_of_pairs_in_stores_are_those_of_their_folders(folders, tmp_path, monkeypatch):
    assert srzoo(monkeypatch, "data", "make-lr", "gt", "lr", "--scale", "2") == 0
    assert packed("lr/LRbicx2", "lr.pack") == 0
    for gt, lq, out in (("gt", "lr/LRbicx2", "a"), (folders, "lr.pack", "b")):
        words = ("--lq", lq, "--scale", "2", "--size", "32", "--step", "16")
        assert srzoo(monkeypatch, "data", "subimages", gt, out, *words) == 0
    assert content(tmp_path / "a") == content(tmp_path / "b") != {}


def test_degraded_images_of_a_store_are_those_of_its_folder(folders, tmp_path, monkeypatch):
    for source in ("gt", folders):
        assert srzoo(monkeypatch, "data", "degrade", source, f"of {source}", "--kinds", "bicubic_noise20") == 0
    assert content(tmp_path / f"of {folders}") == content(tmp_path / "of gt") != {}


def test_a_store_is_summarised_and_listed_as_its_folder(folders, monkeypatch, capsys):
    found = []
    for source in ("gt", folders):
        assert srzoo(monkeypatch, "data", "info", source, "--json") == 0
        info = json.loads(capsys.readouterr().out)
        assert srzoo(monkeypatch, "data", "meta-info", source) == 0
        # A pack of pixels keeps no files, whose format could be named.
        found.append(({k: v for k, v in info.items() if k not in ("folder", "kinds")}, capsys.readouterr().out))
    assert found[0] == found[1]
    assert found[0][0]["count"] == 4
    assert found[0][0]["duplicates"] == [["00", "sub/00"]]
