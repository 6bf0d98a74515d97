"""Training in BasicSR's option files: schedules, clipping, losses, and the updates that BasicSR really makes."""

import math

import pytest
import yaml

from srzoo.compat.basicsr.epochs import updates
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


FOREIGN = {
    "ldl_opt": ("L1Loss", "train.ldl_opt: L1Loss (the loss on a map of artefacts of LDL; it is left out)"),
    "artifacts_opt": ("L1Loss", "train.artifacts_opt: L1Loss (the loss on a map of artefacts of LDL"),
    "edge_opt": ("CharbonnierLoss", "train.edge_opt: CharbonnierLoss (an unknown loss; it is left out)"),
    "nameless_opt": (None, "train.nameless_opt: a loss (an unknown loss"),
}


@pytest.mark.parametrize("section", FOREIGN)
def test_losses_that_basicsr_does_not_have_are_refused_by_name_and_left_out(convert, tmp_path, section):
    kind, message = FOREIGN[section]
    old = {section: {"type": kind, "loss_weight": 100.0}}
    code, _, said = convert(merged(TRAINING, {"train": old}))
    assert code == 2
    assert message in said
    assert list(yaml.safe_load((tmp_path / "new.yml").read_text())["train"]["losses"]) == ["pixel"]


@pytest.mark.parametrize(
    ("section", "kind"), [("pixel_opt", "WeightedTVLoss"), ("pixel_opt", "GANLoss"), ("perceptual_opt", "L1Loss")]
)
def test_losses_in_a_section_that_means_something_else_are_refused(convert, section, kind):
    code, _, said = convert(merged(TRAINING, {"train": {section: {"type": kind, "loss_weight": 1.0}}}))
    assert code == 2
    assert f"train.{section}.type: {kind}" in said


def test_an_adversarial_loss_without_a_discriminator_is_reported(convert):
    gan = {"gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "loss_weight": 0.1}}
    code, options, said = convert(merged(TRAINING, {"train": gan}))
    assert code == 0
    assert options is not None
    assert options.train is not None
    assert list(options.train.losses) == ["pixel"]
    assert "train.gan_opt: not needed: this model_type has no discriminator" in said


def loop_of_basicsr(total, images, batch, ranks, ratio):
    """Count the updates of BasicSR's loop: epochs 0 to total_epochs, each over a loader that drops the last batch."""
    per_epoch = math.ceil(images * ratio / (batch * ranks))
    samples_of_rank = math.ceil(images * ratio / ranks)
    made = 0
    for _ in range(math.ceil(total / per_epoch) + 1):
        for _ in range(0, samples_of_rank - batch + 1, batch):
            if made == total:
                return made
            made += 1
    return made


@pytest.mark.parametrize("images", [1, 7, 32, 33, 100, 2650])
@pytest.mark.parametrize(("batch", "ranks", "ratio"), [(32, 1, 1), (4, 8, 1), (4, 8, 10), (3, 2, 5), (16, 1, 100)])
def test_updates_are_those_of_basicsrs_loop(images, batch, ranks, ratio):
    for total in (1, 10, 997):
        assert updates(total, images, batch, ranks, ratio) == loop_of_basicsr(total, images, batch, ranks, ratio)


def test_a_hundred_images_at_batch_32_end_at_three_quarters():
    assert updates(100_000, 100, 32) == 75_003


def test_an_early_stop_is_reported_where_the_number_of_images_is_known(convert, tmp_path):
    folder, listed = tmp_path / "gt", tmp_path / "listed.txt"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.png").touch()
    (folder / ".hidden").touch()
    listed.write_text("x.png (480,480,3)\n" * 20)
    data = {"batch_size_per_gpu": 32, "dataset_enlarge_ratio": 1, "dataroot_gt": str(folder), "meta_info_file": None}
    old = merged(TRAINING, {"num_gpu": 1, "datasets": {"train": data}, "train": {"total_iter": 1e5}})
    _, options, said = convert(old)
    assert "train.total_iter: BasicSR would have stopped after 75,003 of 100,000 updates with these 100 images" in said
    assert "write 75003" in said
    assert options is not None
    assert options.train is not None
    assert options.train.total_iter == 100_000
    for changes, expected in (
        ({"meta_info_file": str(listed)}, "BasicSR would have made no update: its loader drops incomplete batches"),
        ({"dataset_enlarge_ratio": 32}, None),
        ({"dataroot_gt": str(tmp_path / "elsewhere")}, None),
    ):
        said = convert(merged(old, {"datasets": {"train": changes}}), "--overwrite")[2]
        assert expected in said if expected else "BasicSR would have" not in said
