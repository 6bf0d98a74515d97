"""Shipped trainings against the values in the option files that their authors released.

The values are facts about DRCT (commit b550523, x4 from scratch a779edd, Real-DRCT fd39e04) and Reflash Dropout. They
are converted as a user's file would be, and compared with the shipped file key by key; each allowed difference has a
reason. IMDN, RT4KSR and D2C-SR released programs with arguments instead, whose values are at the end.
"""

import re
from typing import Any

import pytest
import yaml

from srzoo.chain import weights_after
from srzoo.compat.basicsr.convert import convert
from srzoo.losses.perceptual import LAYERS
from srzoo.options import load_chain, load_options
from tests.compat.old_options import KERNELS
from tests.support import ROOT, merged, write_options

ADAM = {"type": "Adam", "weight_decay": 0, "betas": [0.9, 0.99]}
L1 = {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"}
DRCT: dict[str, Any] = {
    "type": "DRCT", "in_chans": 3, "img_size": 64, "window_size": 16, "compress_ratio": 3, "squeeze_factor": 30,
    "conv_scale": 0.01, "overlap_ratio": 0.5, "img_range": 1.0, "depths": [6] * 6, "embed_dim": 180,
    "num_heads": [6] * 6, "mlp_ratio": 2, "upsampler": "pixelshuffle", "resi_connection": "1conv",
}  # fmt: skip
LARGE = {"network_g": {"depths": [6] * 12, "num_heads": [6] * 12}}
CROPS = {2: 128, 3: 192, 4: 256}
DEGRADATION = {
    "resize_prob": [0.2, 0.7, 0.1], "resize_range": [0.15, 1.5], "gaussian_noise_prob": 0.5, "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3], "gray_noise_prob": 0.4, "jpeg_range": [30, 95], "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3], "resize_range2": [0.3, 1.2], "gaussian_noise_prob2": 0.5, "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5], "gray_noise_prob2": 0.4, "jpeg_range2": [30, 95],
}  # fmt: skip
BLUR = {
    "blur_kernel_size": 21, "kernel_list": KERNELS, "kernel_prob": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob": 0.1, "blur_sigma": [0.2, 3], "betag_range": [0.5, 4], "betap_range": [1, 2],
    "blur_kernel_size2": 21, "kernel_list2": KERNELS, "kernel_prob2": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
    "sinc_prob2": 0.1, "blur_sigma2": [0.2, 1.5], "betag_range2": [0.5, 4], "betap_range2": [1, 2],
    "final_sinc_prob": 0.8,
}  # fmt: skip


def drct(scale, *changes):
    """Return the values of DRCT_SRx{scale}_from_scratch; `num_gpu: auto` is 8, as in the README's command."""
    values = {
        "model_type": "DRCTModel", "scale": scale, "num_gpu": 8, "manual_seed": 0,
        "datasets": {
            "train": {
                "type": "PairedImageDataset", "dataroot_gt": "datasets/DF2K/DF2K_HR_sub",
                "dataroot_lq": f"datasets/DF2K/DF2K_bicx{scale}_sub",
                "meta_info_file": "drct/data/meta_info/meta_info_DF2Ksub_GT.txt",
                "gt_size": CROPS[scale], "use_hflip": True, "use_rot": True,
                "num_worker_per_gpu": 6, "batch_size_per_gpu": 4,
            },
        },
        "network_g": {**DRCT, "upscale": scale},
        "path": {"pretrain_network_g": None, "strict_load_g": True},
        "train": {
            "ema_decay": 0.999, "optim_g": {**ADAM, "lr": 2e-4},
            "scheduler": {"type": "MultiStepLR", "milestones": [250000, 400000, 450000, 475000], "gamma": 0.5},
            "total_iter": 500000, "warmup_iter": -1, "pixel_opt": L1,
        },
    }  # fmt: skip
    for change in changes:
        values = merged(values, change)
    return values


