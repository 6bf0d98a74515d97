"""Training in BasicSR's option files: schedules, clipping, and losses."""

import pytest

from tests.compat.old_options import ADAM, TRAINING
from tests.support import merged

SCHEDULES = {
    "cosine with restarts": (
        {"type": "CosineAnnealingRestartLR", "periods": [1e3, 2e3], "restart_weights": [1, 0.5], "eta_min": 1e-7},
        {"periods": (1000, 2000), "restart_weights": (1.0, 0.5), "eta_min": 1e-7},
    ),
    "cosine": ({"type": "TrueCosineAnnealingLR", "T_max": 4e5, "eta_min": 1e-7}, {"periods": (400000,)}),
    "steps": (
        {"type": "MultiStepRestartLR", "milestones": [2e3], "gamma": 0.3, "restarts": [5e3], "restart_weights": [0.5]},
        {"milestones": (2000,), "gamma": 0.3, "restarts": (5000,), "restart_weights": (0.5,)},
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_keep_their_numbers(convert, name):
    old, expected = SCHEDULES[name]
    train = {key: value for key, value in TRAINING["train"].items() if key != "scheduler"} | {"scheduler": old}
    code, options, _ = convert(TRAINING | {"train": train})
    assert code == 0
    assert options is not None
    assert options.train is not None
    schedule = options.train.scheduler.args
    assert {key: schedule[key] for key in expected} == expected


def test_clipping_and_warm_up_are_kept_and_a_second_optimiser_is_reported(convert):
    changes = {"use_grad_clip": True, "warmup_iter": 1e3, "optim_d": ADAM}
    _, options, said = convert(merged(TRAINING, {"train": changes}))
    assert options is not None
    assert options.train is not None
    assert (options.train.grad_clip, options.train.warmup_iter) == (0.01, 1000)
    assert "train.use_grad_clip: written as grad_clip: 0.01" in said
    assert "train.optim_d: not needed: this model_type has no discriminator" in said


def test_images_scaled_for_the_perceptual_loss_are_refused(convert):
    loss = {"type": "PerceptualLoss", "layer_weights": {"conv5_4": 1}, "range_norm": True}
    code, _, said = convert(merged(TRAINING, {"train": {"perceptual_opt": loss}}))
    assert code == 2
    assert "train.perceptual_opt.range_norm: True (images are in [0, 1], not in [-1, 1])" in said
