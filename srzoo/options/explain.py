"""Short answers of ``srzoo options explain``: an option, a section, or a type."""

import inspect
from collections.abc import Iterator
from typing import Any

from srzoo.options.annotations import inner_type, is_block, type_name
from srzoo.options.describe import FILE_KEYS, default_in_words
from srzoo.options.entry import Entry, Field
from srzoo.options.lookup import FAMILIES, KnownOption, all_options, keys_of
from srzoo.options.schema import Options
from srzoo.registry import BACKBONES, Registry, closest


def explain(word: str) -> str:
    """Describe what a word of an option file means.

    Args:
        word: name of a type, or the dotted path of an option or section, or the end of it; names that a user chooses
            may be in it (train.losses.pixel.weight) or left as <name>.

    Raises:
        LookupError: it is none of these; the message has the closest words.
    """
    options = list(all_options())
    found = [option for option in options if _leads_to(option.path, word)]
    # A plugin may be named in several blocks (datasets.train, datasets.val.<name>, ...): describe its option once.
    same: dict[tuple[str, str, str], list[KnownOption]] = {}
    for option in sorted(found, key=lambda option: option.path.count(".")):
        same.setdefault((option.name, option.plugin, option.field.doc), []).append(option)
    answers = [_type(registry, word, options) for registry in (*FAMILIES, BACKBONES) if word in registry]
    if word in FILE_KEYS:
        answers.append(f"{word}\n  {FILE_KEYS[word]}")
    answers += [_option(equal) for equal in same.values()]
    if not answers:
        raise LookupError(_unknown(word, options))
    return "\n\n".join(answers)


def _leads_to(path: str, word: str) -> bool:
    """Return True if the parts of `word` are the last ones of a known path."""
    known, given = path.split("."), word.split(".")
    pairs = zip(reversed(known), reversed(given), strict=False)
    return len(given) <= len(known) and all(_is_same(part, other) for part, other in pairs)


def _is_same(known: str, given: str) -> bool:
    # stages[] of a list is stages[0] in messages, and stages for short.
    return known in ("<name>", given) or (known.endswith("[]") and known[:-2] == given.partition("[")[0])


def _option(same: list[KnownOption]) -> str:
    plugin, field = same[0].plugin, same[0].field
    lines = [
        ", ".join(option.path for option in same) + (f"  (type: {plugin})" if plugin else ""),
        f"  {field.meaning or 'no description'}",
        f"  type:    {type_name(field.annotation)}",
        f"  default: {default_in_words(field)}",
    ]
    if field.unit:
        lines.append(f"  unit:    {field.unit}")
    inner = inner_type(field.annotation).type
    if is_block(inner):
        keys = dict(keys_of(inner, data=None))
        if issubclass(inner, Entry):
            del keys["type"]
            lines.append(f"  types (explain one for its options): {', '.join(inner.registry)}")
        lines += _keys(keys) if keys else []
    return "\n".join(lines)


def _type(registry: Registry[Any], name: str, options: list[KnownOption]) -> str:
    """Describe a plugin: where it is named, the first paragraph of its docstring, and its options."""
    blocks = list(_blocks_of(registry, options))
    summary = (inspect.getdoc(registry[name]) or "no description").partition("\n\n")[0].replace("\n", " ")
    places = f": {', '.join(f'{path}.type' for path, _ in blocks)}" if blocks else ""
    keys: dict[str, Field] = {}
    for _, entry in blocks:
        keys |= entry.options(name)
    keys.pop("type", None)
    return "\n".join([f"{name}  ({registry.family}{places})", f"  {summary}", *_keys(keys)])


def _blocks_of(registry: Registry[Any], options: list[KnownOption]) -> Iterator[tuple[str, type[Entry]]]:
    """Yield (path, entry) of each block that may name a plugin of this family."""
    for option in options:
        inner, step = inner_type(option.field.annotation)
        if is_block(inner) and issubclass(inner, Entry) and inner.registry is registry:
            yield f"{option.path}{step}", inner


def _keys(options: dict[str, Field]) -> list[str]:
    if not options:
        return ["  options: none"]
    lines = ["  options:"]
    for name, field in options.items():
        default = default_in_words(field)
        words = "required" if field.required else f"default {default}"
        unit = f" [{field.unit}]" if field.unit else ""
        lines.append(f"    {name} ({type_name(field.annotation)}; {words}): {field.meaning}{unit}")
    return lines


def _unknown(word: str, options: list[KnownOption]) -> str:
    types = {name for registry in (*FAMILIES, BACKBONES) for name in registry}
    known = sorted({option.name for option in options} | {option.path for option in options} | types)
    hint = closest(word, known)
    if not hint.startswith("did you mean"):
        hint = f"the sections are {', '.join(Options.options())}; docs/options.md lists all options"
    return f"no option, section or type {word!r}; {hint}"