IMAGENET = {
    "datasets": {
        "train": {
            "type": "ImageNetPairedDataset", "dataroot_gt": "datasets/ImageNet/GT", "dataroot_lq": None,
            "meta_info_file": "drct/data/meta_info/meta_info_ImageNet_GT.txt",
        },
    },
    "train": {
        "total_iter": 800000,
        "scheduler": {"type": "MultiStepLR", "milestones": [300000, 500000, 650000, 700000, 750000], "gamma": 0.5},
    },
}  # fmt: skip
FINE = {"type": "MultiStepLR", "milestones": [125000, 200000, 225000, 240000], "gamma": 0.5}
FINETUNE = {
    "train": {"total_iter": 250000, "optim_g": {"lr": 1e-5}, "scheduler": FINE},
    "path": {"pretrain_network_g": "net_g_latest.pth", "param_key_g": "params_ema"},
}
FROM_X2 = merged(FINETUNE, {"train": {"optim_g": {"lr": 1e-4}}})
# The only file of whole images.
WHOLE = {
    "datasets": {
        "train": {
            "dataroot_gt": "datasets/DF2K/DF2K_train_HR", "dataroot_lq": "datasets/DF2K/DF2K_train_LR_bicubic/X4",
            "meta_info_file": None,
        },
    },
}  # fmt: skip
REAL = {
    **DEGRADATION, "model_type": "RealDRCTMSEModel", "gt_usm": True, "gt_size": 256, "queue_size": 180,
    "datasets": {
        "train": {
            **BLUR, "type": "RealESRGANDataset", "dataroot_gt": "datasets/DFO/DFO_sub", "dataroot_lq": None,
            "meta_info_file": "drct/data/meta_info/meta_info_DFOsub_GT.txt", "use_rot": False, "num_worker_per_gpu": 5,
        },
    },
    "train": {
        "optim_g": {"lr": 1e-4}, "total_iter": 1000000,
        "scheduler": {"type": "MultiStepLR", "milestones": [1000000], "gamma": 0.5},
    },
}  # fmt: skip
GAN: dict[str, Any] = {
    "model_type": "RealDRCTGANModel", "gt_usm": None, "l1_gt_usm": True, "percep_gt_usm": True, "gan_gt_usm": False,
    "network_d": {"type": "UNetDiscriminatorSN", "num_in_ch": 3, "num_feat": 64, "skip_connection": True},
    "path": {"pretrain_network_g": "Real_HAT_x4.pth", "param_key_g": "params_ema"},
    "train": {
        "total_iter": 400000, "optim_d": {**ADAM, "lr": 1e-4}, "scheduler": {"milestones": [400000]},
        "perceptual_opt": {
            "type": "PerceptualLoss", "vgg_type": "vgg19", "use_input_norm": True, "perceptual_weight": 1.0,
            "style_weight": 0, "range_norm": False, "criterion": "l1",
            "layer_weights": {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1, "conv4_4": 1, "conv5_4": 1},
        },
        "gan_opt": {
            "type": "GANLoss", "gan_type": "vanilla", "real_label_val": 1.0, "fake_label_val": 0.0, "loss_weight": 0.1,
        },
        "net_d_iters": 1, "net_d_init_iters": 0,
    },
}  # fmt: skip


def reflash(network):
    """Return the values of Reflash Dropout's four released trainings, which differ in the network."""
    return {
        **DEGRADATION, "model_type": "RealESRNetModel", "scale": 4, "num_gpu": 2, "manual_seed": 0,
        "network_g": {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, **network},
        "gt_usm": True, "gt_size": 128, "queue_size": 16,
        "datasets": {
            "train": {
                **BLUR, "type": "RealESRGANDataset", "dataroot_gt": "DIV2K/DIV2K_train_HR_sub",
                "meta_info": "DIV2K/meta_info_DIV2K800sub_GT.txt", "gt_size": 128, "use_hflip": True, "use_rot": False,
                "num_worker_per_gpu": 2, "batch_size_per_gpu": 8,
            },
        },
        "path": {"pretrain_network_g": None, "param_key_g": "params_ema", "strict_load_g": True},
        "train": {
            "ema_decay": 0.999, "optim_g": {**ADAM, "lr": 2e-4},
            "scheduler": {
                "type": "CosineAnnealingRestartLR", "periods": [250000, 500000], "restart_weights": [1, 1],
            },
            "total_iter": 500000, "warmup_iter": -1, "pixel_opt": L1,
        },
    }  # fmt: skip


# In the released file the first is `MSRResNet_detailss`: the same function with its blocks spelt out.
SRRESNET = {"type": "MSRResNet", "num_block": 16, "upscale": 4}
SRRESNET_DROPOUT = {"type": "MSRResNet_details_dropoutlast_channel07", "num_block": 16, "upscale": 4}
RRDB = {"type": "RRDBNet", "num_block": 23, "num_grow_ch": 32}
RRDB_DROPOUT = {"type": "RRDBNet_dropoutlast_channel05", "num_block": 23, "num_grow_ch": 32}

