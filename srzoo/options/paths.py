"""Paths of an option file: environment variables in them, and their resolution against ``path.root``."""

import dataclasses
from pathlib import Path
from typing import Any

from srzoo.options.annotations import takes_path
from srzoo.options.lookup import field_at
from srzoo.options.schema import Options
from srzoo.options.tree import Tree
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
