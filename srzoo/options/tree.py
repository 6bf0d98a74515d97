"""The tree of an option file: plain values, the line that each of them comes from, and the faults found so far."""

import copy
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srzoo.options.limits import MAX_CHARACTERS, MAX_LISTED, LimitExceeded, shortened

# Keys from the top of a file to one value; integers are positions in lists: ("train", "optim_g", "betas", 1).
KeyPath = tuple[str | int, ...]

_ENV = re.compile(r"\$\{env:(\w+)\}")


@dataclass(frozen=True)
class OptionFault:
    """One fault of an option file.

    Args:
        location: file and line, or the override that it comes from.
        path: the option.
        message: what was expected, what came, and what to do.
    """

    location: str
    path: KeyPath
    message: str

    def __str__(self) -> str:
        parts = (self.location, dotted(self.path), self.message)
        return ": ".join(shortened(part, MAX_CHARACTERS) for part in parts if part)


class OptionsError(ValueError):
    """All faults of an option file in `faults`; the message has the first of them, one line each."""

    def __init__(self, file: Path, faults: Sequence[OptionFault]) -> None:
        self.faults = list(faults)
        lines = [f"  {fault}" for fault in self.faults[:MAX_LISTED]]
        if len(self.faults) > MAX_LISTED:
            lines.append(f"  and {len(self.faults) - MAX_LISTED:,} more")
        super().__init__("\n".join([f"{len(self.faults)} fault(s) in the options of {file}:", *lines]))


@dataclass
class Tree:
    """Nested values with their locations.

    Args:
        value: mappings, lists and scalars as YAML has them.
        locations: "file:line" or "--set ..." of each value; () has that of the whole tree.
        faults: faults found while reading and checking.
        unreadable: a file was no YAML mapping at all, so that its options are unknown and checking them is pointless.
    """

    value: dict[str, Any] = field(default_factory=dict)
    locations: dict[KeyPath, str] = field(default_factory=dict)
    faults: list[OptionFault] = field(default_factory=list)
    unreadable: bool = False

    def location(self, path: KeyPath) -> str:
        """Return the location of a value, or of the closest value around it."""
        while path not in self.locations and path:
            path = path[:-1]
        return self.locations.get(path, "option file")

    def fault(self, path: KeyPath, message: str) -> None:
        """Add a fault of one option."""
        self.faults.append(OptionFault(self.location(path), path, message))

    def refuse(self, error: LimitExceeded, location: str) -> None:
        """Give up reading because of a limit, which becomes a fault; `location` is used if the error has none."""
        self.faults.append(OptionFault(error.location or location, (), str(error)))
        self.unreadable = True

    def get(self, *path: str) -> Any:
        """Return the value under these keys, None if there is none."""
        return self.at(path)

    def at(self, path: KeyPath) -> Any:
        """Return the value at a path, None if there is none."""
        value: Any = self.value
        for key in path:
            value = child(value, key)
        return value

    def remove(self, path: KeyPath) -> None:
        """Remove the value of a key, if there is one."""
        parent = self.at(path[:-1])
        if isinstance(parent, dict) and path[-1] in parent:
            for below in paths_below(parent.pop(path[-1]), path):
                self.locations.pop(below, None)

    def replace(self, path: KeyPath, value: Any) -> None:
        """Replace the value at a path that exists."""
        parent: Any = self.value
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = value

    def texts(self) -> list[tuple[KeyPath, str]]:
        """Return every text of the tree with its path."""
        return list(_texts(self.value, ()))

    def expand_environment(self, path: KeyPath, text: str) -> str:
        """Replace ${env:NAME} in `text` by the environment variable; add a fault if that is not set."""
        unset = [name for name in _ENV.findall(text) if name not in os.environ]
        if unset:
            self.fault(path, f"the environment variable {', '.join(unset)} is not set")
        return _ENV.sub(lambda match: os.environ.get(match.group(1), ""), text)


def dotted(path: KeyPath) -> str:
    """Write a path as users do: train.optim_g.betas[1]."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def child(value: Any, key: int | str) -> Any:
    """Return the value under a key of a mapping or at a position of a list; None if there is none."""
    if isinstance(value, list):
        return value[key] if isinstance(key, int) and key < len(value) else None
    return value.get(key) if isinstance(value, Mapping) else None


def merge(tree: Tree, top: Tree) -> None:
    """Merge `top` into `tree`: mappings merge, everything else replaces, null removes an inherited value.

    `top` stays as it is, and the two share no values afterwards.
    """
    # Several bases may have inherited one faulty file.
    tree.faults = list(dict.fromkeys([*tree.faults, *top.faults]))
    tree.unreadable |= top.unreadable
    tree.locations[()] = top.locations.get((), tree.locations.get((), ""))
    _merge_mapping(tree, tree.value, top.value, (), top.locations)


def paths_below(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of a value, and of every value inside it."""
    yield path
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from paths_below(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from paths_below(item, (*path, position))


def _merge_mapping(
    tree: Tree, into: dict[str, Any], new: Mapping[str, Any], parent: KeyPath, locations: Mapping[KeyPath, str]
) -> None:
    for key, value in new.items():
        path = (*parent, key)
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            tree.locations[path] = locations[path]
            _merge_mapping(tree, into[key], value, path, locations)
            continue
        # A replaced list or mapping may have had more values than the new one.
        for old in paths_below(into.get(key), path):
            tree.locations.pop(old, None)
        if value is None and key in into:
            del into[key]
            continue
        # A null that removes nothing stays, so that a misspelt key is noticed.
        into[key] = copy.deepcopy(value)
        tree.locations.update({below: locations[below] for below in paths_below(value, path) if below in locations})


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(item, (*path, position))
