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
    notes: list[Note] = []
    old = Reader(options, (), notes)
    unsupported: list[str] = []
    model = str(old.take("model_type"))
    if model not in PLAIN_MODELS | GAN_MODELS:
        unsupported.append(f"model_type {model}")
    if model == RELATIVISTIC:
        old.note("model_type", "srzoo's GANModel judges each image by itself, not against the other kind")
    name, scale = str(old.take("name", default="converted")), old.take("scale", default=4)
    if not re.fullmatch(r"[\w][\w.+-]*", name):
        name = re.sub(r"[^\w.+-]", "_", name).lstrip(".+-") or "converted"
        old.note("name", f"written as {name}")
    new: dict[str, Any] = {"name": name, "seed": old.take("manual_seed", default=0), "scale": scale}
    gpus = old.take("num_gpu", default=1)
    known = isinstance(gpus, int)
    gpus = max(gpus, 1) if known else 1
    old.drop(dict.fromkeys(("dist_params", "find_unused_parameters", "use_static_graph", "auto_resume"), _ANYTIME))

    new["network_g"] = _network(old.section("network_g"), scale, unsupported)
    adversarial = model in GAN_MODELS
    train = old.section("train")
    if adversarial:
        usm = {key: old.take(key) for key in ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm")}
        iters = {key: train.take(key) for key in ("net_d_iters", "net_d_init_iters")}
        new["model"] = {"type": "GANModel"} | {key: value for key, value in (usm | iters).items() if value is not None}
        new["network_d"] = _discriminator(old.section("network_d"), unsupported)
    datasets = old.section("datasets")
    made = degradation(old, datasets, gpus, adversarial)
    new["datasets"] = _datasets(datasets, gpus if known else 0, bool(made), unsupported)
    if made:
        new["degradation"] = made
    new["path"] = _path(old.section("path"))
    if train:
        new["train"] = _train(train, adversarial, unsupported)
    new["val"] = _val(
        old.section("val"), old.section("tile"), scale, "val" in new["datasets"] and bool(new.get("train"))
    )
    new["logger"] = _logger(old.section("logger"))
    for path in old.left_over():
        notes.append(Note(path, "not supported"))
    return Converted({key: value for key, value in new.items() if value not in ({}, None)}, notes, unsupported)


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
    "DRCT": ("compress_ratio", "squeeze_factor", "conv_scale", "overlap_ratio", "patch_size", "norm_layer", "ape"),
}
# What the network has anyhow; another value is not supported.
_FIXED: dict[str, dict[str, Any]] = {
    "DRCT": {"upsampler": "pixelshuffle", "patch_norm": True, "use_checkpoint": False},
    "RCAN": {"rgb_mean": [0.4488, 0.4371, 0.4040]},
    "EDSR": {"rgb_mean": [0.4488, 0.4371, 0.4040]},
}


def _network(old: Reader, scale: object, unsupported: list[str]) -> dict[str, Any]:
    name = str(old.take("type"))
    family, dropout = _dropout(name)
    if family not in _NETWORKS:
        unsupported.append(f"network_g.type {name}")
        return {"type": name} | {key: old.take(key) for key in old.names()}
    kind, keys = _NETWORKS[family]
    new: dict[str, Any] = {"type": kind} | {key: old.take(key) for key in keys}
    channels = old.take("in_chans", default=3)
    if channels != 3:
        new["num_in_ch"] = channels
    if family == "SRVGGNetCompact":
        new["act"] = old.take("act_type")
    if dropout is not None:
        new["dropout"] = dropout
    own_scale = old.take("upscale", "scale")
    if own_scale not in (None, scale):
        unsupported.append(f"network_g at scale {own_scale} under scale {scale}")
    num_out = old.take("num_out_ch")
    if num_out not in (None, new.get("num_in_ch", 3), 3):
        unsupported.append(f"network_g with {num_out} output channels")
    for key, value in _FIXED.get(family, {}).items():
        given = old.take(key)
        if given is not None and given != value:
            unsupported.append(f"network_g.{key}: {given}")
    old.drop(dict.fromkeys(_IDLE_KEYS.get(family, ()), _IDLE))
    return {key: value for key, value in new.items() if value is not None}


