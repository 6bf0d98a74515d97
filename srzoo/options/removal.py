"""Inherited options that are of no use without a section: they go when the section is removed with null.

Otherwise a user who removes `network_d` would have to find and remove its optimiser, its loss and the recipe too.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Keys = tuple[str, ...]

# Section (or option) -> those that go with it.
_DEPENDENT: dict[Keys, tuple[Keys, ...]] = {
    ("train",): (("datasets", "train"), ("degradation",), ("path", "load"), ("path", "pretrain_network_d")),
    ("datasets", "train"): (("train",), ("degradation",), ("path", "load"), ("path", "pretrain_network_d")),
    ("datasets", "val"): (("val", "val_freq"),),
    ("val",): (("datasets", "val"),),
    ("network_d",): (("model",), ("train", "optim_d"), ("path", "pretrain_network_d")),
    ("model",): (("network_d",), ("train", "optim_d"), ("path", "pretrain_network_d")),
    ("path", "pretrain_network_g"): (("path", "param_key_g"), ("path", "load")),
}


def sections_of(options: Mapping[str, Any]) -> set[Keys]:
    """Return the paths of those sections that options go with and that are not empty."""
    return {section for section in _DEPENDENT if _value(options, section)}


def remove_dependent(options: dict[str, Any], given: Mapping[str, Any], before: set[Keys]) -> None:
    """Remove the options that went with removed sections, except those that the removing file gives itself.

    Args:
        options: raw options, after the merge that removed sections.
        given: the raw options that were merged over them.
        before: sections before the merge.
    """
    for section in before - sections_of(options):
        for option in (*_DEPENDENT[section], *_adversarial_losses(options, section)):
            if _value(given, option) is None:
                _remove(options, option)


def _adversarial_losses(options: Mapping[str, Any], section: Keys) -> Iterator[Keys]:
    """Yield the losses on a discriminator's output, where the recipe or the discriminator is removed."""
    losses = _value(options, ("train", "losses"))
    if section in (("network_d",), ("model",)) and isinstance(losses, Mapping):
        for name, loss in losses.items():
            if isinstance(loss, Mapping) and loss.get("type") == "GANLoss":
                yield ("train", "losses", name)


def _value(options: Mapping[str, Any], path: Keys) -> Any:
    value: Any = options
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _remove(options: dict[str, Any], path: Keys) -> None:
    parent = _value(options, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
