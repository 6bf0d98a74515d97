"""What options exist: for error messages, for ``srzoo options explain``, for docs/options.md."""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import annotated_types

from srzoo.options.schema import Entry, Field, Options, Section, dataclass_options, json_schema, plain
from srzoo.options.source import KeyPath
from srzoo.registry import closest


@dataclass(frozen=True)
class Row:
    """One option with its dotted path; `owner` is the plugin it belongs to, which stands at `place`, or "" for both."""

    path: str
    field: Field
    owner: str = ""
    place: str = ""

    @property
    def meaning(self) -> str:
        return re.sub(r"\s*\[([^\]]*)\]\.?$", "", self.field.doc)

    @property
    def unit(self) -> str:
        found = re.search(r"\[([^\]]*)\]\.?$", self.field.doc)
        return found.group(1) if found else ""

    @property
    def default(self) -> str:
        if self.field.required:
            return "required"
        if isinstance(self.field.default, Section):
            return "section"
        if isinstance(self.field.default, Entry):
            return f"type: {self.field.default.type}"
        value = plain(self.field.default)
        if isinstance(value, bool) or value is None:
            return {True: "true", False: "false", None: "null"}[value]
        return f"{value:g}" if isinstance(value, float) else str(value)


def rows() -> Iterator[Row]:
    """Every option of every section and every registered plugin."""
    yield from _rows(Options, "")


def _rows(section: type, prefix: str, owner: str = "", place: str = "") -> Iterator[Row]:
    options = _keys_of(section, data=None)
    yield from _rows_of(options, prefix, owner, place)
    if issubclass(section, Entry):
        for member in section.registry:
            own = {name: option for name, option in section.options(member).items() if name not in options}
            yield from _rows_of(own, prefix, member, prefix.removesuffix("."))


def _rows_of(options: dict[str, Field], prefix: str, owner: str, place: str) -> Iterator[Row]:
    for name, option in options.items():
        inner, many = _inner(option.annotation)
        path = f"{prefix}{name}"
        yield Row(path, option, owner, place)
        if _is_block(inner):
            yield from _rows(inner, f"{path}{many}.", owner, place)


def field_at(path: KeyPath, data: Any) -> Field | None:
    """The option at a path of a raw tree; None if there is no such option."""
    siblings, found = options_at((), data), None
    for depth, key in enumerate(path):
        if isinstance(key, int) and siblings.keys() != {_LIST}:
            return found
        found = siblings.get(str(key)) or siblings.get(_NAMED) or siblings.get(_LIST)
        if found is None:
            return None
        siblings = options_at(path[: depth + 1], data)
    return found


def options_at(path: KeyPath, data: Any) -> dict[str, Field]:
    """The keys that may stand in the mapping at `path` of a raw tree.

    Where names are free that is ``{".<name>": ...}``, and in a list ``{"[]": ...}``.
    """
    section, many = Options, ""
    for key in path:
        parent = data
        data = item_at(data, key)
        if many:
            many = ""
            continue
        options = _keys_of(section, parent)
        if key not in options:
            return {}
        inner, many = _inner(options[str(key)].annotation)
        if not _is_block(inner):
            return {}
        section = inner
    if many:
        return {many: Field(section, inspect.Parameter.empty, "")}
    return _keys_of(section, data)


def item_at(data: Any, key: int | str) -> Any:
    """What stands under a key of a mapping or at a place of a list; None where there is nothing."""
    if isinstance(data, list):
        return data[key] if isinstance(key, int) and key < len(data) else None
    return data.get(key) if isinstance(data, Mapping) else None


def _keys_of(section: type, data: Any) -> dict[str, Field]:
    if issubclass(section, Entry):
        type_name = data.get("type") if isinstance(data, Mapping) else None
        return section.options(type_name if isinstance(type_name, str) else None)
    return dataclass_options(section)


def _is_block(annotation: Any) -> bool:
    """Whether a value of this type is a mapping with keys of its own: a section, an entry, a plugin's own dataclass."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


# How paths go on below a mapping with free names, and below a list.
_NAMED, _LIST = ".<name>", "[]"


def _inner(annotation: Any) -> tuple[Any, str]:
    """The section inside an annotation (X, X | None, dict[name, X], list of X), and how the path goes on to it."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _inner(args[0])
    if origin is dict:
        return args[1], _NAMED
    if origin is tuple and args[-1] is Ellipsis:
        return args[0], _LIST
    if isinstance(annotation, types.UnionType):
        parts = [part for part in args if part is not type(None)]
        return _inner(parts[0]) if len(parts) == 1 else (annotation, "")
    return annotation, ""


def takes_path(annotation: Any) -> bool:
    """Whether a value of this type is a file path."""
    return annotation is Path or any(takes_path(part) for part in typing.get_args(annotation))


