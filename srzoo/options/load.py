"""An option file to :class:`Options`, or all of its faults at once."""

import difflib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydantic_core
import yaml

from srzoo.options.describe import field_at, item_at, takes_path, type_name, unknown_option
from srzoo.options.rules import contradictions
from srzoo.options.schema import Entry, Options, plain, validate
from srzoo.options.source import KeyPath, OptionFault, OptionsError, Stage, Tree, read_tree, stage_trees
from srzoo.registry import ARCHS, load_plugin

# (options of a stage) -> the weights it will end with.
HandOver = Callable[[Options], Path]


@dataclass(frozen=True)
class LoadedOptions:
    """Options, and the resolved file that gives them: inheritance, overrides and defaults written out."""

    options: Options
    text: str

    @property
    def sha256(self) -> str:
        """Checksum of the resolved file."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_options(
    file: Path, overrides: Sequence[str] = (), purpose: Literal["run", "network"] = "run"
) -> LoadedOptions:
    """Read, inherit, override and check an option file. Touches no data and no GPU.

    Args:
        file: the option file.
        overrides: ``key.path=value`` texts, applied last.
        purpose: "network": the file need not say what to train or test on.

    Raises:
        FileNotFoundError: no such file.
        OptionsError: everything that is wrong with it.
    """
    tree = read_tree(file, overrides)
    _refuse_foreign(file, tree)
    if "stages" in tree.value:
        tree.fault(("stages",), "a chain of trainings is for train.py; here, name a file with one training or network")
        raise OptionsError(file, tree.faults)
    return _load(file, tree, purpose)


def load_chain(file: Path, overrides: Sequence[str], hand_over: HandOver) -> dict[str, LoadedOptions]:
    """The trainings of a file, in order: those under `stages`, or under the name "" the only one.

    A stage's run lies below that of the chain, and it starts from the weights that the stage before it ends with,
    unless it names others (or null) itself.

    Args:
        file: the option file.
        overrides: ``key.path=value`` texts, applied last to every stage; ``stages.<name>.key=value`` to one.
        hand_over: (options of a stage) -> the weights it will end with, relative as its paths are.

    Raises:
        FileNotFoundError: no such file.
        OptionsError: everything that is wrong with it, all stages together.
    """
    chain: dict[str, LoadedOptions] = {}
    faults: list[OptionFault] = []
    weights: Path | None = None
    for name, stage in stage_trees(file, overrides).items():
        tree = stage.tree
        _refuse_foreign(file, tree)
        if name:
            _place_stage(stage, name, weights)
        try:
            chain[name] = _load(file, tree, "run")
        except OptionsError as error:
            faults += [fault for fault in error.faults if fault not in faults]
            weights = Path("weights of a stage that has faults")
            continue
        options = chain[name].options
        weights = options.resolve(hand_over(options)).absolute()
    if faults:
        raise OptionsError(file, faults)
    return chain


def _refuse_foreign(file: Path, tree: Tree) -> None:
    if "model_type" in tree.value:  # every option file of BasicSR's kind has one
        command = f"srzoo convert options {file} -o {file.stem}_srzoo.yml"
        tree.fault(("model_type",), f"this is an option file of BasicSR's kind; to convert it: {command}")
        raise OptionsError(file, tree.faults)


def _place_stage(stage: Stage, name: str, weights: Path | None) -> None:
    """Name the run of a stage, and say where it starts if it does not itself."""
    path = stage.tree.value.setdefault("path", {})
    experiments = path.get("experiments", "experiments") if isinstance(path, dict) else None
    if not isinstance(experiments, str) or not isinstance(stage.chain, str):
        return  # faults that the types will show
    path["experiments"] = str(Path(experiments) / stage.chain)
    stage.tree.value["name"] = name
    if weights is not None and not stage.has_weights:
        path |= {"pretrain_network_g": str(weights), "param_key_g": "auto"}


def _load(file: Path, tree: Tree, purpose: Literal["run", "network"]) -> LoadedOptions:
    if tree.unreadable:
        raise OptionsError(file, tree.faults)
    _load_plugins(tree)
    _reach_network(tree)
    _expand_environment(tree)
    options, errors = validate(tree.value)
    if options is not None:
        _try_constructors(options, tree)
    faults = [*tree.faults, *(_fault(error, tree) for error in errors), *contradictions(tree, purpose)]
    if faults or options is None:
        raise OptionsError(file, sorted(set(faults), key=lambda fault: faults.index(fault)))
    return LoadedOptions(options, yaml.safe_dump(plain(options), sort_keys=False, width=120))


def _load_plugins(tree: Tree) -> None:
    plugins = tree.value.get("plugins")
    for number, path in enumerate(plugins if isinstance(plugins, list) else []):
        if isinstance(path, str):
            try:
                load_plugin(Path(path))
            except (ValueError, FileNotFoundError) as error:
                tree.fault(("plugins", number), str(error))


def _reach_network(tree: Tree) -> None:
    """Networks of another package become known when they are named."""
    try:
        ARCHS.reach(tree.get("network_g", "type"))
    except LookupError as error:
        tree.fault(("network_g", "type"), str(error))


def _expand_environment(tree: Tree) -> None:
    """Replace ${env:NAME} in paths; anywhere else it is a fault."""
    for path, text in _texts(tree.value, ()):
        if "${env:" not in text:
            continue
        option = field_at(path, tree.value)
        if option is not None and not takes_path(option.annotation):
            tree.fault(path, "${env:...} is for paths only")
            continue
        parent: Any = tree.value
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = tree.expanded(path, text)


def _try_constructors(options: Options, tree: Tree) -> None:
    """What only a constructor knows (a width that does not divide, say) is told with the other faults.

    Networks are built without memory for weights; data sets and losses, which may read files, come later.
    """
    blocks: list[tuple[KeyPath, Entry]] = [(("network_g",), options.network_g)]
    if options.train is not None:
        blocks.append((("train", "scheduler"), options.train.scheduler))
        blocks.append((("train", "optim_g"), options.train.optim_g))
    if options.degradation is not None:
        blocks += [(("degradation", "stages", n), stage) for n, stage in enumerate(options.degradation.stages)]
    blocks += [(("val", "metrics", name), entry) for name, entry in options.val.metrics.items()]
    import torch

    for path, entry in blocks:
        try:
            with torch.device("meta"):
                weights = [torch.nn.Parameter(torch.zeros(1))]
                built = entry.registry.build(
                    entry.type, options.resolved_args(entry), scale=options.scale, params=weights
                )
            if path == ("network_g",):
                _try_network(built, options, tree)
        except (ValueError, LookupError) as error:
            tree.fault((*path, "type"), f"{entry.type}: {error}")
        except Exception:  # not every constructor can do without memory; the real one will tell
            continue


def _try_network(net: Any, options: Options, tree: Tree) -> None:
    """What the rest of the file asks of the network, against what it can do."""
    from srzoo.layers import reparam

    name, place = options.network_g.type, ("datasets", "train", "gt_size")
    crop = options.datasets.train and options.datasets.train.args.get("gt_size")
    if options.degradation is not None and options.degradation.gt_size is not None:
        crop, place = options.degradation.gt_size, ("degradation", "gt_size")
    if options.val.fused and not any(not block.merged for _, block in reparam.blocks(net)):
        tree.fault(("val", "fused"), f"{name} with these options has no re-parameterisable block")
    if options.val.tile is not None:
        from srzoo.infer.tile import TiledNet

        try:
            TiledNet(net, tile=options.val.tile, overlap=options.val.tile_overlap, scale=options.scale)
        except ValueError as error:
            tree.fault(("val", "tile"), str(error))
    smallest = getattr(net, "multiple_of", 1)
    if isinstance(crop, int) and crop // options.scale < smallest:
        tree.fault(
            place,
            f"LQ crops of {crop // options.scale} pixels are smaller than the {smallest} (a window, say) that {name} "
            f"works on: expected at least {smallest * options.scale}, got {crop}",
        )


def _texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _texts(item, (*path, number))


def _fault(error: pydantic_core.ErrorDetails, tree: Tree) -> OptionFault:
    path, owner = _key_path(error["loc"], tree.value)
    return OptionFault(tree.place(path), path, _message(error, path, owner, tree))


def _key_path(loc: tuple[int | str, ...], data: Any) -> tuple[KeyPath, str]:
    """pydantic's location without the plugin names and union members it inserts; the last plugin name is the owner."""
    path: list[int | str] = []
    owner = ""
    for depth, key in enumerate(loc):
        if isinstance(data, Mapping) and key not in data and data.get("type") == key and depth + 1 < len(loc):
            owner = str(key)
        elif isinstance(key, int) or not isinstance(data, list | str | int | float | bool):
            path.append(key)
            data = item_at(data, key)
            if key == "[key]":  # a name in a mapping: pydantic appends this mark
                path.pop()
    return tuple(path), owner


