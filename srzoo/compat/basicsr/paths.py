"""`path` of an option file: the weights that a run starts from."""

from srzoo.compat.basicsr.reader import OptionReader, Section

_UNTRAINED = "not supported: the discriminator starts from random weights"
_NOT_SUPPORTED = {
    "resume_state": "resume a run with --resume auto or --resume FILE",
    "ignore_resume_networks": "not supported: a run is resumed with all its networks",
    "pretrain_network_d": _UNTRAINED,
    "pretrain_model_d": _UNTRAINED,
    "param_key_d": _UNTRAINED,
    "strict_load_d": _UNTRAINED,
}


def paths(old: OptionReader, *, is_trained: bool) -> Section:
    """Convert `path`; partial loading is for files with a training only."""
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
    old.drop(_NOT_SUPPORTED)
    return new
