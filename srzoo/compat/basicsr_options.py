"""Option files of BasicSR and of what is built on it (DRCT, HAT, Real-ESRGAN, Reflash Dropout), as srzoo's.

Written from the keys that those files use. Everything that has no counterpart is named with the reason.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from srzoo.compat.basicsr_degradation import degradation
from srzoo.compat.reader import Note, Reader

PLAIN_MODELS = {"SRModel", "DRCTModel", "HATModel", "RealESRNetModel", "RealDRCTMSEModel", "RealHATMSEModel"}
GAN_MODELS = {"SRGANModel", "ESRGANModel", "RealESRGANModel", "RealDRCTGANModel", "RealHATGANModel"}
# The losses of ESRGANModel compare the two verdicts with each other.
RELATIVISTIC = "ESRGANModel"
METRICS = {"calculate_psnr": "PSNR", "calculate_ssim": "SSIM"}

_ANYTIME = "not needed: torchrun starts the processes"
_IDLE = "no effect in the released code"


@dataclass(frozen=True)
class Converted:
    """An option file of srzoo, what was dropped on the way, and what srzoo does not have.

    Args:
        options: the new file's content.
        notes: remarks on keys of the old file.
        unsupported: what keeps the file from being used, in words; empty if nothing does.
    """

    options: dict[str, Any]
    notes: list[Note]
    unsupported: list[str]


def is_basicsr(options: Mapping[str, Any]) -> bool:
    """Whether an option file is of BasicSR's kind."""
    return "model_type" in options


