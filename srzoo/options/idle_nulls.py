"""Nulls that remove nothing: a known option that was not inherited keeps its default."""

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from srzoo.options.lookup import field_at
from srzoo.options.tree import KeyPath, Tree, child


def drop_idle_nulls(tree: Tree) -> None:
    """Remove nulls whose option has a default and takes no null; unknown options stay, to be reported."""
    for path in list(_nulls(tree.value, ())):
        option = field_at(path, tree.value)
        if option is not None and not option.required and type(None) not in typing.get_args(option.annotation):
            parent: Any = tree.value
            for key in path[:-1]:
                parent = child(parent, key)
            del parent[path[-1]]


def _nulls(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    for key, item in value.items() if isinstance(value, Mapping) else ():
        if item is None:
            yield (*path, key)
        else:
            yield from _nulls(item, (*path, key))
