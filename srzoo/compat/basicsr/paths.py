"""`path` of an option file: the weights that a run starts from."""

from srzoo.compat.basicsr.reader import OptionReader, Section

_NOT_SUPPORTED = {
    "resume_state": "resume a run with --resume auto or --resume FILE",
    "ignore_resume_networks": "not supported: a run is resumed with all its networks",
}
_OF_DISCRIMINATOR = ("pretrain_network_d", "pretrain_model_d", "param_key_d", "strict_load_d")


def paths(old: OptionReader, *, is_trained: bool, adversarial: bool) -> Section:
    """Convert `path`.

    Args:
        old: the section.
        is_trained: True if the file describes a training; partial loading is for those only.
        adversarial: True if that training has a discriminator.
    """
    new: Section = {}
    weights = old.pop("pretrain_network_g", "pretrain_model_g")
    key, strict = old.pop("param_key_g"), old.pop("strict_load_g", "strict_load", default=True)
    if weights is not None:
        new["pretrain_network_g"] = weights
        if key is not None:
            new["param_key_g"] = key
        # With an empty key (`~`) BasicSR reads the top level of the file, as srzoo's default, `auto`, does.
        elif not old.is_empty("param_key_g"):
            new["param_key_g"] = "params"
            old.note("param_key_g", "set to params, BasicSR's default; `auto` would prefer the moving average")
        if strict is False and is_trained:
            new["load"] = "partial"
        elif strict is False:
            old.note("strict_load_g", "not supported: a test needs weights that fit the network completely")
    elif key is not None:
        old.note("param_key_g", "not needed: the file names no weights")
    if is_trained and adversarial:
        _discriminator(old, new)
    else:
        old.drop(dict.fromkeys(_OF_DISCRIMINATOR, "not needed: no discriminator is trained"))
    old.drop(_NOT_SUPPORTED)
    return new


def _discriminator(old: OptionReader, new: Section) -> None:
    """Convert the weights that the discriminator starts from."""
    weights = old.pop("pretrain_network_d", "pretrain_model_d")
    if weights is not None:
        new["pretrain_network_d"] = weights
    key, strict = old.pop("param_key_d", default="params"), old.pop("strict_load_d", default=True)
    if key != "params":
        old.note("param_key_d", "not supported: files of discriminators hold one set of weights, which is loaded")
    if strict is False:
        old.note("strict_load_d", "not supported: the weights must fit the discriminator completely")
