"""Ways back: damaged states are passed over, earlier ones can be continued, broken results block nothing."""

import json

import pytest
import safetensors.torch
import torch

from srzoo.engine.run_folder import RunFolder
from srzoo.state import load_state
from tests.support import run_train, training_options, write_options


@pytest.fixture
def file(tmp_path):
    """Option file of a run that saves after every update."""
    return write_options(tmp_path / "x.yml", training_options(tmp_path, logger={"save_freq": 1, "keep": {"last": 9}}))


@pytest.fixture
def folder(file, tmp_path):
    """The folder of that run after its four updates."""
    assert run_train(file) == 0
    return RunFolder(tmp_path / "experiments" / "run")


def damage(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)


def weights(folder, step=4):
    return safetensors.torch.load_file(folder.weights_of(step))


def test_auto_continues_from_the_newest_intact_state(file, folder, capsys):
    before = weights(folder)
    damage(folder.state_of(4))
    folder.state_of(3).write_bytes(b"")
    capsys.readouterr()
    assert run_train(file, resume="auto") == 0
    printed = capsys.readouterr().out
    assert f"4.state is passed over: {folder.state_of(4)} is damaged: its content does not fit its checksum" in printed
    assert f"3.state is passed over: {folder.state_of(3)}: not a PyTorch weights file" in printed
    assert "2.state at step 2" in printed
    assert "set aside: states/4.state is now states/4.state.damaged" in printed
    assert "4.state is passed over" in (folder.path / "train.log").read_text()
    names = {path.name for path in folder.states.iterdir()}
    assert names == {"1.state", "2.state", "3.state", "3.state.damaged", "4.state", "4.state.damaged"}
    assert load_state(folder.state_of(4))["step"] == 4
    assert all(torch.equal(value, before[key]) for key, value in weights(folder).items())


def test_a_second_damaged_state_of_a_step_does_not_replace_the_first(file, folder):
    for content in (b"first", b"second"):
        folder.state_of(4).write_bytes(content)
        assert run_train(file, resume="auto") == 0
    damaged = [folder.states / f"4.state.damaged{number}" for number in ("", ".2")]
    assert [path.read_bytes() for path in damaged] == [b"first", b"second"]


def test_auto_does_not_start_afresh_where_all_states_are_damaged(file, folder, capsys):
    for step in range(1, 5):
        damage(folder.state_of(step))
    assert run_train(file, resume="auto") == 2
    assert "none of the 4 training state(s)" in capsys.readouterr().err
    assert len(list(folder.states.glob("*.state"))) == 4


def test_a_run_goes_back_to_an_earlier_state_of_its_own(file, folder, capsys):
    files = (folder.state_of(3), folder.state_of(4), folder.weights_of(4), folder.best)
    newer = {path: path.read_bytes() for path in files}
    capsys.readouterr()
    assert run_train(file, "train.total_iter=3", resume=str(folder.state_of(2))) == 0
    printed = capsys.readouterr().out
    assert "set aside: states/4.state is now set_aside/4.state" in printed
    assert "set aside: models/net_g_3.safetensors is now set_aside/net_g_3.safetensors" in printed
    assert {path.name for path in folder.states.iterdir()} == {"1.state", "2.state", "3.state"}
    assert {path.name for path in folder.models.iterdir()} == {
        "best.safetensors",
        *(f"net_g_{step}.safetensors" for step in (1, 2, 3)),
    }
    # Nothing is lost, and the update is the same as before.
    for path, content in newer.items():
        assert (folder.aside / path.name).read_bytes() == content
    assert all(
        torch.equal(value, safetensors.torch.load_file(folder.aside / "net_g_3.safetensors")[key])
        for key, value in weights(folder, 3).items()
    )
    assert run_train(file, resume="auto") == 0


def test_a_damaged_state_that_was_named_is_refused_and_nothing_set_aside(file, folder, capsys):
    damage(folder.state_of(2))
    assert run_train(file, resume=str(folder.state_of(2))) == 2
    assert "2.state is damaged" in capsys.readouterr().err
    assert not folder.aside.exists()
    assert len(list(folder.states.iterdir())) == 4


def test_a_refused_start_sets_nothing_aside(file, folder):
    damage(folder.state_of(4))
    assert run_train(file, "seed=3", resume="auto") == 2
    assert run_train(file, "seed=3", resume=str(folder.state_of(1))) == 2
    assert {path.name for path in folder.states.iterdir()} == {f"{step}.state" for step in range(1, 5)}


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 40, b"[]", b'{"step": "\xff"}'])
def test_broken_results_are_scored_again(file, folder, content):
    results = folder.results_of("held_out")
    before = json.loads(results.read_text())
    results.write_bytes(content)
    assert run_train(file, resume="auto") == 0
    after = json.loads(results.read_text())
    assert (after["step"], after["images"]) == (4, before["images"])