def _dropout(name: str) -> tuple[str, dict[str, Any] | None]:
    """MSRResNet_details_dropoutlast_channel07 -> MSRResNet and where what is dropped."""
    found = re.fullmatch(r"(MSRResNet|RRDBNet)(?:_details)?_dropout(last)_(channel|element)(\d)(\d*)", name)
    if found is None:
        return name, None
    family, position, mode, whole, part = found.groups()
    return family, {"mode": mode, "prob": float(f"{whole}.{part or 0}"), "position": position}


def _discriminator(old: Reader, unsupported: list[str]) -> dict[str, Any]:
    name = str(old.take("type"))
    keys = {
        "UNetDiscriminatorSN": ("num_in_ch", "num_feat", "skip_connection"),
        "VGGStyleDiscriminator": ("num_in_ch", "num_feat", "input_size"),
    }
    if name not in keys:
        unsupported.append(f"network_d.type {name}")
    taken = {key: old.take(key) for key in keys.get(name, old.names())}
    return {"type": name} | {key: value for key, value in taken.items() if value is not None}


# --- data ---

_LOADER = {
    "use_shuffle": "samples always come shuffled, each once an epoch",
    "dataset_enlarge_ratio": "there is no epoch to enlarge: a training is counted in updates",
    "prefetch_mode": "loader processes fetch ahead anyhow",
    "num_prefetch_queue": "loader processes fetch ahead anyhow",
    "pin_memory": "done on GPUs anyhow",
    "phase": "known from the split",
    "color": "images are read as RGB",
}


def _datasets(old: Reader, gpus: int, degraded: bool, unsupported: list[str]) -> dict[str, Any]:
    new: dict[str, Any] = {}
    train = old.section("train")
    if train:
        per_gpu = train.take("batch_size_per_gpu", default=1)
        new["train"] = _dataset(train, "train", degraded, unsupported)
        new["train"]["batch_size"] = per_gpu * max(gpus, 1)
        if gpus != 1:
            counted = f"times {gpus} GPUs" if gpus else "as it is for one GPU; multiply by how many you use"
            train.note("batch_size_per_gpu", f"batch_size is the total: {per_gpu} {counted}")
        workers = train.take("num_worker_per_gpu")
        if workers is not None:
            new["train"]["num_workers"] = workers
    for split in ("val", "test"):
        found: dict[str, Any] = {}
        for section, reader in old.sections(split).items():
            name = re.sub(r"[^\w+-]", "_", str(reader.take("name", default=section)))
            found[name] = _dataset(reader, split, degraded, unsupported)
        if found:
            new[split] = found
    return new


def _dataset(old: Reader, split: str, degraded: bool, unsupported: list[str]) -> dict[str, Any]:
    kind = str(old.take("type"))
    old.drop(_LOADER)
    if split == "train":
        old.take("name")
    backend = old.section("io_backend").take("type", default="disk")
    if backend != "disk":
        old.note("io_backend", f"{backend} is not read: name the folder of images")
    meta_info = old.take("meta_info_file", "meta_info")
    new: dict[str, Any] = {}
    if kind in ("PairedImageDataset", "RealESRGANPairedDataset"):
        new = {"type": "PairedImages", "gt": old.take("dataroot_gt"), "lq": old.take("dataroot_lq")}
        new["lq_template"] = old.take("filename_tmpl")
    elif kind in ("RealESRGANDataset", "ImageNetPairedDataset"):
        new = {"type": "GTImages", "gt": old.take("dataroot_gt")}
        if kind == "ImageNetPairedDataset":
            new["enlarge"] = True
    elif kind == "SingleImageDataset":
        new = {"type": "LQImages", "lq": old.take("dataroot_lq")}
    else:
        unsupported.append(f"datasets: type {kind}")
        return {"type": kind}
    new["meta_info"] = meta_info
    if split == "train":
        new["gt_size"] = old.take("gt_size")
        new["use_hflip"], new["use_rot"] = old.take("use_hflip", "use_flip"), old.take("use_rot")
        if kind == "RealESRGANDataset" and degraded:
            old.note("gt_size", "the released code degrades crops of 400 and trains on a part of them: so does this")
            new["gt_size"] = 400
    for key in ("mean", "std"):
        if old.take(key) is not None:
            unsupported.append(f"datasets: images normalised by {key}")
    return {key: value for key, value in new.items() if value is not None}


