"""The first line of a training."""

from pathlib import Path

import pytest
import torch
from torch import nn

from srzoo.engine import opening
from srzoo.engine.opening import opening_line, seconds_of_update
from tests.support import run_train, training_options, write_options

FACTS = {"device": torch.device("cpu"), "start": 0, "folder": Path("experiments/run")}


def test_the_line_names_network_time_and_the_weights_that_are_scored():
    line = opening_line("IMDN x2", 1234567, **FACTS, seconds=12.3, decay=0.999)
    assert line == (
        "training IMDN x2 (1,234,567 parameters) on cpu from step 0: experiments/run; the first step takes about 12 s; "
        "the moving average of the weights (decay 0.999) is scored and saved"
    )
    assert opening_line("IMDN x2", 5, **FACTS, seconds=None, decay=0).endswith(": experiments/run")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s or less"), (1.4, "1 s"), (99, "99 s"), (240, "4 min"), (9000, "2 h")]
)
def test_durations_are_rough(seconds, words):
    assert f"about {words}" in opening_line("x", 1, **FACTS, seconds=seconds, decay=0)


def test_the_time_grows_with_the_samples_and_holds_the_start_once(monkeypatch):
    passes = iter([5.0, 1.0, 5.0, 1.0])
    monkeypatch.setattr(opening, "_seconds_of_pass", lambda *_: next(passes))
    times = [seconds_of_update(nn.Identity(), 8, samples, FACTS["device"]) for samples in (1, 16)]
    assert times == [4.0 + 3.0, 4.0 + 48.0]


def test_the_network_is_left_as_it_is():
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout()).train()
    before, seed = {key: value.clone() for key, value in net.state_dict().items()}, torch.get_rng_state()
    assert seconds_of_update(net, 8, 2, FACTS["device"]) is not None
    assert net.training
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), seed)


def test_a_network_that_does_not_take_the_crop_has_no_estimate():
    net = nn.Conv2d(5, 3, 1).train()
    assert seconds_of_update(net, 8, 2, FACTS["device"]) is None
    assert net.training


def test_a_training_begins_with_the_line(tmp_path, capsys, monkeypatch):
    crops = []

    def seconds(*arguments):
        crops.append(arguments[1:3])
        return 7.0

    monkeypatch.setattr("srzoo.training.seconds_of_update", seconds)
    file = write_options(tmp_path / "x.yml", training_options(tmp_path))
    assert run_train(file, "train.total_iter=1") == 0
    stages = [{"type": "Resize", "per": "batch"}]
    degraded = training_options(tmp_path, name="degraded", degradation={"gt_size": 24, "stages": stages})
    assert run_train(write_options(tmp_path / "d.yml", degraded), "train.total_iter=1", "train.ema_decay=0") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("training ")]
    assert lines[0].endswith(
        "the first step takes about 7 s; the moving average of the weights (decay 0.9) is scored and saved"
    )
    assert lines[1].endswith("the first step takes about 7 s")
    assert crops == [(16, 4), (12, 4)]