# Differences that are allowed: pattern of keys -> reason.
PLACES = {
    r"datasets\.train\.(gt|meta_info)": "images lie where docs/datasets.md says, and all images of a folder are used",
}
# LQ is made when GT is read, as in the files.
PAIRS = {r"datasets\.train\.(type|lq|.*_lq|lq_.*|gt_template|enlarge|sources|pairs)": "no files of LQ images are kept"}
START = {r"path\.(pretrain_network_g|param_key_g)": "a chain passes weights from stage to stage"}
PARTIAL = {r"path\.load": "the released file loads x2 weights strictly into x4, which stops at the upsampler"}
VGG = {r"train\.losses\.perceptual\.layers(\..*)?": "the default, see below"}
LATE = {r"train\.scheduler\..*": "halved at the last update only: a constant rate"}
# DRCT's files for x3 on ImageNet, and for fine-tuning DRCT-L x3, name HAT: converted here as DRCT.

CASES = {
    **{
        f"drct/{prefix}_x{scale}_ImageNet:{stage}": (
            drct(scale, change, size), PLACES | (START | PAIRS if stage == "finetune" else {})
        )
        for scale in (2, 3, 4)
        for prefix, size in (("DRCT", {}), ("DRCT-L", LARGE))
        for stage, change in (("pretrain", IMAGENET), ("finetune", FINETUNE))
    },
    "drct/DRCT_x2": (drct(2), PLACES | PAIRS),
    "drct/DRCT_x3": (drct(3), PLACES | PAIRS),
    "drct/DRCT_x4": (drct(4, WHOLE), PLACES | PAIRS),
    "drct/DRCT_x4_from_x2:x4": (drct(4, FROM_X2), PLACES | PAIRS | START | PARTIAL),
    "drct/Real-DRCT_x4:mse": (drct(4, REAL), LATE),
    "drct/Real-DRCT_x4:gan": (drct(4, REAL, GAN), LATE | START | VGG),
    "reflash/Real-SRResNet_x4": (reflash(SRRESNET), PLACES),
    "reflash/Real-SRResNet_x4_dropout": (reflash(SRRESNET_DROPOUT), PLACES),
    "reflash/Real-RRDB_x4": (reflash(RRDB), PLACES),
    "reflash/Real-RRDB_x4_dropout": (reflash(RRDB_DROPOUT), PLACES),
}  # fmt: skip
# The sections that decide the weights.
COMPARED = ("scale", "seed", "model", "network_g", "network_d", "degradation", "datasets.train", "train", "path")


def flat(tree, prefix=""):
    """Return nested values by dotted path, entries of lists by their number."""
    if isinstance(tree, dict) or (isinstance(tree, list) and any(isinstance(item, dict) for item in tree)):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {key: value for name, item in items for key, value in flat(item, f"{prefix}{name}.").items()}
    return {prefix.rstrip("."): tree}


def deciding(text):
    values = flat(yaml.safe_load(text))
    for name in ("path.experiments", "path.root", "datasets.train.num_workers"):  # without effect on the weights
        values.pop(name, None)
    return {key: value for key, value in values.items() if key.startswith(COMPARED)}


@pytest.mark.parametrize("case", CASES)
def test_a_shipped_training_has_the_released_values(case, tmp_path):
    released, allowed = CASES[case]
    converted = convert(released | {"name": "released"})
    assert not converted.unsupported
    theirs = deciding(load_options(write_options(tmp_path / "released.yml", converted.options)).text)
    file, _, stage = case.partition(":")
    chain = load_chain(ROOT / "options" / "train" / f"{file}.yml", (), weights_after)
    ours = deciding((chain[stage] if stage else next(iter(chain.values()))).text)
    differing = {key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)}
    unexplained = {
        key: (theirs.get(key), ours.get(key))
        for key in sorted(differing)
        if not any(re.fullmatch(pattern, key) for pattern in allowed)
    }
    assert unexplained == {}, "released value, shipped value"
    idle = [pattern for pattern in allowed if not any(re.fullmatch(pattern, key) for key in differing)]
    assert idle == [], "allowed differences that do not exist"


def test_the_released_layers_of_vgg_are_the_default():
    assert GAN["train"]["perceptual_opt"]["layer_weights"] == LAYERS


def test_every_released_training_is_compared():
    """Trainings whose authors released no option file: variants of another, and those of other programs."""
    shipped = {
        path.relative_to(ROOT / "options" / "train").with_suffix("").as_posix()
        for folder in ("drct", "reflash")
        for path in (ROOT / "options" / "train" / folder).glob("[!_]*.yml")
    }
    compared = {case.partition(":")[0] for case in CASES}
    from_scratch = {f"drct/DRCT-L_x{scale}" for scale in (2, 3, 4)}
    single_stages = {"drct/Real-DRCT_x4_MSE", "drct/Real-DRCT_x4_GAN"}
    unreleased = {f"reflash/{net}_x4_noUSM{end}" for net in ("Real-RRDB", "Real-SRResNet") for end in ("", "_dropout")}
    bicubic = {f"reflash/{net}_bicubic_x4{end}" for net in ("RRDB", "SRResNet") for end in ("", "_dropout")}
    studies = {"drct/ablation_gc", "reflash/ablation_dropout", "reflash/study_dropout_bsds400"}
    assert shipped - compared == from_scratch | single_stages | unreleased | bicubic | studies


