"""The start of a run: afresh, or exactly where an earlier one stopped."""

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import yaml

from srzoo import ranks
from srzoo.engine.log import logger
from srzoo.engine.run_folder import RunFolder
from srzoo.state import TrainingState, load_state
from srzoo.tensor_files import CheckpointError, read_metadata

# Options that may differ in a resumed run, because the training does not depend on them.
_FREE = ("logger.", "val.", "datasets.val.", "datasets.test.", "data.", "train.total_iter", "train.max_time", "name")
_FREE += ("path.experiments", "path.pretrain_network_g", "path.pretrain_network_d", "path.param_key_g", "path.load")
_FREE += ("network_g.init", "train.accumulate", "parallel")
_FREE += ("datasets.train.lq_kernel",)  # checked by `srzoo data check` alone
# Options that older states do not have -> the value that they were trained under.
_ADDED = {
    "datasets.train.round_lq": True,
    "datasets.train.lq_multiple": 1,
    "datasets.train.color": "rgb",
    "datasets.train.gt_template": "{}",
    "precision": "fp32",
    "compile": False,
    "deterministic": False,
}
# Positions of dropout in older states, which do not have `network_g.init` either -> their names today.
_RENAMED = {"half": "every_2", "quarter": "every_4"}


class Start(NamedTuple):
    """Training state that a run starts from, and the files that are in its way.

    Args:
        state: None: a fresh start.
        aside: newer files of the run folder -> the place to move them to before the first update.
    """

    state: TrainingState | None
    aside: dict[Path, Path]


class _Choice(NamedTuple):
    """A training state, and the files to set aside if a run continues from it."""

    path: Path
    aside: dict[Path, Path]


def starting_state(
    folder: RunFolder,
    resume: str,
    resolved_options: str,
    total: int,
    path_keys: Collection[tuple[str | int, ...]] = (),
    accept_changes: bool = False,
) -> Start:
    """Read the training state to continue from; nothing is written.

    Args:
        folder: of the run.
        resume: "none", "auto" (the newest intact state of the folder, if any) or a path.
        resolved_options: of this start, compared with those in the state.
        total: updates in all.
        path_keys: options that are paths, which may be written in another way: the files behind them are compared
            instead (engine/inputs.py), if the state records them.
        accept_changes: continue with other paths even so.

    Raises:
        ValueError: the run would overwrite an earlier one, or the state has more than `total` updates, or options that
            the training depends on differ.
        CheckpointError: the state is damaged, or all states are.
        FileNotFoundError: no such state.
    """
    read: dict[Path, TrainingState] = {}
    # Rank 0 chooses for all: on several machines the others may not see the same folder.
    choice = ranks.on_main(lambda: _choose(folder, resume, read))
    if choice is None:
        return Start(None, {})
    path = choice.path
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}, which rank 0 resumes from, does not exist on this machine: share the experiments folder"
        )
    state = read[path] if path in read else load_state(path)
    keys = path_keys if "inputs" in state or accept_changes else ()
    _refuse_changes(path, state["options"], resolved_options, keys)
    if state["step"] > total:
        raise ValueError(f"{path} has {state['step']} updates already, more than train.total_iter {total}")
    logger.info(f"resuming from {path} at step {state['step']}")
    return Start(state, choice.aside)


def set_aside(folder: RunFolder, aside: dict[Path, Path]) -> None:
    """Rename the files that a run which starts earlier would mix with its own; rank 0 does it, under the lock."""
    for file, place in aside.items():
        free, number = place, 1
        while free.exists():
            number += 1
            free = place.with_name(f"{place.name}.{number}")
        free.parent.mkdir(exist_ok=True)
        file.rename(free)
        logger.info(f"set aside: {file.relative_to(folder.path)} is now {free.relative_to(folder.path)}")


def refuse_used(folder: RunFolder) -> None:
    """Refuse to write over an earlier run.

    Raises:
        ValueError: the folder holds one.
    """
    if folder.used():
        raise ValueError(
            f"the run folder {folder.path} exists already and is left as it is; continue that run with "
            "--resume auto, or give this one another name (--set name=...)"
        )


def _choose(folder: RunFolder, resume: str, read: dict[Path, TrainingState]) -> _Choice | None:
    """Choose a training state; one that was read to verify it is put into `read`."""
    if resume == "none":
        refuse_used(folder)
        return None
    if resume == "auto":
        return _newest_intact(folder, read)
    path = Path(resume)
    if not path.is_file():
        raise FileNotFoundError(f"--resume: {path} does not exist (expected auto, none or a .state file)")
    if path.resolve().parent == folder.states.resolve():
        # Before anything is set aside, the state must prove to be usable.
        read[path] = load_state(path)
        step = read[path]["step"]
        return _Choice(path, {file: folder.aside / file.name for file in _newer(folder, step) if file != path})
    if folder.used():
        raise ValueError(
            f"--resume: continuing from {path} would overwrite what {folder.path} already holds; give the continued "
            "run another name (--set name=...)"
        )
    return _Choice(path, {})


