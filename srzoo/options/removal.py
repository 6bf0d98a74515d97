"""Values that are null: they remove what was inherited, together with the options that only served it."""

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from srzoo.options.lookup import keys_of, raw_blocks
from srzoo.options.tree import Tree, child, merge

# Section -> inherited options that would be faults without it.
_SERVING: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = {
    ("train",): (("datasets", "train"), ("degradation",), ("path", "load")),
    ("datasets",): (("train",), ("degradation",), ("path", "load"), ("val", "val_freq")),
    ("datasets", "train"): (("train",), ("degradation",), ("path", "load")),
    ("datasets", "val"): (("val", "val_freq"),),
    ("val",): (("datasets", "val"),),
    ("val", "metrics"): (("datasets", "val"), ("val", "val_freq")),
    ("model",): (("network_d",), ("train", "optim_d")),
    ("path", "pretrain_network_g"): (("path", "param_key_g"), ("path", "load")),
}


def merge_options(tree: Tree, top: Tree) -> None:
    """Merge `top` into `tree` as :func:`merge` does; with a section that null removes go the options that served it.

    Options that `top` sets itself stay.
    """
    for path in list(_served_by(tree, top)):
        tree.remove(path)
    merge(tree, top)


def drop_idle_nulls(tree: Tree) -> None:
    """Remove each null that an option has no meaning for: with nothing inherited, null means the default.

    Nulls under unknown keys and for required options stay, and are reported.
    """
    idle = [
        (*path, key)
        for path, section, block in raw_blocks(tree.value)
        for key, option in keys_of(section, block).items()
        if key in block and block[key] is None
        if not option.required and type(None) not in typing.get_args(option.annotation)
    ]
    for path in idle:
        tree.remove(path)


def _served_by(tree: Tree, top: Tree) -> Iterator[tuple[str, ...]]:
    for section, serving in _SERVING.items():
        *parents, key = section
        above: Any = top.value
        for parent in parents:
            above = child(above, parent)
        if isinstance(above, Mapping) and key in above and above[key] is None and tree.at(section) is not None:
            yield from serving