def _message(error: pydantic_core.ErrorDetails, path: KeyPath, owner: str, tree: Tree) -> str:
    kind, given = error["type"], error["input"]
    of = f" of {owner}" if owner else ""
    entry = field_at(path, tree.value)
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        supplied = _supplied_by_framework(path, tree)
        return supplied or f"unknown option{of}; {unknown_option(path, tree.value)}"
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        expected = f"; expected {type_name(entry.annotation)}" if entry else ""
        return f"required option{of} is missing{expected}" + (f": {entry.doc}" if entry and entry.doc else "")
    if kind in ("union_tag_not_found", "union_tag_invalid") and entry is not None:
        registry = _registry(entry.annotation)
        given_type = given.get("type") if isinstance(given, Mapping) else None
        if given_type is None:
            meant = difflib.get_close_matches("type", given if isinstance(given, Mapping) else [], n=1)
            hint = f" (did you mean `type` by {meant[0]!r}?)" if meant else ""
            return f"`type` is missing{hint}: which {registry.family}? known: {', '.join(registry)}"
        return registry.unknown(given_type)
    if kind == "string_pattern_mismatch":
        return f"expected a name of letters, digits, '_' and '-' (run names also '.' and '+'), got {given!r}"
    expected = type_name(entry.annotation) if entry else error["msg"]
    detail = "" if kind.endswith("_type") or kind == "literal_error" else f" ({error['msg']})"
    return f"expected {expected}, got {given!r}{detail}"


def _registry(annotation: Any) -> Any:
    """The plugin family of an annotation that holds one kind of entry."""
    if isinstance(annotation, type) and issubclass(annotation, Entry):
        return annotation.registry
    return next(part.registry for part in annotation.__args__ if isinstance(part, type) and issubclass(part, Entry))


def _supplied_by_framework(path: KeyPath, tree: Tree) -> str:
    entry = field_at(path[:-1], tree.value)
    try:
        supplied = _registry(entry.annotation).supplied if entry else ()
    except (AttributeError, StopIteration):
        return ""
    return f"is set by the framework (from `{path[-1]}` at the top), not here" if path[-1] in supplied else ""
