"""The start of a run: afresh, or exactly where an earlier one stopped."""

from pathlib import Path

import yaml

from srzoo import ranks
from srzoo.engine.log import logger
from srzoo.engine.run_folder import RunFolder
from srzoo.state import TrainingState, load_state

# Options that may differ in a resumed run, because the training does not depend on them.
_FREE = ("logger.", "val.", "datasets.val.", "datasets.test.", "data.", "train.total_iter", "name")
_FREE += ("path.experiments", "path.pretrain_network_g", "path.pretrain_network_d", "path.param_key_g", "path.load")
_FREE += ("network_g.init",)
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


def starting_state(folder: RunFolder, resume: str, resolved_options: str, total: int) -> TrainingState | None:
    """Return the training state to continue from, or None for a fresh start.

    Args:
        folder: of the run.
        resume: "none", "auto" (the newest state of the folder, if any) or a path.
        resolved_options: of this start, compared with those in the state.
        total: updates in all.

    Raises:
        ValueError: the run would overwrite an earlier one, or the state has more than `total` updates, or options that
            the training depends on differ.
        FileNotFoundError: no such state.
    """
    # Rank 0 chooses for all: on several machines the others may not see the same folder.
    path = ranks.on_main(lambda: _choose(folder, resume))
    if path is None:
        return None
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}, which rank 0 resumes from, does not exist on this machine: share the experiments folder"
        )
    state = load_state(path)
    _refuse_changes(path, state["options"], resolved_options)
    if state["step"] > total:
        raise ValueError(f"{path} has {state['step']} updates already, more than train.total_iter {total}")
    logger.info(f"resuming from {path} at step {state['step']}")
    return state


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


def _choose(folder: RunFolder, resume: str) -> Path | None:
    newest = [folder.state_of(step) for step in folder.saved_steps()[-1:]]
    if resume == "none":
        refuse_used(folder)
        return None
    if resume == "auto":
        if folder.used() and not newest:
            logger.info(f"{folder.path} holds no training state yet: starting from step 0")
        return newest[0] if newest else None
    path = Path(resume)
    if not path.is_file():
        raise FileNotFoundError(f"--resume: {path} does not exist (expected auto, none or a .state file)")
    if folder.used() and path.resolve() not in [state.resolve() for state in newest]:
        raise ValueError(
            f"--resume: continuing from {path} would overwrite what {folder.path} already holds; give the continued "
            "run another name (--set name=...)"
        )
    return path


def _refuse_changes(path: Path, before: str, now: str) -> None:
    old, new = _named_as_today(_flat(yaml.safe_load(before))), _flat(yaml.safe_load(now))
    old = {key: value for key, value in _ADDED.items() if key in new} | old
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    changed = [key for key in changed if not key.startswith(_FREE) and not key.endswith((".num_workers", ".cache"))]
    if changed:
        lines = "\n".join(f"  {key}: {old.get(key)!r} then, {new.get(key)!r} now" for key in changed)
        raise ValueError(
            f"{path} was trained under other options; the continued run would be neither of the two:\n{lines}\n"
            "put them back, or start a new run from its weights with path.pretrain_network_g"
        )


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
