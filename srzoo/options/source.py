"""YAML text to plain values that remember their lines; inheritance and overrides.

PyYAML's traps are closed: ``1e-4`` is a number, ``on`` and ``no`` are words, a repeated key is a fault.
"""

import copy
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from srzoo.options.shipped import find_option_file
from srzoo.registry import closest

KeyPath = tuple[str | int, ...]

_ENV = re.compile(r"\$\{env:(\w+)\}")
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WHOLE = re.compile(r"[-+]?[0-9]+[eE]\+?[0-9]{1,3}")


@dataclass(frozen=True)
class OptionFault:
    """One fault of an option file: where it stands, which option, what was expected and what came."""

    where: str
    path: KeyPath
    message: str

    def __str__(self) -> str:
        option = dotted(self.path)
        return f"{self.where}: {option}: {self.message}" if option else f"{self.where}: {self.message}"


class OptionsError(ValueError):
    """All faults of an option file, one line each."""

    def __init__(self, file: Path, faults: Sequence[OptionFault]) -> None:
        self.faults = list(faults)
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        super().__init__(f"{len(self.faults)} fault(s) in the options of {file}:\n{lines}")


@dataclass
class Tree:
    """Nested values and the place each of them came from; `faults` collects what was wrong on the way.

    `unreadable`: a file was no YAML mapping at all, so that what its options would have been is unknown.
    """

    value: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)
    faults: list[OptionFault] = field(default_factory=list)
    unreadable: bool = False

    def place(self, path: KeyPath) -> str:
        """Where `path` stands, or the nearest thing around it."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, "option file")

    def fault(self, path: KeyPath, message: str) -> None:
        self.faults.append(OptionFault(self.place(path), path, message))

    def expanded(self, path: KeyPath, text: str) -> str:
        """`text` with ${env:NAME} replaced; a variable that is not set is a fault."""
        unset = [name for name in _ENV.findall(text) if name not in os.environ]
        if unset:
            self.fault(path, f"the environment variable {', '.join(unset)} is not set")
        return _ENV.sub(lambda match: os.environ.get(match.group(1), ""), text)

    def get(self, *path: str) -> Any:
        """The value at a path of keys, None where there is none."""
        value: Any = self.value
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def dotted(path: KeyPath) -> str:
    """train.optim_g.betas[1]."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def read_tree(file: Path, overrides: Sequence[str] = ()) -> Tree:
    """An option file with everything it inherits (``base:``) and the overrides ``key.path=value`` on top.

    Faults of form (bad YAML, missing base, repeated keys) are in the tree's `faults`.

    Raises:
        FileNotFoundError: the option file itself does not exist.
    """
    if not file.is_file():
        raise FileNotFoundError(f"option file {file} does not exist" + (" (it is a folder)" if file.is_dir() else ""))
    tree = _read_with_bases(file, ())
    for override in overrides:
        _merge(tree, _override_tree(override))
    return tree


class Stage(NamedTuple):
    """One training of a chain: its tree, the chain's name, and whether the stage itself says where it starts."""

    tree: Tree
    chain: object = None
    has_weights: bool = False


def stage_trees(file: Path, overrides: Sequence[str] = ()) -> dict[str, Stage]:
    """The stages of a chain of trainings, in order: what the file says outside `stages`, then what the stage says.

    A stage may have a `base` of its own. Overrides of ``stages.<name>...`` are for that stage, others for all of them
    before those. A file without `stages` is one stage under the name "".

    Raises:
        FileNotFoundError: the option file itself does not exist.
    """
    whole = read_tree(file, overrides)
    stages = whole.value.pop("stages", None)
    _refuse_unknown_stages(whole, file, overrides)
    if stages is None:
        return {"": Stage(whole)}
    if not isinstance(stages, dict) or not stages or not all(isinstance(stage, dict) for stage in stages.values()):
        whole.fault(("stages",), f"expected one or more named stages, each a mapping of options, got {stages!r}")
        return {"": Stage(whole)}
    return {name: _stage_tree(file, overrides, whole, name, stage) for name, stage in stages.items()}


def _refuse_unknown_stages(whole: Tree, file: Path, overrides: Sequence[str]) -> None:
    """An override of a stage that the file does not have would add one."""
    of_stages = [override for override in overrides if override.startswith("stages.")]
    stages = read_tree(file).value.get("stages") if of_stages else None
    known = list(stages) if isinstance(stages, dict) else []
    for override in of_stages:
        name = re.split(r"[.=]", override)[1]
        if name not in known:
            hint = closest(name, known) if known else "this file has none"
            whole.faults.append(OptionFault(f"--set {override}", ("stages", name), f"no stage of that name; {hint}"))


def _stage_tree(file: Path, overrides: Sequence[str], whole: Tree, name: str, own: dict[str, Any]) -> Stage:
    root, path = ("stages", name), own.get("path")
    has_weights = isinstance(path, dict) and "pretrain_network_g" in path
    places = {path[2:]: place for path, place in whole.places.items() if path[:2] == root}
    stage = Tree(copy.deepcopy(own), places)
    tree = copy.deepcopy(whole)
    tree.places = {path: place for path, place in tree.places.items() if path[:1] != ("stages",)}
    _merge(tree, _bases_of(stage, file, (file.resolve(),)))
    _merge(tree, stage)
    for override in overrides:
        if not override.startswith("stages."):
            _merge(tree, _override_tree(override))
    for override in overrides:
        if override.startswith(f"stages.{name}."):
            _merge(tree, _override_tree(override.removeprefix(f"stages.{name}.")))
    return Stage(tree, whole.value.get("name"), has_weights)


