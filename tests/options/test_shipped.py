"""Names of option files: a user's own, and those that come with srzoo."""

from pathlib import Path

import pytest

from srzoo.options import load_chain, load_options
from srzoo.options.shipped import find_option_file
from tests.support import ROOT, run_test

NAME = "options/train/imdn/IMDN_x2.yml"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_shipped_file_has_its_name_everywhere():
    assert find_option_file(NAME) == ROOT / NAME
    assert load_options(Path(NAME)) == load_options(ROOT / NAME)
    assert load_chain(Path(NAME), [], lambda _: Path()) == load_chain(ROOT / NAME, [], lambda _: Path())


def test_a_users_own_file_comes_first(tmp_path):
    own = tmp_path / NAME
    own.parent.mkdir(parents=True)
    own.write_text(f"base: {NAME}\nname: mine\n")
    assert find_option_file(NAME) == Path(NAME)
    # Beside the file there is no options/ folder, so its base is the shipped file and not itself.
    assert load_options(Path(NAME)).options.name == "mine"
    assert find_option_file(NAME, tmp_path / "else where") == ROOT / NAME


@pytest.mark.parametrize("name", ["nowhere.yml", "options/nowhere.yml", "options/../setup.py", "options", "train/imdn"])
def test_other_names_stay_as_they_are(name):
    assert find_option_file(name) == Path(name)
    assert find_option_file(name, Path("folder")) == Path("folder", name)


def test_a_stage_inherits_from_a_shipped_file(tmp_path):
    (tmp_path / "chain.yml").write_text(f"name: chain\nstages:\n  one: {{base: [{NAME}]}}\n  two: {{base: {NAME}}}\n")
    chain = load_chain(tmp_path / "chain.yml", [], lambda _: Path("weights.safetensors"))
    assert [loaded.options.network_g.type for loaded in chain.values()] == ["IMDN", "IMDN"]


def test_a_missing_base_says_where_it_was_looked_for(tmp_path, capsys):
    (tmp_path / "x.yml").write_text("base: options/train/imdn/IMDN_x5.yml\n")
    assert run_test(Path("x.yml")) == 2
    assert "among the files that come with srzoo" in capsys.readouterr().err