def _newest_intact(folder: RunFolder, read: dict[Path, TrainingState]) -> _Choice | None:
    """Choose the newest state that can be loaded; damaged ones get a name under which nobody takes them for a state.

    Raises:
        CheckpointError: there are states, and all are damaged.
    """
    damaged: dict[Path, CheckpointError] = {}
    for step in reversed(folder.saved_steps()):
        path = folder.state_of(step)
        try:
            read[path] = load_state(path)
        except CheckpointError as error:
            damaged[path] = error
            continue
        for passed_over, error in damaged.items():
            logger.warning(f"{passed_over.name} is passed over: {error}")
        return _Choice(path, {file: file.with_name(f"{file.name}.damaged") for file in damaged})
    if damaged:
        reasons = "".join(f"\n  {error}" for error in damaged.values())
        raise CheckpointError(
            f"none of the {len(damaged)} training state(s) in {folder.states} is intact; start a new run (--set "
            f"name=...), from the newest weights with path.pretrain_network_g:{reasons}"
        )
    if folder.used():
        logger.info(f"{folder.path} holds no training state yet: starting from step 0")
    return None


def _newer(folder: RunFolder, step: int) -> list[Path]:
    """List states and weights of updates after `step`."""
    files = [*folder.states.glob("*.state"), *folder.models.glob("net_?_*.safetensors")]
    numbers = {file: re.fullmatch(r"(?:net_[a-z]_)?(\d+)", file.stem) for file in files}
    newer = sorted(file for file, match in numbers.items() if match and int(match[1]) > step)
    return [*newer, folder.best] if folder.best.is_file() and _step_of(folder.best) > step else newer


def _step_of(weights: Path) -> float:
    """Return the step in the metadata of a weights file; infinity if it says none."""
    try:
        return int(read_metadata(weights)["step"])
    except (CheckpointError, KeyError, ValueError):
        return math.inf


def _refuse_changes(path: Path, before: str, now: str, path_keys: Collection[tuple[str | int, ...]]) -> None:
    try:
        then, today = (_without(path_keys, yaml.safe_load(text)) for text in (before, now))
    except yaml.YAMLError as error:
        raise CheckpointError(f"{path}: the options in it cannot be read: {str(error).splitlines()[0]}") from error
    old, new = _named_as_today(_flat(then)), _flat(today)
    old = {key: value for key, value in _ADDED.items() if key in new} | old
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    changed = [key for key in changed if not key.startswith(_FREE) and not key.endswith((".num_workers", ".cache"))]
    parts = [options.get("train.accumulate") for options in (old, new)]
    if parts[0] != parts[1]:
        logger.info(
            f"train.accumulate: {parts[0]} then, {parts[1]} now: the same samples, and weights equal up to the order "
            "of summation, except for random numbers drawn in the network (dropout)"
        )
    if changed:
        lines = "\n".join(f"  {key}: {old.get(key)!r} then, {new.get(key)!r} now" for key in changed)
        raise ValueError(
            f"{path} was trained under other options; the continued run would be neither of the two:\n{lines}\n"
            "put them back, or start a new run from its weights with path.pretrain_network_g"
        )


def _without(path_keys: Collection[tuple[str | int, ...]], tree: object) -> object:
    """Return nested options with the texts at these places replaced by nothing, where they exist."""
    here = {keys[0] for keys in path_keys if len(keys) == 1}
    below: dict[str | int, list[tuple[str | int, ...]]] = {}
    for key, *rest in path_keys:
        if rest:
            below.setdefault(key, []).append(tuple(rest))

    def item(key: str | int, value: object) -> object:
        if key in here and (value is None or isinstance(value, str)):
            return None
        return _without(below[key], value) if key in below else value

    if isinstance(tree, dict):
        return {key: item(key, value) for key, value in tree.items()}
    return [item(key, value) for key, value in enumerate(tree)] if isinstance(tree, list) else tree


def _named_as_today(old: dict[str, object]) -> dict[str, object]:
    """Return the options of a state with positions of dropout under the names that they have today."""
    position = "network_g.dropout.position"
    if "network_g.init" in old or position not in old:
        return old
    given = old[position]
    names = [_RENAMED.get(str(name), name) for name in (given if isinstance(given, list) else [given])]
    return old | {position: names if isinstance(given, list) else names[0]}


def _flat(tree: object, prefix: str = "") -> dict[str, object]:
    """Return nested options by dotted path."""
    if not isinstance(tree, dict):
        return {prefix.rstrip("."): tree}
    return {key: value for name, item in tree.items() for key, value in _flat(item, f"{prefix}{name}.").items()}
