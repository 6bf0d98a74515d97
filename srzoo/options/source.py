"""YAML text to trees: one option file, or one override of the command line.

Traps of PyYAML that are closed here: ``1e-4`` is a number, ``on`` and ``no`` are words, a repeated key is a fault, and
reading stops at the limits of limits.py.
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml

from srzoo.options.limits import Budget, LimitExceeded, check_depth, shortened
from srzoo.options.shipped import find_option_file
from srzoo.options.tree import KeyPath, OptionFault, Tree

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
# 64 bits hold 19 digits. Larger integers are read as floats: 1e30 is a number, but no count.
_INT = re.compile(r"[-+]?[0-9]{1,19}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]{1,19}[eE]\+?[0-9]{1,2}")


class BoundedLoader(yaml.SafeLoader):
    """PyYAML's composer of nodes, stopped by deep nesting and by more values than the budget has left."""

    def __init__(self, text: str, budget: Budget) -> None:
        super().__init__(text)
        self._depth: list[object] = []
        # `budget` itself counts the values that are made from the nodes.
        self._budget = Budget(values=budget.values)

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        """Compose a node and everything inside it; see PyYAML's Composer."""
        self._depth.append(index)
        try:
            check_depth(self._depth)
            if parent is None or index is not None:  # PyYAML composes the keys of a mapping without an index
                self._budget.add_value()
        except LimitExceeded as error:
            error.location = f":{self.peek_event().start_mark.line + 1}"
            raise
        node = super().compose_node(parent, index)  # pyright: ignore[reportArgumentType]  # an index is of any type
        self._depth.pop()
        return node


def parse_file(file: Path, budget: Budget) -> Tree:
    """Read one option file without the files that it inherits from; bad YAML becomes a fault of the tree.

    Args:
        file: the option file.
        budget: counts the bytes and values of all files of one loading.

    Raises:
        LimitExceeded: the file is too large, too deep, or has too many values.
    """
    tree = Tree(locations={(): str(file)})
    try:
        budget.add_bytes(file.stat().st_size)
        node = _compose(file.read_text(encoding="utf-8"), budget)
        value = _value(node, (), str(file), tree, budget) if node is not None else {}
    except LimitExceeded as error:
        error.location = f"{file}{error.location}"
        raise
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        tree.faults.append(OptionFault(f"{file}{line}", (), f"not valid YAML: {error.problem}"))
        tree.unreadable = True
        return tree
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        tree.fault((), f"not valid YAML: {error}")
        tree.unreadable = True
        return tree
    if isinstance(value, dict):
        tree.value = value
    else:
        tree.fault((), f"expected `key: value` lines, got {shortened(repr(value))}")
        tree.unreadable = True
    _resolve_names_of_files(tree, file.parent)
    return tree


def parse_override(text: str) -> Tree:
    """Read an override ``key.path=value``; a malformed one becomes a fault of the tree."""
    location, budget = f"--set {shortened(text, 200)}", Budget()
    name, equals, value = text.partition("=")
    tree = Tree(locations={(): location})
    keys = name.strip().split(".")
    if not equals or not all(keys):
        tree.fault((), "expected key.path=value")
        return tree
    try:
        node = _compose(value, budget)
        parsed = _value(node, tuple(keys), location, tree, budget) if node is not None else None
    except yaml.YAMLError:
        tree.fault(tuple(keys), f"the value {shortened(repr(value))} is not valid YAML")
        return tree
    except LimitExceeded as error:
        tree.refuse(error, location)
        return tree
    for depth in range(1, len(keys) + 1):
        tree.locations[tuple(keys[:depth])] = location
    # Line numbers within an override would say nothing.
    tree.locations = dict.fromkeys(tree.locations, location)
    for key in reversed(keys):
        parsed = {key: parsed}
    assert isinstance(parsed, dict)
    tree.value = parsed
    return tree


def overflows(text: str) -> bool:
    """Return True for a number that is too large for a float, such as 1e999."""
    return _FLOAT.fullmatch(text) is not None and math.isinf(float(text))


def _resolve_names_of_files(tree: Tree, folder: Path) -> None:
    """Plugins, the bases of stages and the test file of a study are named relative to the file that names them."""
    _resolve_plugins(tree, tree.value, (), folder)
    if isinstance(tree.value.get("test"), str):
        tree.value["test"] = str(find_option_file(tree.value["test"], folder.absolute()))
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


def _compose(text: str, budget: Budget) -> yaml.Node | None:
    loader = BoundedLoader(text, budget)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _value(
    node: yaml.Node, path: KeyPath, origin: str, tree: Tree, budget: Budget, ancestors: tuple[int, ...] = ()
) -> Any:
    """Turn a YAML node into plain values; note lines and faults in `tree`.

    Args:
        node: of PyYAML.
        path: of the node in the tree.
        origin: file name, or the override.
        tree: gets locations and faults.
        budget: counts the values, those of an anchor wherever it is used.
        ancestors: identities of the nodes around this one, because an anchor may contain itself.

    Raises:
        LimitExceeded: too many values, or too deep.
    """
    budget.add_value()
    check_depth(path)
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
        return [_value(item, (*path, i), origin, tree, budget, ancestors) for i, item in enumerate(node.value)]
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
        mapping[key] = _value(value_node, (*path, key), origin, tree, budget, ancestors)
    return mapping


def _scalar(text: str) -> Any:
    """Return the value of a plain scalar by the core rules of YAML 1.2; 1e6 is the integer 1000000.

    A number that is too large even for a float stays text, so that the check of types refuses it.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text) and abs(int(text)) < 2**63:
        return int(text)
    if _WHOLE.fullmatch(text):
        mantissa, exponent = text.lower().split("e")
        whole = int(mantissa) * 10 ** int(exponent)
        if abs(whole) < 2**63:
            return whole
    return float(text) if _FLOAT.fullmatch(text) and not overflows(text) else text
