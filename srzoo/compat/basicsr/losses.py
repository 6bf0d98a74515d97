"""The losses of an option file: the sections of `train` whose names end in `_opt`."""

from srzoo.compat.basicsr.reader import OptionReader, Section, given

_PIXEL_LOSSES = ("L1Loss", "MSELoss", "CharbonnierLoss")
# Section -> the losses that it may name. BasicSR's models read no others; projects built on it add more.
_KINDS = {"pixel_opt": _PIXEL_LOSSES, "perceptual_opt": ("PerceptualLoss",), "gan_opt": ("GANLoss",)}
_FOREIGN = {
    "ldl_opt": "the loss on a map of artefacts of LDL",
    "artifacts_opt": "the loss on a map of artefacts of LDL",
    "feature_matching_opt": "HiFaceGAN's loss on features of the discriminator",
}


def losses(train: OptionReader, *, adversarial: bool) -> Section:
    """Convert the losses of `train`; `adversarial` is True if a discriminator is trained too."""
    new: Section = {}
    for section in [name for name in train.names() if name.endswith("_opt")]:
        reader = train.section(section)
        if section not in _KINDS:
            # Left out: under the name of an ordinary loss, such as L1Loss, another loss would be trained on.
            kind = reader.pop("type", default="a loss")
            reader.pop_rest()
            train.refuse(section, f"{kind} ({_FOREIGN.get(section, 'an unknown loss')}; it is left out)")
        elif section == "gan_opt" and not adversarial:
            train.note(section, "not needed: this model_type has no discriminator")
            reader.pop_rest()
        else:
            new[section.removesuffix("_opt")] = _loss(reader, _KINDS[section])
    return new


def _loss(old: OptionReader, kinds: tuple[str, ...]) -> Section:
    """Convert the section of one loss, which must be one of `kinds`."""
    kind = str(old.pop("type"))
    new: Section
    if kind not in kinds:
        old.refuse("type", kind)
        new = {"type": kind, **old.pop_rest()}
    elif kind == "PerceptualLoss":
        new = _perceptual(old)
    elif kind == "GANLoss":
        new = {"type": kind, "weight": old.pop("loss_weight"), "gan_type": old.pop("gan_type")}
        new["real_label"], new["fake_label"] = old.pop("real_label_val"), old.pop("fake_label_val")
    else:
        reduction = old.pop("reduction", default="mean")
        if reduction != "mean":
            old.refuse("reduction", f"{reduction!r} (only 'mean' is supported)")
        new = {"type": kind, "weight": old.pop("loss_weight")}
        eps = old.pop("eps")
        if eps is not None:
            # BasicSR: sqrt((sr-gt)^2 + eps). srzoo: sqrt((sr-gt)^2 + eps^2).
            new["eps"] = eps**0.5 if isinstance(eps, float | int) and eps >= 0 else eps
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