# --- training ---


def _path(old: Reader) -> dict[str, Any]:
    new: dict[str, Any] = {}
    weights = old.take("pretrain_network_g", "pretrain_model_g")
    key, strict = old.take("param_key_g"), old.take("strict_load_g", "strict_load", default=True)
    if weights is not None:
        new["pretrain_network_g"] = weights
        if key is not None:
            new["param_key_g"] = key
        if strict is False:
            new["load"] = "partial"
    elif key is not None:
        old.note("param_key_g", "there are no weights to choose from")
    old.drop(
        {
            "resume_state": "a training continues with --resume auto or --resume FILE",
            "pretrain_network_d": "not supported: the discriminator starts anew",
            "pretrain_model_d": "not supported: the discriminator starts anew",
            "param_key_d": "not supported: the discriminator starts anew",
            "strict_load_d": "not supported: the discriminator starts anew",
            "ignore_resume_networks": "a training continues whole",
        }
    )
    return new


def _train(old: Reader, adversarial: bool, unsupported: list[str]) -> dict[str, Any]:
    new: dict[str, Any] = {"total_iter": _whole(old.take("total_iter", "niter"))}
    new["optim_g"] = _block(old.section("optim_g"))
    optim_d = _block(old.section("optim_d"))
    if adversarial:
        new["optim_d"] = optim_d
    elif optim_d:
        old.note("optim_d", "there is no discriminator")
    scheduler = old.section("scheduler")
    if scheduler:
        new["scheduler"] = _scheduler(scheduler, unsupported)
    warmup = old.take("warmup_iter", default=-1)
    if warmup > 0:
        new["warmup_iter"] = _whole(warmup)
    ema = old.take("ema_decay", default=0)
    if ema:
        new["ema_decay"] = ema
    clip = old.take("use_grad_clip")
    if clip:
        new["grad_clip"] = 0.01
        old.note("use_grad_clip", "written as grad_clip: 0.01, the limit that BasicSR's models use")
    losses = {name: old.section(name) for name in old.names() if name.endswith("_opt")}
    new["losses"] = {
        key.removesuffix("_opt"): loss for key, reader in losses.items() if (loss := _loss(reader, unsupported))
    }
    return new


def _block(old: Reader) -> dict[str, Any]:
    return {name: old.take(name) for name in old.names()}


def _scheduler(old: Reader, unsupported: list[str]) -> dict[str, Any]:
    kind = str(old.take("type"))
    if kind in ("MultiStepLR", "MultiStepRestartLR"):
        new = {"type": "MultiStepRestart", **{key: old.take(key) for key in ("milestones", "gamma")}}
        new |= {key: old.take(key) for key in ("restarts", "restart_weights")}
    elif kind == "CosineAnnealingRestartLR":
        new = {"type": "CosineRestart", **{key: old.take(key) for key in ("periods", "restart_weights", "eta_min")}}
    elif kind == "TrueCosineAnnealingLR":
        new = {"type": "CosineRestart", "periods": [_whole(old.take("T_max"))], "eta_min": old.take("eta_min")}
    else:
        unsupported.append(f"train.scheduler.type {kind}")
        new = {"type": kind, **_block(old)}
    return {key: value for key, value in new.items() if value is not None}


