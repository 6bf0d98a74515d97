"""Chains of trainings: one tree for each entry under ``stages:``."""

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from srzoo.options.inheritance import OptionFiles, apply_overrides
from srzoo.options.limits import MAX_STAGES, LimitExceeded, shortened
from srzoo.options.removal import merge_options
from srzoo.options.tree import OptionFault, Tree, paths_below
from srzoo.registry import closest


class ChainStage(NamedTuple):
    """One training of a chain.

    Args:
        tree: options of the stage: those outside `stages` with its own on top.
        chain: name of the chain as the file has it, of any type.
        names_weights: the stage itself has a path.pretrain_network_g, null included.
    """

    tree: Tree
    chain: object = None
    names_weights: bool = False


def read_stages(file: Path, overrides: Sequence[str] = ()) -> dict[str, ChainStage]:
    """Read the stages of a chain in order; a file without `stages` is one stage under the name "".

    A stage may inherit through a `base`. Overrides of ``stages.<name>...`` apply to that stage, after those that
    apply to all.

    Raises:
        FileNotFoundError: the option file itself does not exist.
    """
    files = OptionFiles()
    whole = files.read(file, overrides)
    stages = whole.value.pop("stages", None)
    _refuse_unknown_stages(whole, files, file, overrides)
    if stages is None:
        return {"": ChainStage(whole)}
    if not isinstance(stages, dict) or not stages or not all(isinstance(stage, dict) for stage in stages.values()):
        given = shortened(repr(stages))
        whole.fault(("stages",), f"expected one or more named stages, each a mapping of options, got {given}")
        return {"": ChainStage(whole)}
    try:
        if len(stages) > MAX_STAGES:
            raise LimitExceeded(f"expected at most {MAX_STAGES} stages, got {len(stages):,}")
        return {name: _stage(files, file, overrides, whole, name, own) for name, own in stages.items()}
    except LimitExceeded as error:
        whole.refuse(error, whole.location(("stages",)))
        return {"": ChainStage(whole)}


def set_defaults_from_chain(stage: ChainStage, name: str, weights: Path | None) -> None:
    """Put the stage's run below that of the chain, and start it from `weights` unless it names weights itself."""
    path = stage.tree.value.setdefault("path", {})
    experiments = path.get("experiments", "experiments") if isinstance(path, dict) else None
    if not isinstance(experiments, str) or not isinstance(stage.chain, str):
        return  # the check of types will report it
    path["experiments"] = str(Path(experiments) / stage.chain)
    stage.tree.value["name"] = name
    if weights is not None and not stage.names_weights:
        path |= {"pretrain_network_g": str(weights), "param_key_g": "auto"}


def _refuse_unknown_stages(whole: Tree, files: OptionFiles, file: Path, overrides: Sequence[str]) -> None:
    """Report overrides of stages that the file does not have: merged as they are, they would add one."""
    of_stages = [override for override in overrides if override.startswith("stages.")]
    stages = files.read(file).value.get("stages") if of_stages else None
    known = list(stages) if isinstance(stages, dict) else []
    for override in of_stages:
        name = re.split(r"[.=]", override)[1]
        if name not in known:
            hint = closest(name, known) if known else "this file has none"
            whole.faults.append(OptionFault(f"--set {override}", ("stages", name), f"no stage of that name; {hint}"))


def _stage(
    files: OptionFiles, file: Path, overrides: Sequence[str], whole: Tree, name: str, own: dict[str, Any]
) -> ChainStage:
    root, path = ("stages", name), own.get("path")
    names_weights = isinstance(path, dict) and "pretrain_network_g" in path
    locations = {path[2:]: whole.locations[path] for path in paths_below(own, root) if path in whole.locations}
    stage = Tree(copy.deepcopy(own), locations)
    tree = Tree()
    files.inherit(tree, whole)
    files.inherit(tree, files.read_bases(stage, file, (file.resolve(),)))
    merge_options(tree, stage)
    # Overrides are in `whole` already, but the stage's own options lie over them: apply them again.
    apply_overrides(tree, [override for override in overrides if not override.startswith("stages.")])
    prefix = f"stages.{name}."
    apply_overrides(tree, [text.removeprefix(prefix) for text in overrides if text.startswith(prefix)])
    return ChainStage(tree, whole.value.get("name"), names_weights)
