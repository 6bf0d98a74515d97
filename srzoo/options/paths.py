"""Paths of an option file: environment variables in them, and their resolution against ``path.root``."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from srzoo.options.annotations import takes_path
from srzoo.options.entry import Entry
from srzoo.options.lookup import field_at
from srzoo.options.schema import Options
from srzoo.options.tree import KeyPath, Tree
from srzoo.options.unchecked import UnknownTypes


def expand_environment(tree: Tree, unchecked: UnknownTypes | None) -> None:
    """Replace ${env:NAME} in the paths of a tree, except in unchecked entries; anywhere else it is a fault."""
    for path, text in tree.texts():
        if "${env:" not in text or (unchecked is not None and unchecked.covers(path)):
            continue
        option = field_at(path, tree.value)
        if option is not None and not takes_path(option.annotation):
            tree.fault(path, "${env:...} is for paths only")
            continue
        tree.replace(path, tree.expand_environment(path, text))


def resolve_paths(options: Options) -> Options:
    """Return the options with every relative path starting at ``path.root``, which is left as it is.

    Paths are then absolute, or relative to the working directory. `~` at the start is the user's home folder.
    """
    root = options.path.root
    resolved: Options = _resolved(options, (root or Path()).expanduser())
    return dataclasses.replace(resolved, path=dataclasses.replace(resolved.path, root=root))


def paths_in(value: Any, prefix: str = "") -> Iterator[tuple[str, Path]]:
    """Yield (dotted option, path) of each path in options, sections and the arguments of entries."""
    if isinstance(value, Path):
        yield prefix, value
        return
    items: Iterable[tuple[Any, Any]] = ()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        # The arguments of an entry are keys beside its type.
        items = (own | own.pop("args") if isinstance(value, Entry) else own).items()
    elif isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        yield from paths_in(item, f"{prefix}.{key}".removeprefix("."))


def path_keys(tree: Any) -> frozenset[KeyPath]:
    """Return the options of a plain tree that are paths, null ones too, with positions in lists."""
    options = {path: field_at(path, tree) for path in _leaves(tree, ())}
    return frozenset(path for path, option in options.items() if option is not None and takes_path(option.annotation))


def _leaves(tree: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Yield the place of every text and null."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, (*path, key))
    elif tree is None or isinstance(tree, str):
        yield path


def _resolved(value: Any, root: Path) -> Any:
    """Resolve paths at any depth: sections, the arguments of entries, and the dataclasses of plugins in them."""
    if isinstance(value, Path):
        return root / value.expanduser()  # an absolute path stays as it is
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _resolved(getattr(value, f.name), root) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    if isinstance(value, dict):
        return {key: _resolved(item, root) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, root) for item in value]
    if isinstance(value, tuple):
        return tuple(_resolved(item, root) for item in value)
    return value
