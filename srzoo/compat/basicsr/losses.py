"""The losses of an option file: the sections of `train` whose names end in `_opt`."""

from srzoo.compat.basicsr.reader import OptionReader, Section, given

_PIXEL_LOSSES = {
    "L1Loss": "L1Loss",
    "MSELoss": "MSELoss",
    "CharbonnierLoss": "CharbonnierLoss",
    "WeightedTVLoss": "TVLoss",
}


def loss(old: OptionReader) -> Section:
    """Convert the section of one loss."""
    kind = str(old.pop("type"))
    new: Section
    if kind in _PIXEL_LOSSES:
        reduction = old.pop("reduction", default="mean")
        if reduction != "mean":
            old.refuse("reduction", f"{reduction!r} (only 'mean' is supported)")
        new = {"type": _PIXEL_LOSSES[kind], "weight": old.pop("loss_weight")}
        eps = old.pop("eps")
        if eps is not None:
            # BasicSR: sqrt((sr-gt)^2 + eps). srzoo: sqrt((sr-gt)^2 + eps^2).
            new["eps"] = eps**0.5 if isinstance(eps, float | int) and eps >= 0 else eps
    elif kind == "PerceptualLoss":
        new = _perceptual(old)
    elif kind == "GANLoss":
        new = {"type": "GANLoss", "weight": old.pop("loss_weight"), "gan_type": old.pop("gan_type")}
        new["real_label"], new["fake_label"] = old.pop("real_label_val"), old.pop("fake_label_val")
    else:
        old.refuse("type", kind)
        new = {"type": kind, **old.pop_rest()}
    return given(new)


def _perceptual(old: OptionReader) -> Section:
    new: Section = {"type": "PerceptualLoss", "net": old.pop("vgg_type")}
    new["layers"] = old.section("layer_weights").pop_rest() or None
    new["content_weight"] = old.pop("perceptual_weight", default=1.0)
    new["style_weight"] = old.pop("style_weight", default=0.0)
    new["use_input_norm"], new["criterion"] = old.pop("use_input_norm"), old.pop("criterion")
    if old.pop("range_norm"):
        old.refuse("range_norm", "True (images are in [0, 1], not in [-1, 1])")
    return new
