"""Options by their paths: which option a path of an option file leads to, and the list of all options."""

import functools
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from srzoo.options.annotations import LIST, NAMED, inner_type, is_block
from srzoo.options.entry import Entry, Field, dataclass_options
from srzoo.options.schema import Options
from srzoo.options.tree import KeyPath, child
from srzoo.registry import (
    ARCHS,
    DATASETS,
    DEGRADATIONS,
    DISCRIMINATORS,
    LOSSES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    SCHEDULERS,
    closest,
)

# Families of plugins that an entry of an option file may name.
FAMILIES = (ARCHS, DISCRIMINATORS, LOSSES, METRICS, DEGRADATIONS, DATASETS, OPTIMIZERS, SCHEDULERS, MODELS)

# Keys of BasicSR's option files -> the replacement.
_BASICSR_KEYS = {
    "num_gpu": "the number of GPUs is that of torchrun: torchrun --nproc_per_node=NUM_GPUS srzoo/train.py -opt FILE",
    "dist_params": "remove it: torchrun starts the ranks",
    "auto_resume": "resume a run with --resume auto",
    "resume_state": "resume a run with --resume auto or --resume FILE",
    "manual_seed": "write `seed`",
    "batch_size_per_gpu": "write `batch_size`, the total over all GPUs",
    "num_worker_per_gpu": "write `num_workers`",
    "dataroot_gt": "write `gt`",
    "dataroot_lq": "write `lq`",
    "meta_info_file": "write `meta_info`",
    "filename_tmpl": "write `lq_template`",
    "loss_weight": "write `weight`",
    "save_checkpoint_freq": "write `save_freq`",
}


@dataclass(frozen=True)
class KnownOption:
    """One option that a file may have.

    Args:
        path: dotted, with ".<name>" for keys that the user chooses and "[]" for positions in lists.
        field: type, default and meaning.
        plugin: name of the plugin that it belongs to; "" for options of the framework.
        block: dotted path of the block that names the plugin; "" for options of the framework.
    """

    path: str
    field: Field
    plugin: str = ""
    block: str = ""

    @property
    def name(self) -> str:
        """Return the last key of the path."""
        return self.path.rpartition(".")[2]


def all_options() -> Iterator[KnownOption]:
    """Yield every option of every section and of every registered plugin."""
    yield from _options_below(Options, "")


def field_at(path: KeyPath, data: Any) -> Field | None:
    """Return the option at a path of a raw tree; None if there is no such option."""
    siblings, found = options_at((), data), None
    for depth, key in enumerate(path):
        if isinstance(key, int) and siblings.keys() != {LIST}:
            return found  # an item of a list that is one option, such as betas
        found = siblings.get(str(key)) or siblings.get(NAMED) or siblings.get(LIST)
        if found is None:
            return None
        siblings = options_at(path[: depth + 1], data)
    return found


def options_at(path: KeyPath, data: Any) -> Mapping[str, Field]:
    """Return the keys that the mapping at `path` of a raw tree may have.

    That is ``{".<name>": ...}`` where the user chooses the keys, and ``{"[]": ...}`` for a list.
    """
    section, step = Options, ""
    for key in path:
        parent = data
        data = child(data, key)
        if step:  # this key is a name or a position: the section below it is known already
            step = ""
            continue
        options = _keys_of(section, parent)
        if key not in options:
            return {}
        inner, step = inner_type(options[str(key)].annotation)
        if not is_block(inner):
            return {}
        section = inner
    if step:
        return {step: Field(section, inspect.Parameter.empty, "")}
    return _keys_of(section, data)


def raw_entries(data: Any, section: type = Options, path: KeyPath = ()) -> Iterator[tuple[KeyPath, type[Entry], Any]]:
    """Yield (path, kind of entry, mapping) of each block with a `type` in a raw tree."""
    if not isinstance(data, Mapping):
        return
    if issubclass(section, Entry):
        yield path, section, data
    for key, option in _keys_of(section, data).items():
        inner, step = inner_type(option.annotation)
        if not is_block(inner) or key not in data:
            continue
        value, below = data[key], (*path, key)
        if step == NAMED:
            items = value.items() if isinstance(value, Mapping) else ()
        elif step == LIST:
            items = enumerate(value) if isinstance(value, list) else ()
        else:
            yield from raw_entries(value, inner, below)
            continue
        for name, item in items:
            yield from raw_entries(item, inner, (*below, name))


def suggestion(path: KeyPath, data: Any) -> str:
    """Return a hint for a key that does not exist: close names beside it, or where an option of this name is."""
    name, siblings = str(path[-1]), list(options_at(path[:-1], data))
    if name in _BASICSR_KEYS:
        return f"that is BasicSR's: {_BASICSR_KEYS[name]}"
    hint = closest(name, siblings + (["base", "stages", "sweep"] if len(path) == 1 else []))
    elsewhere = _paths_by_name(registered_types()).get(name)
    if elsewhere and not hint.startswith("did you mean"):
        hint += f"; there is {' and '.join(elsewhere[:3])}"
    return hint


def registered_types() -> tuple[str, ...]:
    """Return every family with the types that are registered now."""
    return tuple(f"{family.family} {name}" for family in FAMILIES for name in family.everyone())


@functools.cache
def _paths_by_name(registered: tuple[str, ...]) -> Mapping[str, list[str]]:
    """Return the name of each option -> its paths, sorted; they depend on the types that are registered."""
    del registered
    paths: dict[str, set[str]] = {}
    for option in all_options():
        paths.setdefault(option.name, set()).add(option.path)
    return {name: sorted(found) for name, found in paths.items()}


def _options_below(section: type, prefix: str, plugin: str = "", block: str = "") -> Iterator[KnownOption]:
    framework = _keys_of(section, data=None)
    yield from _options_of(framework, prefix, plugin, block)
    if issubclass(section, Entry):
        for member in section.registry:
            own = {name: option for name, option in section.options(member).items() if name not in framework}
            yield from _options_of(own, prefix, member, prefix.removesuffix("."))


def _options_of(options: Mapping[str, Field], prefix: str, plugin: str, block: str) -> Iterator[KnownOption]:
    for name, option in options.items():
        inner, step = inner_type(option.annotation)
        path = f"{prefix}{name}"
        yield KnownOption(path, option, plugin, block)
        if is_block(inner):
            yield from _options_below(inner, f"{path}{step}.", plugin, block)


def _keys_of(section: type, data: Any) -> Mapping[str, Field]:
    """Return the keys of a section or entry; `data` is its raw value, whose `type` decides the keys of an entry."""
    if issubclass(section, Entry):
        type_name = data.get("type") if isinstance(data, Mapping) else None
        return section.options(type_name if isinstance(type_name, str) else None)
    return dataclass_options(section)
