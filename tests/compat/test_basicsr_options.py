"""Whole option files of BasicSR's kind: the converted file says the same, and every dropped key is reported."""

import sys

import pytest
import yaml

from srzoo import cli
from srzoo.chain import weights_after
from srzoo.options import OptionsError, load_chain, load_options
from tests.compat.old_options import DEGRADATION, DRCT, EXAMPLE, PAIRED, TRAINING
from tests.support import merged, training_options, write_options


def test_a_training_says_the_same_afterwards(convert):
    code, options, said = convert(TRAINING)
    assert code == 0
    assert options is not None
    assert (options.name, options.scale, options.seed) == ("101_training", 4, 10)
    train, data = options.train, options.datasets
    assert train is not None
    assert data.train is not None
    assert (train.total_iter, train.warmup_iter, train.ema_decay) == (500000, 0, 0.999)
    assert (train.optim_g.type, train.optim_g.args["lr"], train.optim_g.args["betas"]) == ("Adam", 2e-4, (0.9, 0.99))
    assert train.scheduler.args["milestones"] == (250000, 400000)
    assert {name: (loss.type, loss.weight) for name, loss in train.losses.items()} == {"pixel": ("L1Loss", 1.0)}
    # Eight GPUs of four samples each.
    assert (data.train.batch_size, data.train.num_workers) == (32, 6)
    assert data.train.args["lq_template"] == "{}x4"
    assert data.train.args["use_hflip"]
    assert list(data.val) == ["Set5", "Set14"]
    assert options.val.val_freq == 5000
    assert options.val.metrics["psnr"].args == {"protocol": "basicsr-y"}
    assert options.val.metrics["ssim"].args == {"protocol": "basicsr-rgb"}
    assert (options.logger.print_freq, options.logger.save_freq) == (100, 5000)
    for key in ("use_shuffle", "dataset_enlarge_ratio", "dist_params", "batch_size_per_gpu", "name"):
        assert f"{key}: " in said


def test_the_remarks_are_comments_at_the_top_of_the_new_file(convert, tmp_path):
    code, options, _ = convert(EXAMPLE)
    assert code == 0
    assert options is not None
    assert options.network_g.type == "DRCT"
    text = (tmp_path / "new.yml").read_text()
    assert text.startswith("# Converted from old.yml by `srzoo convert options`.\n")
    assert "\n# network_g.compress_ratio: no effect in the released code\n" in text
    assert "\n# datasets.train.batch_size_per_gpu: batch_size is the total over all GPUs: 4 times 8 GPUs\n" in text


def test_partial_loading_and_old_spellings_are_understood(convert):
    path = {"pretrain_model_g": "x2.pth", "strict_load": False}
    _, options, _ = convert(TRAINING | {"path": path})
    assert options is not None
    assert options.path.load == "partial"
    assert str(options.path.pretrain_network_g) == "x2.pth"


def test_what_srzoo_does_not_have_is_refused_by_name_after_converting_the_rest(convert, tmp_path):
    code, _, said = convert(merged(TRAINING, {"network_g": {"type": "EDVR", "num_frame": 5}, "surprise": 3}))
    assert code == 2
    assert "srzoo does not have what" in said
    assert "network_g.type: EDVR" in said
    assert "old.yml:" in said
    assert "surprise: not supported" in said
    rest = yaml.safe_load((tmp_path / "new.yml").read_text())
    assert rest["train"]["total_iter"] == 500000
    assert rest["network_g"]["type"] == "EDVR"
    code, _, said = convert(TRAINING | {"model_type": "VideoModel"}, "--overwrite")
    assert code == 2
    assert "model_type: VideoModel" in said


def test_files_that_are_there_stay(convert, tmp_path):
    (tmp_path / "new.yml").write_text("mine")
    code, _, said = convert(TRAINING)
    assert code == 2
    assert "exists: choose another name" in said
    assert (tmp_path / "new.yml").read_text() == "mine"
    assert convert(TRAINING, "--overwrite")[0] == 0
    code, _, said = convert({"name": "x"}, "--overwrite")
    assert code == 2
    assert "it has no `model_type`" in said


def test_train_and_test_say_which_command_to_run(tmp_path):
    file = tmp_path / "old.yml"
    file.write_text(yaml.safe_dump(TRAINING))
    for load in (load_options, lambda file: load_chain(file, (), weights_after)):
        with pytest.raises(OptionsError, match=f"srzoo convert options {file} -o old_srzoo.yml"):
            load(file)