IMDN = {
    "datasets.train.gt_size": 192, "datasets.train.batch_size": 16, "datasets.train.use_hflip": True,
    "datasets.train.use_rot": True, "train.total_iter": 1000 * 1000, "train.optim_g.type": "Adam",
    "train.optim_g.lr": 2e-4, "train.optim_g.betas": [0.9, 0.999], "train.scheduler.gamma": 0.5,
    # Epoch e, counted from 1, of 1000 updates has the rate 2e-4 * 0.5^(e // 200).
    "train.scheduler.milestones": [1000 * (epoch - 1) for epoch in range(2, 1001) if epoch // 200 > (epoch - 1) // 200],
    "train.ema_decay": 0.0, "train.losses.pixel.type": "L1Loss", "train.grad_clip": None, "train.warmup_iter": 0,
}  # fmt: skip
RT4KSR = {
    "datasets.train.batch_size": 64, "datasets.train.use_hflip": True, "datasets.train.use_rot": True,
    "datasets.train.round_lq": False, "datasets.train.sources.LSDIR.limit": 1000, "train.optim_g.type": "Adam",
    "train.ema_decay": 0.0, "train.losses.pixel.type": "L1Loss", "network_g.num_feats": 24, "network_g.num_blocks": 4,
    "network_g.act": "gelu", "datasets.val.Set5.lq_multiple": 2,
}  # fmt: skip
D2C = {
    "datasets.train.batch_size": 4, "train.optim_g.lr": 1e-4, "train.optim_g.weight_decay": 1e-8,
    "train.optim_g.betas": [0.9, 0.999], "train.scheduler.gamma": 0.5, "train.losses.pixel.type": "MSELoss",
    # 20,000 epochs of 400 pairs in batches of 4, the rate halved after every 2000.
    "train.total_iter": 20000 * 100, "train.scheduler.milestones": [100 * epoch for epoch in range(2000, 20000, 2000)],
    "train.losses.divergence.weight": 2e-5, "train.ema_decay": 0.0, "network_g.init": "published",
}  # fmt: skip
ARGUMENTS = {
    **{f"imdn/IMDN_x{scale}": IMDN | {"scale": scale} for scale in (2, 3, 4)},
    "imdn/IMDN_AS": IMDN
    | {"val.tile_rule": "acs", **{f"val.metrics.{name}.protocol": "imdn-as-y" for name in ("psnr", "ssim")}},
    "imdn/IMDN_RTE_x2": IMDN | {"degradation.stages.1.type": "GaussianNoise"},
    **{
        f"rt4ksr/RT4KSR_x{scale}": RT4KSR | {"train.optim_g.lr": 5e-4, "datasets.train.gt_size": 128 * scale}
        for scale in (2, 3)
    },
    **{
        f"rt4ksr/baseline_x{scale}": RT4KSR | {"train.optim_g.lr": 1e-4, "datasets.train.gt_size": 128 * scale}
        for scale in (2, 3)
    },
    "rt4ksr/RT4KSR_x2_NTIRE": RT4KSR | {"datasets.train.sources.GTA5.limit": 2500},
    **{f"d2c/D2C_RealSR_x{scale}": D2C | {"datasets.train.gt_size": 96 * scale} for scale in (2, 3, 4)},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_shipped_training_has_the_values_of_the_released_program(name):
    (loaded,) = load_chain(ROOT / "options" / "train" / f"{name}.yml", (), weights_after).values()
    ours = flat(yaml.safe_load(loaded.text))
    assert {key: ours.get(key) for key in ARGUMENTS[name]} == ARGUMENTS[name]


def test_the_cosine_schedule_of_reflash_dropout_ends_at_half_the_rate():
    (loaded,) = load_chain(ROOT / "options/train/reflash/Real-SRResNet_x4.yml", (), weights_after).values()
    assert loaded.options.train is not None
    schedule, total = loaded.options.train.scheduler.build(), loaded.options.train.total_iter
    assert schedule(2e-4, total) == pytest.approx(1.0e-4)
    assert schedule(2e-4, 250000) == 0
    assert schedule(2e-4, 250001) == pytest.approx(2e-4)
