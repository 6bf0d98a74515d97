"""The boundary to pydantic: a raw tree becomes options, or faults in plain words.

Types are strict: true is no integer and "3" no number. Lists may become tuples and texts paths, as YAML has neither.
"""

import difflib
import sys
from collections.abc import Mapping
from typing import Any

import pydantic
import pydantic_core

from srzoo.options.annotations import inner_type, type_name
from srzoo.options.entry import Entry, Field, loose_types
from srzoo.options.limits import MAX_LISTED, shortened
from srzoo.options.lookup import field_at, registered_types, suggestion
from srzoo.options.schema import Options
from srzoo.options.source import overflows
from srzoo.options.tree import KeyPath, OptionFault, Tree, child
from srzoo.registry import Registry

_adapters: dict[tuple[str, ...], pydantic.TypeAdapter[Options]] = {}


def validate(tree: Tree) -> tuple[Options | None, list[OptionFault]]:
    """Return (options, no faults) or (None, every unknown, missing or ill-typed key)."""
    try:
        # Through JSON, because pydantic's strict mode takes a list for a tuple and a text for a path only from there.
        return _adapter().validate_json(pydantic_core.to_json(tree.value), strict=True), []
    except pydantic.ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        # A suggestion compares a key with all options, and nobody sees those that the message does not list.
        return None, [_fault(detail, tree, in_words=number < MAX_LISTED) for number, detail in enumerate(details)]


def json_schema() -> dict[str, Any]:
    """Return pydantic's JSON schema of an option file."""
    return _adapter().json_schema()


def _adapter() -> pydantic.TypeAdapter[Options]:
    """Return the validator for the types that are known or accepted now; each new one needs another validator."""
    registered = registered_types() + tuple(sorted(f"loose {family} {name}" for family, name in loose_types.get()))
    if registered not in _adapters:
        _adapters.clear()
        _adapters[registered] = pydantic.TypeAdapter(Options)
    return _adapters[registered]


def _fault(error: pydantic_core.ErrorDetails, tree: Tree, *, in_words: bool) -> OptionFault:
    path, plugin = _key_path(error["loc"], tree.value)
    message = _message(error, path, plugin, tree) if in_words else error["msg"]
    return OptionFault(tree.location(path), path, message)


def _key_path(loc: tuple[int | str, ...], data: Any) -> tuple[KeyPath, str]:
    """Return the path of an error, and the plugin whose option it is ("" for the framework's).

    Pydantic's location has more parts than the path: the name of the plugin chosen by `type`, the member of a union,
    and "[key]" where the key of a mapping is wrong.
    """
    path: list[int | str] = []
    plugin = ""
    for depth, key in enumerate(loc):
        if isinstance(data, Mapping) and key not in data and data.get("type") == key and depth + 1 < len(loc):
            plugin = str(key)
        elif isinstance(key, int) or not isinstance(data, list | str | int | float | bool):
            path.append(key)
            data = child(data, key)
            if key == "[key]":
                path.pop()
    return tuple(path), plugin


def _message(error: pydantic_core.ErrorDetails, path: KeyPath, plugin: str, tree: Tree) -> str:
    kind, given = error["type"], error["input"]
    shown = shortened(repr(given))
    of_plugin = f" of {plugin}" if plugin else ""
    option = field_at(path, tree.value)
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        if _is_supplied(path, tree):
            return f"is set by the framework (from `{path[-1]}` at the top), not here"
        return f"unknown option{of_plugin}; {suggestion(path, tree.value)}"
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        expected = f"; expected {type_name(option.annotation)}" if option else ""
        return f"required option{of_plugin} is missing{expected}" + (f": {option.doc}" if option and option.doc else "")
    if kind in ("union_tag_not_found", "union_tag_invalid") and option is not None:
        return _message_about_type(option, given)
    if kind == "string_pattern_mismatch":
        return f"expected a name of letters, digits, '_' and '-' (run names also '.' and '+'), got {shown}"
    expected = type_name(option.annotation) if option else error["msg"]
    # The type in words covers pydantic's message about a wrong type, but not the one about a violated bound.
    detail = "" if kind.endswith("_type") or kind == "literal_error" else f" ({error['msg']})"
    return f"expected {expected}, got {shown}{_remark(path, given) or detail}"


def _remark(path: KeyPath, given: Any) -> str:
    """Return a remark on a number that the reader could not keep as written, or on a scale below 1; "" otherwise."""
    if isinstance(given, float) and abs(given) >= 2**63:
        return f"; integers are at most {2**63 - 1}"
    if isinstance(given, str) and overflows(given):
        return f"; numbers are at most {sys.float_info.max:.1e}"
    if path == ("scale",) and isinstance(given, float) and 0 < given < 1:
        return f"; the scale is that of the output: {1 / given:g} if LQ has {given:g} times the side of GT"
    return ""


def _message_about_type(option: Field, given: Any) -> str:
    registry = _registry_of(option)
    assert registry is not None
    given_type = given.get("type") if isinstance(given, Mapping) else None
    if given_type is not None:
        return registry.unknown(given_type)
    meant = difflib.get_close_matches("type", given if isinstance(given, Mapping) else [], n=1)
    hint = f" (did you mean `type` by {meant[0]!r}?)" if meant else ""
    return f"`type` is missing{hint}: which {registry.family}? known: {', '.join(registry)}"


def _registry_of(option: Field) -> Registry[Any] | None:
    """Return the plugin family of an option that is an entry, or None."""
    inner = inner_type(option.annotation).type
    return inner.registry if isinstance(inner, type) and issubclass(inner, Entry) else None


def _is_supplied(path: KeyPath, tree: Tree) -> bool:
    """Return True if the plugin around this key gets the argument from the framework."""
    parent = field_at(path[:-1], tree.value)
    registry = _registry_of(parent) if parent is not None else None
    return registry is not None and path[-1] in registry.supplied
