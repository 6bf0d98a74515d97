"""Types of options, read from their annotations: as words, and the section or entry inside one."""

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, Literal, NamedTuple

import annotated_types

# The part of a path that follows a mapping whose keys the user chooses, and that follows a list.
NAMED, LIST = ".<name>", "[]"


class InnerType(NamedTuple):
    """The type inside an annotation, and the part of a path that leads to it: "", ".<name>" or "[]"."""

    type: Any
    step: str


def inner_type(annotation: Any) -> InnerType:
    """Return the type inside X, X | None, dict[name, X] or a list of X."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return inner_type(args[0])
    if origin is dict:
        return InnerType(args[1], NAMED)
    if origin is tuple and args[-1] is Ellipsis:
        return InnerType(args[0], LIST)
    if isinstance(annotation, types.UnionType):
        parts = [part for part in args if part is not type(None)]
        return inner_type(parts[0]) if len(parts) == 1 else InnerType(annotation, "")
    return InnerType(annotation, "")


def is_block(annotation: Any) -> bool:
    """Return True for a mapping with fixed keys: a section, an entry, or a dataclass of a plugin."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def takes_path(annotation: Any) -> bool:
    """Return True if a value of this type is, or contains, a file path."""
    return annotation is Path or any(takes_path(part) for part in typing.get_args(annotation))


def type_name(annotation: Any) -> str:
    """Describe a type: "integer > 0", "list of number", "a | b"."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(args[0]) + "".join(_bound(bound) for bound in args[1:])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in args)
    if origin is Literal:
        return " | ".join(map(str, args))
    if origin is tuple and args[-1] is not Ellipsis:
        return f"list of {len(args)}: " + ", ".join(type_name(part) for part in args)
    if is_block(annotation):
        # An entry has a registry; sections and the dataclasses of plugins have none.
        return "block with `type:`" if hasattr(annotation, "registry") else "mapping"
    if origin is dict:
        return "mapping"
    if origin is not None:
        return f"list of {type_name(args[0])}"
    words = {int: "integer", float: "number", bool: "true or false", str: "text", Path: "path", type(None): "null"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bound(bound: Any) -> str:
    signs = {annotated_types.Gt: (">", "gt"), annotated_types.Ge: (">=", "ge"), annotated_types.Lt: ("<", "lt")}
    signs[annotated_types.Le] = ("<=", "le")
    for kind, (sign, attribute) in signs.items():
        if isinstance(bound, kind):
            return f" {sign} {getattr(bound, attribute)}"
    return ""
