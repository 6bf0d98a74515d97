"""`network_g` and `network_d` of an option file: networks by their BasicSR names, with the options of each."""

import re
from dataclasses import dataclass, field

from srzoo.compat.basicsr.networks import INSTALL, PREFIX, is_installed
from srzoo.compat.basicsr.reader import OptionReader, Section, given

_IMAGENET_MEAN: list[float] = [0.4488, 0.4371, 0.4040]


@dataclass(frozen=True)
class _Counterpart:
    """The network of srzoo that a network of BasicSR becomes.

    Args:
        type: srzoo's name.
        keys: options with the same name and meaning.
        defaults: BasicSR's defaults where srzoo's differ.
        fixed: options that srzoo does not have -> the only value that it supports.
        idle: options without effect in the released code.
    """

    type: str
    keys: tuple[str, ...]
    defaults: Section = field(default_factory=dict)
    fixed: Section = field(default_factory=dict)
    idle: tuple[str, ...] = ()


_COUNTERPARTS = {
    "MSRResNet": _Counterpart("SRResNet", ("num_in_ch", "num_feat", "num_block")),
    "RRDBNet": _Counterpart("RRDBNet", ("num_in_ch", "num_feat", "num_block", "num_grow_ch")),
    "SRVGGNetCompact": _Counterpart("SRVGGNetCompact", ("num_in_ch", "num_feat", "num_conv")),
    "RCAN": _Counterpart(
        "RCAN",
        ("num_in_ch", "num_feat", "num_group", "num_block", "squeeze_factor", "res_scale", "img_range"),
        defaults={"num_block": 16},
        fixed={"rgb_mean": [*_IMAGENET_MEAN]},
    ),
    "EDSR": _Counterpart(
        "EDSR",
        ("num_in_ch", "num_feat", "num_block", "res_scale", "img_range"),
        fixed={"rgb_mean": [*_IMAGENET_MEAN]},
    ),
    "DRCT": _Counterpart(
        "DRCT",
        (
            "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "gc", "img_size", "qkv_bias", "drop_rate",
            "attn_drop_rate", "drop_path_rate", "img_range", "resi_connection",
        ),
        defaults={
            "embed_dim": 96, "depths": [6, 6, 6, 6], "num_heads": [6, 6, 6, 6], "window_size": 7, "mlp_ratio": 4.0,
            "upsampler": "",
        },
        fixed={"upsampler": "pixelshuffle", "patch_norm": True, "ape": False, "patch_size": 1},
        idle=("compress_ratio", "squeeze_factor", "conv_scale", "overlap_ratio", "norm_layer", "use_checkpoint"),
    ),
}  # fmt: skip
_NUM_BLOCK_OF_DETAILS = 16  # SRResNet's default too
_DISCRIMINATORS = {
    "UNetDiscriminatorSN": ("num_in_ch", "num_feat", "skip_connection"),
    "VGGStyleDiscriminator": ("num_in_ch", "num_feat", "input_size"),
}


# Networks for single images that only the package has; others of its networks restore video or faces.
_ONLY_IN_BASICSR = ("SwinIR", "ECBSR", "RIDNet")


def generator(old: OptionReader, scale: object) -> Section:
    """Convert `network_g`; `scale` is the magnification that the file gives at its top."""
    name = str(old.pop("type"))
    family, dropout = _split_name(name)
    if family not in _COUNTERPARTS:
        return _foreign(old, name, scale)
    counterpart = _COUNTERPARTS[family]
    if "_details" in name and old.peek("num_block", default=_NUM_BLOCK_OF_DETAILS) != _NUM_BLOCK_OF_DETAILS:
        old.drop({"num_block": f"no effect in the released code, which spells out {_NUM_BLOCK_OF_DETAILS} blocks"})
    new: Section = {"type": counterpart.type}
    new |= {key: old.pop(key, default=counterpart.defaults.get(key)) for key in counterpart.keys}
    # DRCT's spelling of num_in_ch.
    channels = old.pop("in_chans", default=3)
    if channels != 3:
        new["num_in_ch"] = channels
    if family == "SRVGGNetCompact":
        new["act"] = old.pop("act_type")
    if dropout is not None:
        new["dropout"] = dropout

    _check_scale(old, scale)
    num_in, num_out = new.get("num_in_ch") or 3, old.pop("num_out_ch", default=3)
    if num_out != num_in:
        old.refuse("num_out_ch", f"{num_out} (only {num_in}, the number of input channels, is supported)")
    for key, supported in counterpart.fixed.items():
        wanted = old.pop(key, default=counterpart.defaults.get(key, supported))
        if wanted != supported:
            old.refuse(key, f"{wanted!r} (only {supported!r} is supported)")
    old.drop(dict.fromkeys(counterpart.idle, "no effect in the released code"))
    return given(new)


def _foreign(old: OptionReader, name: str, scale: object) -> Section:
    """Convert a network that srzoo does not have: one of the package basicsr keeps its options."""
    _check_scale(old, scale)
    if name in _ONLY_IN_BASICSR:
        if is_installed():
            old.note("type", f"{PREFIX}{name}, the network of the package basicsr")
        else:
            old.refuse("type", f"{name} (written as {PREFIX}{name}; that package is not installed: {INSTALL})")
        return {"type": PREFIX + name, **old.pop_rest()}
    if name == "HAT":
        old.refuse("type", "HAT (add `plugins: [hat_arch.py]`, that file of its authors, to the new file)")
    else:
        old.refuse("type", f"{name} (if a Python file of yours defines it, name that file under `plugins:`)")
    return {"type": name, **old.pop_rest()}


def _check_scale(old: OptionReader, scale: object) -> None:
    """Remove the magnification that the network has been given; it must be the one at the top of the file."""
    own = old.pop("upscale", "scale")
    if own not in (None, scale):
        old.refuse("upscale", f"{own}, but the file's scale is {scale}")


def _split_name(name: str) -> tuple[str, Section | None]:
    """Split Reflash Dropout's names: MSRResNet_details_dropoutlast_channel07 -> MSRResNet and dropout options.

    `details` names the authors' variant with the same function whose blocks are spelt out; some of their files have a
    second s.
    """
    found = re.fullmatch(r"(MSRResNet|RRDBNet)(?:_detailss?)?(?:_dropout(last)_(channel|element)(\d)(\d*))?", name)
    if found is None:
        return name, None
    family, position, mode, integer, decimals = found.groups()
    if position is None:
        return family, None
    # The name spells the probability without its point: 07 is 0.7.
    return family, {"mode": mode, "prob": float(f"{integer}.{decimals or 0}"), "position": position}


def discriminator(old: OptionReader) -> Section:
    """Convert `network_d`."""
    name = str(old.pop("type"))
    if name not in _DISCRIMINATORS:
        old.refuse("type", name)
        return {"type": name, **old.pop_rest()}
    return {"type": name, **old.pop_given(*_DISCRIMINATORS[name])}