def type_name(annotation: Any) -> str:
    """A type in words: "integer > 0", "list of number", "a | b"."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(args[0]) + "".join(_bound(bound) for bound in args[1:])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in args)
    if origin is Literal:
        return " | ".join(map(str, args))
    if origin is tuple and args[-1] is not Ellipsis:
        return f"list of {len(args)}: " + ", ".join(type_name(part) for part in args)
    if isinstance(annotation, type) and issubclass(annotation, Entry):
        return "block with `type:`"
    if origin is dict or _is_block(annotation):
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


def unknown_option(path: KeyPath, data: Any) -> str:
    """What to say of a key that does not exist: what was meant, or where such an option lives."""
    name, siblings = str(path[-1]), list(options_at(path[:-1], data))
    hint = closest(name, siblings + (["base", "stages"] if len(path) == 1 else []))
    elsewhere = sorted({row.path for row in rows() if row.path.rpartition(".")[2] == name})
    if elsewhere and not hint.startswith("did you mean"):
        hint += f"; there is {' and '.join(elsewhere[:3])}"
    return hint


def explain(key: str) -> str:
    """All options whose dotted path is or ends in `key`, in words.

    Raises:
        LookupError: there is none; the message has the closest.
    """
    everything = list(rows())
    found = [row for row in everything if row.path == key or row.path.endswith("." + key)]
    if not found:
        known = sorted({row.path.rpartition(".")[2] for row in everything} | {row.path for row in everything})
        raise LookupError(f"no option {key!r}; {closest(key, known)}")
    # The same option of the same plugin may stand in several places (datasets.train, datasets.val.<name>, ...).
    places: dict[tuple[str, str, str], list[Row]] = {}
    for row in found:
        places.setdefault((row.path.rpartition(".")[2], row.owner, row.field.doc), []).append(row)
    return "\n\n".join(_explained(same) for same in places.values())


def _explained(same: list[Row]) -> str:
    row = same[0]
    lines = [
        ", ".join(place.path for place in same) + (f"  (type: {row.owner})" if row.owner else ""),
        f"  {row.meaning or 'no description'}",
        f"  type:    {type_name(row.field.annotation)}",
        f"  default: {row.default}",
    ]
    return "\n".join([*lines, f"  unit:    {row.unit}"] if row.unit else lines)


def markdown() -> str:
    """docs/options.md."""
    everything = list(rows())
    lines = [
        "# Options",
        "",
        "Generated by `srzoo options docs`; do not edit. `srzoo options explain KEY` prints one entry,",
        "`srzoo options show FILE` a resolved file. `<name>` stands for a name of your own.",
        "",
        "`base: FILE` (or a list) inherits from other files, looked for beside the file that names them: mappings",
        "merge, everything else replaces, `null` removes. `--set key.path=value` overrides on the command line.",
        "A name that begins with `options/`, here or after `-opt`, may also mean a file that comes with srzoo.",
        "",
        "`stages:` chains trainings: a mapping of names to options, each laid over the rest of the file. Its runs lie",
        "below the chain's, and each starts from the weights of the one before unless it has a",
        "`path.pretrain_network_g` of its own (docs/recipes.md).",
        "",
        "`docs/options.schema.json` is the JSON schema for editors. With the YAML language server, begin a file with",
        "`# yaml-language-server: $schema=PATH/TO/docs/options.schema.json`.",
        "",
        "## The option file",
        "",
    ]
    lines += _table([row for row in everything if not row.owner])
    owners: dict[str, dict[str, list[Row]]] = {}
    for row in everything:
        if row.owner:
            owners.setdefault(row.place, {}).setdefault(row.owner, []).append(row)
    for prefix, members in _distinct(owners).items():
        lines += ["", f"## `{prefix}`", ""]
        for owner, members_rows in members.items():
            lines += [f"### `type: {owner}`", "", *_table(members_rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def _distinct(owners: dict[str, dict[str, list[Row]]]) -> dict[str, dict[str, list[Row]]]:
    """Places that take the same plugins share one chapter."""
    chapters: dict[tuple[str, ...], list[str]] = {}
    for prefix, members in owners.items():
        chapters.setdefault(tuple(f"{owner}{len(found)}" for owner, found in members.items()), []).append(prefix)
    return {"`, `".join(prefixes): owners[prefixes[0]] for prefixes in chapters.values()}


def _table(members: list[Row]) -> list[str]:
    lines = ["| option | type | default | unit | meaning |", "|---|---|---|---|---|"]
    for row in members:
        name = row.path.removeprefix(f"{row.place}.")
        cells = (f"`{name}`", type_name(row.field.annotation), f"`{row.default}`", row.unit, row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def editor_schema() -> dict[str, Any]:
    """JSON schema for editors: any key may be inherited, so nothing is required; ``base`` is known."""
    schema = _relaxed(json_schema())
    for section in _sections(Options):
        target = schema if section is Options else schema["$defs"][section.__name__]
        for name, option in section.options().items():
            target["properties"][name]["description"] = option.doc
    schema["properties"]["base"] = {
        "description": "option file(s) to inherit from, relative to this one",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    schema["properties"]["stages"] = {
        "description": "trainings one after the other, by name: options laid over the rest of this file",
        "type": "object",
        "additionalProperties": {"$ref": "#"},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "srzoo option file"} | schema


def _sections(section: type[Section]) -> Iterator[type[Section]]:
    yield section
    for option in section.options().values():
        inner, _ = _inner(option.annotation)
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from _sections(inner)


def _relaxed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_relaxed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _relaxed(value) for key, value in schema.items() if key not in ("required", "discriminator")}
    if "oneOf" in kept:
        kept["anyOf"] = kept.pop("oneOf")
    return kept
