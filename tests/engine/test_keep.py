"""Files of a run that are kept, the best weights so far, and disks that are nearly full."""

import re
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srzoo.engine import keep as keep_module
from srzoo.engine.keep import Best, Keep
from srzoo.engine.run_folder import RunFolder
from srzoo.options import OptionsError, load_options
from srzoo.state import load_state, num_bytes
from srzoo.tensor_files import read_metadata
from tests.support import run_train, training_options, write_options


def options(folder, **changes):
    return write_options(folder / "x.yml", training_options(folder, **changes))


def steps(folder, place, name):
    names = [
        path.name for path in (folder / "experiments" / "run" / place).iterdir() if path.name != "best.safetensors"
    ]
    return sorted(int(each.split(".")[0].rpartition("_")[2]) for each in names if each.startswith(name))


@given(
    st.lists(st.integers(1, 10_000), unique=True).map(sorted),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(1, 50),
)
def test_the_newest_and_every_nth_step_are_kept(saved, last, every):
    superfluous = Keep(last, every).superfluous(saved)
    kept = [step for step in saved if step not in superfluous]
    newest = saved if last is None else saved[len(saved) - min(last, len(saved)) :]
    assert set(kept) == {*newest, *(step for step in saved if every is not None and step % every == 0)}


@pytest.mark.parametrize(
    ("logging", "states", "weights"),
    [
        ({"keep": {"last": 2, "every": 4}}, [4, 8, 9, 10], [4, 8, 9, 10]),
        ({}, [8, 9, 10], [8, 9, 10]),
        # Of weights written before the restart, those without a state stay.
        ({"num_states": 1}, [10], [4, 5, 8, 9, 10]),
        ({"num_states": "null", "keep": {"last": 1, "every": None}}, list(range(1, 11)), [10]),
    ],
)
def test_superfluous_states_and_weights_are_removed_also_after_a_restart(tmp_path, logging, states, weights):
    logging = dict(logging)
    states_to_keep = f"logger.num_states={logging.pop('num_states', 'keep')}"
    file = options(tmp_path, logger={"save_freq": 1, **logging}, val={"metrics": {}}, datasets={"val": None})
    assert run_train(file, "train.total_iter=6", states_to_keep) == 0
    assert run_train(file, "train.total_iter=10", states_to_keep, resume="auto") == 0
    assert steps(tmp_path, "states", "") == states
    assert steps(tmp_path, "models", "net_g") == weights


def test_weights_of_an_earlier_version_without_states_stay(tmp_path):
    file = options(tmp_path, logger={"save_freq": 1, "keep": {"last": 1, "every": None}}, datasets={"val": None})
    assert run_train(file, "train.total_iter=2", "logger.keep.last=null", "logger.num_states=1") == 0
    assert run_train(file, "train.total_iter=4", resume="auto") == 0
    assert steps(tmp_path, "models", "net_g") == [1, 4]


def test_the_best_weights_carry_their_score_and_survive_a_restart(tmp_path, capsys):
    changes = {"val": {"val_freq": 1, "metrics": {"psnr": {"type": "PSNR"}}}, "logger": {"save_freq": 2}}
    file = options(tmp_path, **changes, train={"optim_g": {"type": "SGD", "lr": 1e-9}, "ema_decay": 0})
    assert run_train(file, "train.total_iter=4") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "] held_out" in line]
    assert lines[0].endswith("  (best psnr so far)")
    best = read_metadata(tmp_path / "experiments" / "run" / "models" / "best.safetensors")
    scores = {int(line[1]): float(line.split("psnr ")[1].split()[0]) for line in lines}
    assert float(best["score"]) == pytest.approx(max(scores.values()), abs=1e-4)
    assert best["score_of"] == "psnr/held_out"
    capsys.readouterr()
    assert run_train(file, "train.total_iter=6", resume="auto") == 0
    again = read_metadata(tmp_path / "experiments" / "run" / "models" / "best.safetensors")
    last = [line for line in capsys.readouterr().out.splitlines() if "] held_out" in line][-1]
    assert last.endswith(f"(best psnr {float(again['score']):.4f} after {again['step']})") or "so far" in last
    assert float(again["score"]) >= float(best["score"])


