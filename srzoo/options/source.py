"""YAML text to trees: one option file, or one override of the command line.

Traps of PyYAML that are closed here: ``1e-4`` is a number, ``on`` and ``no`` are words, a repeated key is a fault.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from srzoo.options.shipped import find_option_file
from srzoo.options.tree import KeyPath, OptionFault, Tree

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]+[eE]\+?[0-9]{1,3}")


def parse_file(file: Path) -> Tree:
    """Read one option file without the files that it inherits from; bad YAML becomes a fault of the tree."""
    tree = Tree(locations={(): str(file)})
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        tree.faults.append(OptionFault(f"{file}{line}", (), f"not valid YAML: {error.problem}"))
        tree.unreadable = True
        return tree
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        tree.fault((), f"not valid YAML: {error}")
        tree.unreadable = True
        return tree
    value = _value(node, (), str(file), tree, ()) if node is not None else {}
    if isinstance(value, dict):
        tree.value = value
    else:
        tree.fault((), f"expected `key: value` lines, got {value!r}")
        tree.unreadable = True
    _resolve_names_of_files(tree, file.parent)
    return tree


def parse_override(text: str) -> Tree:
    """Read an override ``key.path=value``; a malformed one becomes a fault of the tree."""
    location = f"--set {text}"
    name, equals, value = text.partition("=")
    tree = Tree(locations={(): location})
    keys = name.strip().split(".")
    if not equals or not all(keys):
        tree.fault((), "expected key.path=value")
        return tree
    try:
        node = yaml.compose(value, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        tree.fault(tuple(keys), f"the value {value!r} is not valid YAML")
        return tree
    parsed = _value(node, tuple(keys), location, tree, ()) if node is not None else None
    for depth in range(1, len(keys) + 1):
        tree.locations[tuple(keys[:depth])] = location
    # Line numbers within an override would say nothing.
    tree.locations = dict.fromkeys(tree.locations, location)
    for key in reversed(keys):
        parsed = {key: parsed}
    assert isinstance(parsed, dict)
    tree.value = parsed
    return tree


def _resolve_names_of_files(tree: Tree, folder: Path) -> None:
    """Plugins, and the bases of stages, are named relative to the file that names them."""
    _resolve_plugins(tree, tree.value, (), folder)
    stages = tree.value.get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        if isinstance(stage, dict):
            _resolve_plugins(tree, stage, ("stages", name), folder)
            _resolve_stage_bases(stage, folder)


def _resolve_plugins(tree: Tree, options: dict[str, Any], path: KeyPath, folder: Path) -> None:
    plugins = options.get("plugins")
    if not isinstance(plugins, list):
        return
    for number, name in enumerate(plugins):
        if isinstance(name, str):
            expanded = tree.expand_environment((*path, "plugins", number), name)
            plugins[number] = str((folder / expanded).resolve())


def _resolve_stage_bases(stage: dict[str, Any], folder: Path) -> None:
    # A stage is merged with its base later, when a file in another folder may have inherited it.
    bases = stage.get("base")
    if isinstance(bases, str):
        stage["base"] = str(find_option_file(bases, folder.absolute()))
    elif isinstance(bases, list):
        stage["base"] = [
            str(find_option_file(name, folder.absolute())) if isinstance(name, str) else name for name in bases
        ]


def _value(node: yaml.Node, path: KeyPath, origin: str, tree: Tree, ancestors: tuple[int, ...]) -> Any:
    """Turn a YAML node into plain values; note lines and faults in `tree`.

    Args:
        node: of PyYAML.
        path: of the node in the tree.
        origin: file name, or the override.
        tree: gets locations and faults.
        ancestors: identities of the nodes around this one, because an anchor may contain itself.
    """
    tree.locations.setdefault(path, f"{origin}:{node.start_mark.line + 1}")
    if id(node) in ancestors:
        tree.fault(path, "an anchor that contains itself")
        return None
    if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
        tree.fault(path, f"the YAML tag {node.tag} is not allowed here")
        return None
    ancestors = (*ancestors, id(node))
    if isinstance(node, yaml.ScalarNode):
        # A style means quotes or a block: text, whatever it looks like.
        return node.value if node.style else _scalar(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), origin, tree, ancestors) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.MappingNode)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        location = f"{origin}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode) or key_node.value in ("<<", ""):
            tree.faults.append(OptionFault(location, path, "keys must be plain names (to inherit, use `base:`)"))
            continue
        key = key_node.value
        if key in mapping:
            first = tree.location((*path, key))
            tree.faults.append(OptionFault(location, (*path, key), f"given twice, first at {first}"))
            continue
        tree.locations[(*path, key)] = location
        mapping[key] = _value(value_node, (*path, key), origin, tree, ancestors)
    return mapping


def _scalar(text: str) -> Any:
    """Return the value of a plain scalar by the core rules of YAML 1.2; 1e6 is the integer 1000000."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    if _WHOLE.fullmatch(text):
        mantissa, exponent = text.lower().split("e")
        return int(mantissa) * 10 ** int(exponent)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