def test_single_keys_of_basicsr_name_their_replacement(tmp_path):
    changes = {"num_gpu": 4, "manual_seed": 0, "datasets": {"train": {"batch_size_per_gpu": 4}}}
    with pytest.raises(OptionsError) as error:
        load_options(write_options(tmp_path / "x.yml", training_options(tmp_path, **changes)))
    for message in (
        "num_gpu: unknown option; that is BasicSR's: the number of GPUs is that of torchrun: torchrun --nproc_per_node",
        "manual_seed: unknown option; that is BasicSR's: write `seed`",
        "batch_size_per_gpu: unknown option of GTImages; that is BasicSR's: write `batch_size`, the total",
    ):
        assert message in str(error.value)


def test_nothing_changes_silently(convert):
    """Spellings and defaults of the old code that mean something else in srzoo."""
    changes = {
        "path": {"pretrain_network_g": "net.pth", "strict_load_g": "no"},
        "network_g": {"type": "RCAN"},
        "datasets": {"val_2": {"name": "Set5", **PAIRED, "dataroot_gt": "other"}},
        "train": {
            "pixel_opt": {"type": "CharbonnierLoss", "eps": 1e-6},
            "scheduler": {"milestones": [2.5e5], "restarts": [0, 300000], "restart_weights": [1, 0.5]},
            "perceptual_opt": None,
        },
    }
    old = merged(TRAINING, changes)
    old["train"]["perceptual_opt"] = None
    _, options, said = convert(old)
    assert options is not None
    assert options.train is not None
    assert (options.path.load, options.path.param_key_g) == ("partial", "params")
    assert options.network_g.args["num_block"] == 16
    assert list(options.datasets.val) == ["Set5", "Set5_val_2"]
    assert "another dataset is called Set5" in said
    assert options.train.losses["pixel"].args["eps"] == pytest.approx(1e-3)
    schedule = options.train.scheduler.args
    assert (schedule["milestones"], schedule["restarts"], schedule["restart_weights"]) == ((250000,), (300000,), (0.5,))


def test_tests_of_adversarial_networks_need_no_discriminator(convert):
    old = {key: TRAINING[key] for key in ("name", "scale", "val")} | {"model_type": "SRGANModel"}
    old |= {"network_g": {"type": "MSRResNet"}, "datasets": {"test_1": {"name": "Set5", **PAIRED}}}
    code, options, _ = convert(old | {"path": {"pretrain_network_g": "net.pth", "strict_load_g": False}})
    assert code == 0
    assert options is not None
    assert options.network_d is None


WRONG = {
    "scheduler": ({"train": {"scheduler": "MultiStepLR"}}, "train.scheduler: expected a section, got 'MultiStepLR'"),
    "ape": ({"network_g": DRCT | {"ape": True}}, "network_g.ape: True (only False is supported)"),
    "window": (
        {"network_g": {"type": "DRCT", "upscale": 4}},
        "network_g.upsampler: '' (only 'pixelshuffle'",
    ),
    "colour": ({"datasets": {"train": {"color": "y"}}}, "datasets.train.color: 'y' (images are RGB"),
    "channels": ({"network_g": {"num_in_ch": 1}}, "network_g.num_out_ch: 3 (only 1, the number of input channels"),
    "scale": ({"network_g": {"upscale": 2}}, "network_g.upscale: 2, but the file's scale is 4"),
    "kernels": (
        {**DEGRADATION, "datasets": {"train": {"kernel_list2": ["iso"], "kernel_prob2": [0.5, 0.5]}}},
        "datasets.train.kernel_list2: expected a list, and kernel_prob2 of the same length",
    ),
    "sum": ({"train": {"pixel_opt": {"reduction": "sum"}}}, "train.pixel_opt.reduction: 'sum' (only 'mean'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_kept_is_refused(convert, name):
    changes, message = WRONG[name]
    code, _, said = convert(merged(TRAINING, changes))
    assert code == 2
    assert message in said


@pytest.mark.parametrize("value", ["soon", [3], {"a": 1}])
def test_values_of_another_type_are_named_and_nothing_is_written(convert, tmp_path, value):
    old = merged(TRAINING, {"train": {"warmup_iter": value}})
    old["train"]["warmup_iter"] = value
    code, _, said = convert(old)
    assert code == 2
    assert "train.warmup_iter: expected integer" in said
    assert not (tmp_path / "new.yml").exists()


def test_yaml_that_srzoo_reads_otherwise_is_refused(tmp_path, monkeypatch, capsys):
    file = tmp_path / "old.yml"
    file.write_text("model_type: SRModel\nseed: 1\nseed: 2\n")
    monkeypatch.setattr(sys, "argv", ["srzoo", "convert", "options", str(file)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "given twice" in capsys.readouterr().err