def results(score, dataset="Set5"):
    from srzoo.engine.evaluate import Results

    return Results(dataset, [{"key": "a", "psnr": score}])


@pytest.mark.parametrize("higher", [True, False])
def test_better_means_what_the_metric_says(tmp_path, higher):
    best = Best(tmp_path / "b", "psnr", "Set5", higher_is_better=higher, write_weights=lambda *_: None, start=0)
    order = [1.0, 2.0, 1.5] if higher else [2.0, 1.0, 1.5]
    assert [best.compare(results(score), step)[0] for step, score in enumerate(order)] == [True, True, False]
    assert best.compare(results(order[1]), 5) == (False, f"  (best psnr {order[1]:.4f} after 1)")
    assert best.compare(results(100.0, "Set14"), 5) == (False, "")


@pytest.mark.parametrize(
    ("metadata", "known"),
    [
        ({"score": "30.0", "step": "4", "score_of": "psnr/Set5"}, True),
        ({"score": "30.0", "step": "9", "score_of": "psnr/Set5"}, False),  # an update still to come
        ({"score": "30.0", "step": "4", "score_of": "psnr/Set14"}, False),
        ({"step": "4"}, False),
    ],
)
def test_only_an_earlier_value_of_the_same_score_counts(tmp_path, metadata, known):
    import safetensors.torch
    import torch

    safetensors.torch.save_file({"w": torch.zeros(1)}, tmp_path / "b", metadata)
    best = Best(tmp_path / "b", "psnr", "Set5", higher_is_better=True, write_weights=lambda *_: None, start=5)
    assert best.compare(results(20.0), 6)[0] != known


@pytest.mark.parametrize("best", ["psnr", "psnr/Set5", "ssmi/held_out"])
def test_a_score_that_is_not_computed_is_refused(tmp_path, best):
    with pytest.raises(OptionsError) as error:
        load_options(options(tmp_path, logger={"keep": {"best": best}}))
    (fault,) = error.value.faults
    assert f"expected auto, none or a score (psnr/held_out, ssim/held_out), got {best}" in str(fault)


def test_a_save_that_does_not_fit_is_foreseen(tmp_path, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    free = iter([10**9, 10_000, 10_000])
    monkeypatch.setattr(keep_module.shutil, "disk_usage", lambda _: usage(10**9, 0, next(free)))
    assert run_train(options(tmp_path, datasets={"val": None})) == 2
    said = capsys.readouterr()
    assert "only 10.0 kB are free" in said.out
    assert f"a save in {tmp_path}/experiments/run needs " in said.err
    assert "make room, then --resume auto; earlier files are intact" in said.err
    assert steps(tmp_path, "states", "") == [2]


def test_room_for_the_state_alone_is_not_enough(tmp_path, monkeypatch, capsys):
    usage, folder = namedtuple("usage", "total used free"), RunFolder(tmp_path / "experiments" / "run")

    def disk_usage(_):
        # Once there is a state, as much room as its tensors need.
        state = folder.state_of(2)
        return usage(10**9, 0, num_bytes(load_state(state)) if state.exists() else 10**9)

    monkeypatch.setattr(keep_module.shutil, "disk_usage", disk_usage)
    assert run_train(options(tmp_path, datasets={"val": None})) == 2
    assert "make room, then --resume auto" in capsys.readouterr().err
    assert not folder.weights_of(4).exists()


def test_the_log_says_how_long_a_save_took(tmp_path):
    assert run_train(options(tmp_path, datasets={"val": None})) == 0
    log = (tmp_path / "experiments" / "run" / "train.log").read_text()
    assert re.search(r"saved \S+/4\.state \(\d+\.\d kB\) in \d+\.\d s\n", log)