def _read_with_bases(file: Path, descendants: tuple[Path, ...]) -> Tree:
    own = _read_file(file)
    tree = _bases_of(own, file, (*descendants, file.resolve()))
    _merge(tree, own)
    return tree


def _bases_of(own: Tree, file: Path, descendants: tuple[Path, ...]) -> Tree:
    """What `own`, which stands in `file`, inherits by its `base`, which is taken out of it."""
    bases = own.value.pop("base", [])
    names = [bases] if isinstance(bases, str) else bases
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        own.fault(("base",), f"expected a file name or a list of them, got {bases!r}")
        names = []
    tree = Tree()
    for name in names:
        base = find_option_file(name, file.parent)
        if base.resolve() in descendants:
            own.fault(("base",), f"{name} inherits from itself")
        elif base.is_file():
            _merge(tree, _read_with_bases(base, descendants))
        else:
            own.fault(
                ("base",),
                f"{base} does not exist; a base is looked for beside the file that names it, options/... also among "
                "the files that come with srzoo",
            )
    return tree


def _merge(tree: Tree, top: Tree) -> None:
    """Lay `top` over `tree`: mappings merge, everything else replaces, null removes what was inherited."""
    tree.faults += top.faults
    tree.unreadable |= top.unreadable
    tree.places[()] = top.places.get((), tree.places.get((), ""))
    _merge_mapping(tree, tree.value, top.value, (), top.places)


def _merge_mapping(
    tree: Tree, into: dict[str, Any], new: Mapping[str, Any], path: KeyPath, places: Mapping[KeyPath, str]
) -> None:
    for key, value in new.items():
        here = (*path, key)
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            tree.places[here] = places[here]
            _merge_mapping(tree, into[key], value, here, places)
            continue
        for old in [place for place in tree.places if place[: len(here)] == here]:
            del tree.places[old]
        if value is None and key in into:
            del into[key]
            continue
        into[key] = value
        tree.places.update({place: text for place, text in places.items() if place[: len(here)] == here})


def _read_file(file: Path) -> Tree:
    tree = Tree(places={(): str(file)})
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
    _place_plugins(tree, tree.value, (), file.parent)
    stages = tree.value.get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        if isinstance(stage, dict):
            _place_plugins(tree, stage, ("stages", name), file.parent)
            _place_bases(stage, file.parent)
    return tree


def _place_plugins(tree: Tree, options: dict[str, Any], path: KeyPath, folder: Path) -> None:
    """Like bases, plugins are named relative to the file that names them."""
    plugins = options.get("plugins")
    if not isinstance(plugins, list):
        return
    for number, name in enumerate(plugins):
        if isinstance(name, str):
            plugins[number] = str((folder / tree.expanded((*path, "plugins", number), name)).resolve())


def _place_bases(stage: dict[str, Any], folder: Path) -> None:
    """A stage is laid over its base later, when it may have been inherited by a file in another folder."""
    bases = stage.get("base")
    if isinstance(bases, str):
        stage["base"] = str(find_option_file(bases, folder.absolute()))
    elif isinstance(bases, list):
        stage["base"] = [
            str(find_option_file(name, folder.absolute())) if isinstance(name, str) else name for name in bases
        ]


def _override_tree(text: str) -> Tree:
    place = f"--set {text}"
    name, equals, value = text.partition("=")
    tree = Tree(places={(): place})
    keys = name.strip().split(".")
    if not equals or not all(keys):
        tree.fault((), "expected key.path=value")
        return tree
    try:
        node = yaml.compose(value, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        tree.fault(tuple(keys), f"the value {value!r} is not valid YAML")
        return tree
    parsed = _value(node, tuple(keys), place, tree, ()) if node is not None else None
    for depth in range(1, len(keys) + 1):
        tree.places[tuple(keys[:depth])] = place
    tree.places = dict.fromkeys(tree.places, place)
    for key in reversed(keys):
        parsed = {key: parsed}
    assert isinstance(parsed, dict)
    tree.value = parsed
    return tree


def _value(node: yaml.Node, path: KeyPath, origin: str, tree: Tree, ancestors: tuple[int, ...]) -> Any:
    tree.places.setdefault(path, f"{origin}:{node.start_mark.line + 1}")
    if id(node) in ancestors:
        tree.fault(path, "an anchor that contains itself")
        return None
    if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
        tree.fault(path, f"the YAML tag {node.tag} is not allowed here")
        return None
    ancestors = (*ancestors, id(node))
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _scalar(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, i), origin, tree, ancestors) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.MappingNode)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = f"{origin}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode) or key_node.value in ("<<", ""):
            tree.faults.append(OptionFault(place, path, "keys must be plain names (to inherit, use `base:`)"))
            continue
        key = key_node.value
        if key in mapping:
            first = tree.place((*path, key))
            tree.faults.append(OptionFault(place, (*path, key), f"given twice, first at {first}"))
            continue
        tree.places[(*path, key)] = place
        mapping[key] = _value(value_node, (*path, key), origin, tree, ancestors)
    return mapping


def _scalar(text: str) -> Any:
    """A plain scalar by YAML 1.2's core rules; 1e6 is the integer 1000000."""
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