def convert(options: Mapping[str, Any]) -> Converted:
    """Turn the content of an option file of BasicSR's kind into that of one of srzoo's."""
    old = Reader(_booleans(options), (), [], [])
    model = str(old.take("model_type"))
    if model not in PLAIN_MODELS | GAN_MODELS:
        old.refuse("model_type", model)
    name, scale = str(old.take("name", default="converted")), old.take("scale", default=4)
    train = old.section("train")
    seed = old.take("manual_seed", default=train.take("manual_seed", default=0))
    new: dict[str, Any] = {"name": _renamed(old, name, r"[^\w.+-]"), "seed": seed, "scale": scale}
    gpus = old.take("num_gpu", default=1)
    counted = isinstance(gpus, int)
    old.drop(dict.fromkeys(("dist_params", "find_unused_parameters", "use_static_graph", "auto_resume"), _ANYTIME))

    new["network_g"] = _network(old.section("network_g"), scale)
    trained, adversarial = bool(train), model in GAN_MODELS
    discriminator = old.section("network_d")
    if adversarial and trained:
        if model == RELATIVISTIC:
            old.note("model_type", "srzoo's GANModel judges each image by itself, not against the other kind")
        iters = {key: train.take(key) for key in ("net_d_iters", "net_d_init_iters")}
        usm = {key: old.take(key) for key in ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm")}
        new["model"] = {"type": "GANModel", **_given(usm | iters)}
        new["network_d"] = _discriminator(discriminator)
    elif discriminator:
        old.note("network_d", "not used when testing")
        _block(discriminator)
    datasets = old.section("datasets")
    made = degradation(old, datasets, max(gpus, 1) if counted else 1, adversarial)
    val = old.section("val")
    new["datasets"] = _datasets(datasets, gpus if counted else 0, bool(made))
    if made:
        new["degradation"] = made
    new["path"] = _path(old.section("path"), trained)
    if trained:
        new["train"] = _train(train, adversarial)
    new["val"] = _val(val, old.section("tile"), scale, new["datasets"], trained)
    new["logger"] = _logger(old.section("logger"))
    for path in old.left_over():
        old.notes.append(Note(path, "not supported"))
    return Converted({key: value for key, value in new.items() if value not in ({}, None)}, old.notes, old.refusals)


def _booleans(value: Any) -> Any:
    """YAML 1.1, which BasicSR reads, has booleans that are words for srzoo."""
    if isinstance(value, Mapping):
        return {key: _booleans(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_booleans(item) for item in value]
    words = {"yes": True, "on": True, "no": False, "off": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _renamed(old: Reader, name: str, others: str) -> str:
    """`name` without the characters that srzoo's names do not have; a changed one is told."""
    new = re.sub(others, "_", name).lstrip(".+-") or "converted"
    if new != name:
        old.note("name", f"{name} is written as {new}")
    return new


# --- networks ---

# srzoo's name and the keys that are called alike; others are told apart below.
_NETWORKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "MSRResNet": ("SRResNet", ("num_in_ch", "num_feat", "num_block")),
    "RRDBNet": ("RRDBNet", ("num_in_ch", "num_feat", "num_block", "num_grow_ch")),
    "SRVGGNetCompact": ("SRVGGNetCompact", ("num_in_ch", "num_feat", "num_conv")),
    "RCAN": (
        "RCAN",
        ("num_in_ch", "num_feat", "num_group", "num_block", "squeeze_factor", "res_scale", "img_range"),
    ),
    "EDSR": ("EDSR", ("num_in_ch", "num_feat", "num_block", "res_scale", "img_range")),
    "DRCT": (
        "DRCT",
        (
            "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "gc", "img_size", "qkv_bias", "drop_rate",
            "attn_drop_rate", "drop_path_rate", "img_range", "resi_connection",
        ),
    ),
}  # fmt: skip
_IDLE_KEYS = {
    "DRCT": ("compress_ratio", "squeeze_factor", "conv_scale", "overlap_ratio", "norm_layer", "use_checkpoint"),
}
# What the network is if its keys are left out, where srzoo's is another.
_OLD_DEFAULTS: dict[str, dict[str, Any]] = {
    "RCAN": {"num_block": 16},
    "DRCT": {
        "embed_dim": 96, "depths": [6, 6, 6, 6], "num_heads": [6, 6, 6, 6], "window_size": 7, "mlp_ratio": 4.0,
        "upsampler": "",
    },
}  # fmt: skip
# What the network has anyhow; another value is not supported.
_FIXED: dict[str, dict[str, Any]] = {
    "DRCT": {"upsampler": "pixelshuffle", "patch_norm": True, "ape": False, "patch_size": 1},
    "RCAN": {"rgb_mean": [0.4488, 0.4371, 0.4040]},
    "EDSR": {"rgb_mean": [0.4488, 0.4371, 0.4040]},
}


def _network(old: Reader, scale: object) -> dict[str, Any]:
    name = str(old.take("type"))
    family, dropout = _dropout(name)
    if family not in _NETWORKS:
        old.refuse("type", name)
        return {"type": name, **_block(old)}
    kind, keys = _NETWORKS[family]
    defaults = _OLD_DEFAULTS.get(family, {})
    new: dict[str, Any] = {"type": kind} | {key: old.take(key, default=defaults.get(key)) for key in keys}
    channels = old.take("in_chans", default=3)
    if channels != 3:
        new["num_in_ch"] = channels
    if family == "SRVGGNetCompact":
        new["act"] = old.take("act_type")
    if dropout is not None:
        new["dropout"] = dropout
    own_scale = old.take("upscale", "scale")
    if own_scale not in (None, scale):
        old.refuse("upscale", f"{own_scale} under scale {scale}")
    num_out = old.take("num_out_ch", default=3)
    if num_out != (new.get("num_in_ch") or 3):
        old.refuse("num_out_ch", f"{num_out}, other than num_in_ch")
    for key, value in _FIXED.get(family, {}).items():
        given = old.take(key, default=defaults.get(key, value))
        if given != value:
            old.refuse(key, repr(given))
    old.drop(dict.fromkeys(_IDLE_KEYS.get(family, ()), _IDLE))
    return _given(new)


def _dropout(name: str) -> tuple[str, dict[str, Any] | None]:
    """MSRResNet_details_dropoutlast_channel07 -> MSRResNet and where what is dropped."""
    found = re.fullmatch(r"(MSRResNet|RRDBNet)(?:_details)?_dropout(last)_(channel|element)(\d)(\d*)", name)
    if found is None:
        return name, None
    family, position, mode, whole, part = found.groups()
    return family, {"mode": mode, "prob": float(f"{whole}.{part or 0}"), "position": position}


def _discriminator(old: Reader) -> dict[str, Any]:
    name = str(old.take("type"))
    keys = {
        "UNetDiscriminatorSN": ("num_in_ch", "num_feat", "skip_connection"),
        "VGGStyleDiscriminator": ("num_in_ch", "num_feat", "input_size"),
    }
    if name not in keys:
        old.refuse("type", name)
    return {"type": name, **_given({key: old.take(key) for key in keys.get(name, old.names())})}


# --- data ---

_LOADER = {
    "use_shuffle": "samples always come shuffled, each once an epoch",
    "dataset_enlarge_ratio": "there is no epoch to enlarge: a training is counted in updates",
    "prefetch_mode": "loader processes fetch ahead anyhow",
    "num_prefetch_queue": "loader processes fetch ahead anyhow",
    "pin_memory": "done on GPUs anyhow",
    "phase": "known from the split",
}


def _datasets(old: Reader, gpus: int, degraded: bool) -> dict[str, Any]:
    new: dict[str, Any] = {}
    train = old.section("train")
    if train:
        per_gpu, total = train.take("batch_size_per_gpu"), train.take("batch_size")
        workers = train.take("num_worker_per_gpu", "num_worker")
        if isinstance(per_gpu, int):
            total = per_gpu * max(gpus, 1)
            if gpus != 1:
                counted = f"times {gpus} GPUs" if gpus else "as it is for one GPU; multiply by how many you use"
                train.note("batch_size_per_gpu", f"batch_size is the total: {per_gpu} {counted}")
        new["train"] = _dataset(train, "train", degraded) | _given({"batch_size": total, "num_workers": workers})
    for split in ("val", "test"):
        found: dict[str, Any] = {}
        for section, reader in old.sections(split).items():
            name = _renamed(reader, str(reader.take("name", default=section)), r"[^\w+-]")
            if name in found:
                reader.note("name", f"there is another {name}: written as {name}_{section}")
                name = f"{name}_{section}"
            found[name] = _dataset(reader, split, degraded)
        if found:
            new[split] = found
    return new


def _dataset(old: Reader, split: str, degraded: bool) -> dict[str, Any]:
    kind = str(old.take("type"))
    old.drop(_LOADER)
    if split == "train":
        old.take("name")
    backend = old.section("io_backend").take("type", default="disk")
    if backend != "disk":
        old.note("io_backend", f"{backend} is not read: name the folder of images")
    for key in ("mean", "std", "color"):
        given = old.take(key)
        if given not in (None, "rgb"):
            old.refuse(key, f"{given!r}; images are RGB in [0, 1]")
    meta_info = old.take("meta_info_file", "meta_info")
    new: dict[str, Any] = {}
    if kind == "PairedImageDataset":
        new = {"type": "PairedImages", "gt": old.take("dataroot_gt"), "lq": old.take("dataroot_lq")}
        new["lq_template"] = old.take("filename_tmpl")
    elif kind in ("RealESRGANDataset", "ImageNetPairedDataset"):
        new = {"type": "GTImages", "gt": old.take("dataroot_gt")}
        if kind == "ImageNetPairedDataset":
            new["enlarge"] = True
    elif kind == "SingleImageDataset":
        new = {"type": "LQImages", "lq": old.take("dataroot_lq")}
    else:
        old.refuse("type", kind)
        return {"type": kind, **_given({"meta_info": meta_info}), **_block(old)}
    new["meta_info"] = meta_info
    if split == "train":
        new["gt_size"] = old.take("gt_size")
        new["use_hflip"], new["use_rot"] = old.take("use_hflip", "use_flip"), old.take("use_rot")
        if kind == "RealESRGANDataset" and degraded:
            old.note("gt_size", "the released code degrades crops of 400 and trains on a part of them: so does this")
            new["gt_size"] = 400
    return _given(new)


# --- training ---


def _path(old: Reader, trained: bool) -> dict[str, Any]:
    new: dict[str, Any] = {}
    weights = old.take("pretrain_network_g", "pretrain_model_g")
    key, strict = old.take("param_key_g"), old.take("strict_load_g", "strict_load", default=True)
    if weights is not None:
        new["pretrain_network_g"] = weights
        if key is not None:
            new["param_key_g"] = key
        elif not old.is_empty("param_key_g"):
            new["param_key_g"] = "params"
            old.note("param_key_g", "params, BasicSR's default; `auto` prefers a moving average")
        if strict is False and trained:
            new["load"] = "partial"
        elif strict is False:
            old.note("strict_load_g", "a test takes the network's weights or none")
    elif key is not None:
        old.note("param_key_g", "there are no weights to choose from")
    anew = "not supported: the discriminator starts anew"
    old.drop(
        {
            "resume_state": "a training continues with --resume auto or --resume FILE",
            "ignore_resume_networks": "a training continues whole",
            **dict.fromkeys(("pretrain_network_d", "pretrain_model_d", "param_key_d", "strict_load_d"), anew),
        }
    )
    return new


def _train(old: Reader, adversarial: bool) -> dict[str, Any]:
    new: dict[str, Any] = {"total_iter": _whole(old.take("total_iter", "niter"))}
    new["optim_g"] = _block(old.section("optim_g"))
    optim_d = _block(old.section("optim_d"))
    if adversarial:
        new["optim_d"] = optim_d
    elif optim_d:
        old.note("optim_d", "there is no discriminator")
    scheduler = old.section("scheduler")
    if scheduler:
        new["scheduler"] = _scheduler(scheduler)
    warmup = old.take("warmup_iter", default=-1)
    if warmup != -1:
        new["warmup_iter"] = _whole(warmup)
    ema = old.take("ema_decay", default=0)
    if ema:
        new["ema_decay"] = ema
    if old.take("use_grad_clip"):
        new["grad_clip"] = 0.01
        old.note("use_grad_clip", "written as grad_clip: 0.01, the limit that BasicSR's models use")
    losses = {name: old.section(name) for name in old.names() if name.endswith("_opt")}
    new["losses"] = {name.removesuffix("_opt"): _loss(reader) for name, reader in losses.items()}
    return new


def _block(old: Reader) -> dict[str, Any]:
    return {name: old.take(name) for name in old.names()}


def _scheduler(old: Reader) -> dict[str, Any]:
    kind = str(old.take("type"))
    if kind in ("MultiStepLR", "MultiStepRestartLR"):
        new = {"type": "MultiStepRestart", "milestones": _whole(old.take("milestones")), "gamma": old.take("gamma")}
        restarts, weights = _whole(old.take("restarts")), old.take("restart_weights")
        if isinstance(restarts, list) and restarts[:1] == [0]:
            # BasicSR's form of the start, which has the full rate anyhow.
            restarts, weights = restarts[1:], weights[1:] if isinstance(weights, list) else weights
        new |= {"restarts": restarts, "restart_weights": weights}
    elif kind == "CosineAnnealingRestartLR":
        new = {"type": "CosineRestart", "periods": _whole(old.take("periods")), "eta_min": old.take("eta_min")}
        new["restart_weights"] = old.take("restart_weights")
    elif kind == "TrueCosineAnnealingLR":
        new = {"type": "CosineRestart", "periods": [_whole(old.take("T_max"))], "eta_min": old.take("eta_min")}
    else:
        old.refuse("type", kind)
        new = {"type": kind, **_block(old)}
    return _given(new)


_MEANS = {"L1Loss": "L1Loss", "MSELoss": "MSELoss", "CharbonnierLoss": "CharbonnierLoss", "WeightedTVLoss": "TVLoss"}


def _loss(old: Reader) -> dict[str, Any]:
    kind = str(old.take("type"))
    if kind in _MEANS:
        if old.take("reduction", default="mean") != "mean":
            old.refuse("reduction", "other than mean")
        new = {"type": _MEANS[kind], "weight": old.take("loss_weight")}
        eps = old.take("eps")
        if eps is not None:
            # BasicSR adds eps under the root, srzoo its square.
            new["eps"] = eps**0.5 if isinstance(eps, float | int) and eps >= 0 else eps
    elif kind == "PerceptualLoss":
        new = _perceptual(old)
    elif kind == "GANLoss":
        new = {"type": "GANLoss", "weight": old.take("loss_weight"), "gan_type": old.take("gan_type")}
        new["real_label"], new["fake_label"] = old.take("real_label_val"), old.take("fake_label_val")
    else:
        old.refuse("type", kind)
        new = {"type": kind, **_block(old)}
    return _given(new)


def _perceptual(old: Reader) -> dict[str, Any]:
    new = {
        "type": "PerceptualLoss",
        "net": old.take("vgg_type"),
        "layers": _block(old.section("layer_weights")) or None,
    }
    new["content_weight"] = old.take("perceptual_weight", default=1.0)
    new["style_weight"] = old.take("style_weight", default=0.0)
    new["use_input_norm"], new["criterion"] = old.take("use_input_norm"), old.take("criterion")
    if old.take("range_norm"):
        old.refuse("range_norm", "images are in [0, 1]")
    return new


# --- validation and reports ---


def _val(old: Reader, tile: Reader, scale: object, datasets: dict[str, Any], trained: bool) -> dict[str, Any]:
    """`val`; data sets that nothing would be measured or written on are taken out of `datasets`."""
    new: dict[str, Any] = {}
    if old.take("save_img"):
        new["save_img"] = True
    old.drop(
        {
            "suffix": "images are named after their input and lie below the run's name",
            "pbar": "bars show on terminals only",
            "use_image": "images are always used",
        }
    )
    metrics, found = old.section("metrics"), {}
    for name in metrics.names():
        reader = metrics.section(name)
        metric = _metric(reader, scale)
        if metric:
            found[_renamed(reader, name, r"[^\w+-]")] = metric
    if found:
        new["metrics"] = found
    elif "val" in datasets:
        old.note("metrics", "there are none: the data sets of `val` are left out")
        del datasets["val"]
    freq = old.take("val_freq")
    if freq is not None and "val" in datasets and trained:
        new["val_freq"] = _whole(freq)
    elif freq is not None:
        old.note("val_freq", "there is nothing to validate on")
    size = tile.take("tile_size")
    if size:
        new |= {"tile": size, **_given({"tile_overlap": tile.take("tile_pad")})}
    return new


# By border (None: the scale) and whether luma is compared.
_PROTOCOLS = {
    (None, True): "basicsr-y",
    (None, False): "basicsr-rgb",
    (0, True): "rt4ksr-fixed",
    (0, False): "rt4ksr-rgb",
    (4, False): "reflash-rgb",
}


def _metric(old: Reader, scale: object) -> dict[str, Any]:
    kind = str(old.take("type"))
    old.drop({"better": "every metric knows"})
    border, luma = old.take("crop_border", default=0), bool(old.take("test_y_channel", default=False))
    if kind not in METRICS:
        old.note("type", f"{kind} is not supported")
        return {}
    protocol = _PROTOCOLS.get((None if border == scale else border, luma))
    if protocol is None:
        old.note("crop_border", f"no protocol leaves out {border} pixels at scale {scale}: this metric is left out")
        return {}
    return {"type": METRICS[kind], "protocol": protocol}


def _logger(old: Reader) -> dict[str, Any]:
    new = {
        "print_freq": old.take("print_freq"),
        "save_freq": old.take("save_checkpoint_freq"),
        "use_tb_logger": old.take("use_tb_logger"),
    }
    wandb = old.section("wandb")
    if wandb.take("project") is not None:
        old.note("wandb", "not supported; TensorBoard files are written")
    wandb.take("resume_id")
    return {key: _whole(value) for key, value in new.items() if value is not None}


def _whole(value: Any) -> Any:
    """5e3 as the count that is meant."""
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