_PLAIN_LOSSES = {"L1Loss": "L1Loss", "MSELoss": "MSELoss", "CharbonnierLoss": "CharbonnierLoss"}


def _loss(old: Reader, unsupported: list[str]) -> dict[str, Any]:
    kind = str(old.take("type"))
    if kind in _PLAIN_LOSSES:
        if old.take("reduction", default="mean") != "mean":
            unsupported.append(f"train.{old.path[-1]}: a reduction other than mean")
        new = {"type": kind, "weight": old.take("loss_weight"), "eps": old.take("eps")}
    elif kind == "WeightedTVLoss":
        old.take("reduction")
        new = {"type": "TVLoss", "weight": old.take("loss_weight")}
        old.note("type", "srzoo's TVLoss is a mean over both directions: check its weight")
    elif kind == "PerceptualLoss":
        new = _perceptual(old, unsupported)
    elif kind == "GANLoss":
        new = {"type": "GANLoss", "weight": old.take("loss_weight")}
        gan = old.take("gan_type")
        new["gan_type"] = {"wgan_softplus": "wgan-softplus"}.get(gan, gan)
        new["real_label"], new["fake_label"] = old.take("real_label_val"), old.take("fake_label_val")
    else:
        unsupported.append(f"train.{old.path[-1]}.type {kind}")
        return {"type": kind, **_block(old)}
    return {key: value for key, value in new.items() if value is not None}


def _perceptual(old: Reader, unsupported: list[str]) -> dict[str, Any]:
    new = {"type": "PerceptualLoss", "net": old.take("vgg_type"), "layers": old.section("layer_weights")}
    new["layers"] = _block(new["layers"])
    content = old.take("perceptual_weight", default=1.0)
    style = old.take("style_weight", default=0.0)
    new |= {"content_weight": content, "style_weight": style, "use_input_norm": old.take("use_input_norm")}
    new["criterion"] = old.take("criterion")
    if old.take("range_norm"):
        unsupported.append("train.perceptual_opt.range_norm: images are in [0, 1]")
    return new


# --- validation and reports ---


def _val(old: Reader, tile: Reader, scale: object, validated: bool) -> dict[str, Any]:
    new: dict[str, Any] = {}
    freq = old.take("val_freq")
    if freq is not None and validated:
        new["val_freq"] = _whole(freq)
    elif freq is not None:
        old.note("val_freq", "there is nothing to validate on")
    save = old.take("save_img")
    if save:
        new["save_img"] = True
    old.drop(
        {
            "suffix": "images are named after their input and lie below the run's name",
            "pbar": "bars show on terminals only",
            "use_image": "images are always used",
        }
    )
    metrics = old.section("metrics")
    found = {}
    for name in metrics.names():
        metric = _metric(metrics.section(name), scale)
        if metric:
            found[re.sub(r"[^\w+-]", "_", name)] = metric
    if found:
        new["metrics"] = found
    size, pad = tile.take("tile_size"), tile.take("tile_pad")
    if size:
        new |= {"tile": size} | ({} if pad is None else {"tile_overlap": pad})
    return new


def _metric(old: Reader, scale: object) -> dict[str, Any]:
    kind = str(old.take("type"))
    old.drop({"better": "every metric knows"})
    border, luma = old.take("crop_border", default=0), old.take("test_y_channel", default=False)
    if kind not in METRICS:
        old.note("type", f"{kind} is not supported")
        return {}
    protocol = "basicsr-y" if luma else "basicsr-rgb"
    if border != scale:
        if border == 4 and not luma:
            protocol = "reflash-rgb"
        else:
            old.note("crop_border", f"{protocol} leaves out a border of the scale, {scale}, instead of {border}")
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
    return int(value) if isinstance(value, float) and value.is_integer() else value
