"""Option files of BasicSR's kind: what they say is what the converted file says, and what is dropped is told."""

import sys

import pytest
import yaml

from srzoo import cli
from srzoo.chain import weights_after
from srzoo.options import OptionsError, load_chain, load_options
from tests.support import merged

ADAM = {"type": "Adam", "lr": 2e-4, "weight_decay": 0, "betas": [0.9, 0.99]}
PAIRED = {
    "type": "PairedImageDataset",
    "dataroot_gt": "Set5/GT",
    "dataroot_lq": "Set5/LR",
    "io_backend": {"type": "disk"},
}
LOADER = {"use_shuffle": True, "num_worker_per_gpu": 6, "batch_size_per_gpu": 4, "dataset_enlarge_ratio": 10}
METRICS = {
    "psnr": {"type": "calculate_psnr", "crop_border": 4, "test_y_channel": True, "better": "higher"},
    "ssim": {"type": "calculate_ssim", "crop_border": 4, "test_y_channel": False},
}
TRAINING = {
    "name": "101 training",
    "model_type": "SRModel",
    "scale": 4,
    "num_gpu": 8,
    "manual_seed": 10,
    "datasets": {
        "train": {
            **LOADER,
            "name": "DIV2K",
            "type": "PairedImageDataset",
            "dataroot_gt": "DIV2K/HR",
            "dataroot_lq": "DIV2K/LR",
            "filename_tmpl": "{}x4",
            "meta_info_file": "meta.txt",
            "io_backend": {"type": "disk"},
            "gt_size": 192,
            "use_flip": True,
            "use_rot": True,
        },
        "val_1": {"name": "Set5", **PAIRED},
        "val_2": {"name": "Set14", **PAIRED},
    },
    "network_g": {"type": "MSRResNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_block": 16, "upscale": 4},
    "path": {"pretrain_network_g": None, "strict_load_g": True, "resume_state": None},
    "train": {
        "ema_decay": 0.999,
        "optim_g": ADAM,
        "scheduler": {"type": "MultiStepLR", "milestones": [250000, 400000], "gamma": 0.5},
        "total_iter": 500000,
        "warmup_iter": -1,
        "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
    },
    "val": {"val_freq": 5e3, "save_img": False, "pbar": False, "suffix": None, "metrics": METRICS},
    "logger": {
        "print_freq": 100,
        "save_checkpoint_freq": 5e3,
        "use_tb_logger": True,
        "wandb": {"project": None, "resume_id": None},
    },
    "dist_params": {"backend": "nccl", "port": 29500},
}
DRCT = {
    "type": "DRCT", "use_checkpoint": False,
    "upscale": 4, "in_chans": 3, "img_size": 64, "window_size": 16, "compress_ratio": 3,
    "squeeze_factor": 30, "conv_scale": 0.01, "overlap_ratio": 0.5, "img_range": 1.0, "depths": [6, 6],
    "embed_dim": 180, "num_heads": [6, 6], "mlp_ratio": 2, "upsampler": "pixelshuffle", "resi_connection": "1conv",
}  # fmt: skip
NETWORKS = {
    "DRCT": (DRCT, {"type": "DRCT", "depths": (6, 6), "window_size": 16}),
    "dropout": (
        {"type": "MSRResNet_details_dropoutlast_channel07", "num_feat": 64, "num_block": 16},
        {"type": "SRResNet", "num_block": 16},
    ),
    "RRDB dropout": ({"type": "RRDBNet_dropoutlast_channel05", "num_block": 23}, {"type": "RRDBNet", "num_block": 23}),
    "SRVGG": (
        {"type": "SRVGGNetCompact", "num_feat": 64, "num_conv": 32, "upscale": 4, "act_type": "prelu"},
        {"type": "SRVGGNetCompact", "num_conv": 32, "act": "prelu"},
    ),
    "RCAN": (
        {"type": "RCAN", "num_group": 10, "num_block": 20, "squeeze_factor": 16, "rgb_mean": [0.4488, 0.4371, 0.4040]},
        {"type": "RCAN", "num_group": 10},
    ),
    "EDSR": ({"type": "EDSR", "num_feat": 256, "num_block": 32, "res_scale": 0.1}, {"type": "EDSR", "res_scale": 0.1}),
}


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """(old options, arguments) -> (exit code, options of the new file or None, what was said)."""

    def run(old, *arguments):
        file, target = tmp_path / "old.yml", tmp_path / "new.yml"
        file.write_text(yaml.safe_dump(old, sort_keys=False))
        monkeypatch.setattr(sys, "argv", ["srzoo", "convert", "options", str(file), "-o", str(target), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, load_options(target).options if not ended.value.code else None, said.out + said.err

    return run


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


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_keep_what_they_are(convert, name):
    old, expected = NETWORKS[name]
    _, options, said = convert(TRAINING | {"network_g": old})
    assert options is not None
    network = options.network_g
    assert {"type": network.type, **{key: network.args[key] for key in expected if key != "type"}} == expected
    if "dropout" in name:
        dropout = network.args["dropout"]
        assert (dropout.mode, dropout.position, dropout.prob) == ("channel", "last", 0.7 if "RRDB" not in name else 0.5)
    if name == "DRCT":
        for key in ("compress_ratio", "squeeze_factor", "conv_scale", "overlap_ratio"):
            assert f"network_g.{key}: no effect in the released code" in said


KERNELS = ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
DEGRADATION = {
    "resize_prob": [0.2, 0.7, 0.1], "resize_range": [0.15, 1.5], "gaussian_noise_prob": 0.5, "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3], "gray_noise_prob": 0.4, "jpeg_range": [30, 95], "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3], "resize_range2": [0.3, 1.2], "gaussian_noise_prob2": 0.5, "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5], "gray_noise_prob2": 0.4, "jpeg_range2": [30, 95], "gt_size": 256,
    "queue_size": 180,
}  # fmt: skip
GT = {
    **LOADER, "type": "RealESRGANDataset", "dataroot_gt": "DF2K", "meta_info": "meta.txt",
    "blur_kernel_size": 21, "kernel_list": KERNELS, "kernel_prob": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob": 0.1, "blur_sigma": [0.2, 3], "betag_range": [0.5, 4], "betap_range": [1, 2],
    "blur_kernel_size2": 21, "kernel_list2": KERNELS, "kernel_prob2": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob2": 0.1, "blur_sigma2": [0.2, 1.5], "betag_range2": [0.5, 4], "betap_range2": [1, 2],
    "final_sinc_prob": 0.8, "gt_size": 256, "use_hflip": True, "use_rot": False,
}  # fmt: skip
REAL = {**TRAINING, **DEGRADATION, "num_gpu": "auto", "gt_usm": True, "model_type": "RealESRNetModel"}
REAL["datasets"] = {"train": GT}
REAL["val"] = None


def test_a_degradation_is_the_shipped_classical_one(convert, tmp_path):
    _, options, said = convert(REAL)
    assert options is not None
    assert options.degradation is not None
    shipped = tmp_path / "shipped.yml"
    shipped.write_text((tmp_path / "new.yml").read_text())
    from tests.support import ROOT

    text = yaml.safe_load(shipped.read_text())
    text["base"] = str(ROOT / "options" / "degradations" / "realesrgan_classical.yml")
    text["degradation"] = {"pool": 180}
    shipped.write_text(yaml.safe_dump(text))
    expected = load_options(shipped).options.degradation
    assert expected is not None
    assert options.degradation.stages == expected.stages
    assert (options.degradation.pool, options.degradation.usm, options.degradation.gt_size) == (180, "gt", 256)
    assert options.datasets.train is not None
    assert options.datasets.train.args["gt_size"] == 400
    assert "multiply by how many you use" in said


def test_an_adversarial_training_keeps_its_parts(convert):
    gan = {
        "model_type": "RealESRGANModel", "num_gpu": 4, "gt_usm": None, "l1_gt_usm": True, "percep_gt_usm": True,
        "gan_gt_usm": False, "network_d": {"type": "UNetDiscriminatorSN", "num_feat": 64, "skip_connection": True},
        "path": {"pretrain_network_g": "net.pth", "param_key_g": "params_ema", "pretrain_network_d": "d.pth"},
        "train": {
            "optim_d": ADAM,
            "perceptual_opt": {
                "type": "PerceptualLoss", "layer_weights": {"conv1_2": 0.1, "conv5_4": 1}, "vgg_type": "vgg19",
                "use_input_norm": True, "perceptual_weight": 1.0, "style_weight": 0, "range_norm": False,
                "criterion": "l1",
            },
            "gan_opt": {"type": "GANLoss", "gan_type": "vanilla", "real_label_val": 1.0, "loss_weight": 0.1},
            "net_d_iters": 1,
        },
    }  # fmt: skip
    _, options, said = convert(merged(REAL, gan))
    assert options is not None
    assert options.train is not None
    assert options.degradation is not None
    assert options.model.args == {
        "l1_gt_usm": True, "percep_gt_usm": True, "gan_gt_usm": False, "net_d_iters": 1, "net_d_init_iters": 0,
    }  # fmt: skip
    assert (options.degradation.usm, options.degradation.pool) == ("lq", 720)
    losses = options.train.losses
    assert list(losses) == ["pixel", "perceptual", "gan"]
    assert losses["gan"].weight == 0.1
    assert losses["perceptual"].args["layers"] == {"conv1_2": 0.1, "conv5_4": 1}
    assert "path.pretrain_network_d: not supported: the discriminator starts anew" in said


def test_lr_only_files_keep_their_tiles(convert):
    old = {
        "name": "LR", "model_type": "DRCTModel", "scale": 4, "num_gpu": 1, "tile": {"tile_size": 512, "tile_pad": 32},
        "datasets": {"test_1": {"name": "custom", "type": "SingleImageDataset", "dataroot_lq": "input"}},
        "network_g": DRCT, "path": {"pretrain_network_g": "x.pth", "param_key_g": "params_ema"},
        "val": {"save_img": True, "suffix": "x"},
    }  # fmt: skip
    _, options, said = convert(old)
    assert options is not None
    assert (options.val.tile, options.val.tile_overlap, options.val.save_img) == (512, 32, True)
    assert options.datasets.test["custom"].type == "LQImages"
    assert "val.suffix: " in said


def test_imagenet_pretraining_enlarges_small_images(convert):
    data = {"type": "ImageNetPairedDataset", "dataroot_gt": "ImageNet", "dataroot_lq": None, "filename_tmpl": None}
    _, options, _ = convert(merged(TRAINING, {"datasets": {"train": data}}))
    assert options is not None
    assert options.datasets.train is not None
    assert options.datasets.train.type == "GTImages"
    assert options.datasets.train.args["enlarge"]


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


def metric(border, luma):
    return {"type": "calculate_psnr", "crop_border": border, "test_y_channel": luma}


def test_borders_are_kept_or_the_metric_is_left_out(convert):
    metrics = {
        "a": metric(0, True),
        "b": metric(0, False),
        "c": metric(4, False),
        "d": metric(2, True),
        "e": metric(3, True),
    }
    _, options, said = convert(TRAINING | {"scale": 2, "network_g": {"type": "MSRResNet"}, "val": {"metrics": metrics}})
    assert options is not None
    protocols = {name: entry.args["protocol"] for name, entry in options.val.metrics.items()}
    assert protocols == {"a": "rt4ksr-fixed", "b": "rt4ksr-rgb", "c": "reflash-rgb", "d": "basicsr-y"}
    assert "val.metrics.e.crop_border: no protocol leaves out 3 pixels at scale 2" in said


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
    assert "there is another Set5" in said
    assert options.train.losses["pixel"].args["eps"] == pytest.approx(1e-3)
    schedule = options.train.scheduler.args
    assert (schedule["milestones"], schedule["restarts"], schedule["restart_weights"]) == ((250000,), (300000,), (0.5,))


def test_old_spellings_of_the_batch_are_the_total(convert):
    data = {"batch_size": 16, "num_worker": 3, "batch_size_per_gpu": None, "num_worker_per_gpu": None}
    _, options, _ = convert(merged(TRAINING, {"datasets": {"train": data}}))
    assert options is not None
    assert options.datasets.train is not None
    assert (options.datasets.train.batch_size, options.datasets.train.num_workers) == (16, 3)


def test_tests_of_adversarial_networks_need_no_discriminator(convert):
    old = {key: TRAINING[key] for key in ("name", "scale", "val")} | {"model_type": "SRGANModel"}
    old |= {"network_g": {"type": "MSRResNet"}, "datasets": {"test_1": {"name": "Set5", **PAIRED}}}
    code, options, _ = convert(old | {"path": {"pretrain_network_g": "net.pth", "strict_load_g": False}})
    assert code == 0
    assert options is not None
    assert options.network_d is None


WRONG = {
    "scheduler": ({"train": {"scheduler": "MultiStepLR"}}, "train.scheduler: a section is expected, not 'MultiStepLR'"),
    "ape": ({"network_g": DRCT | {"ape": True}}, "network_g.ape: True"),
    "window": ({"network_g": {"type": "DRCT", "upscale": 4}}, "network_g.upsampler: ''"),
    "colour": ({"datasets": {"train": {"color": "y"}}}, "datasets.train.color: 'y'"),
    "channels": ({"network_g": {"num_in_ch": 1}}, "network_g.num_out_ch: 3, other than num_in_ch"),
    "sum": ({"train": {"pixel_opt": {"reduction": "sum"}}}, "train.pixel_opt.reduction: other than mean"),
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
