"""Chains of trainings (`stages:` of an option file): each starts from the weights of the one before."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import yaml

from srzoo import ranks
from srzoo.components import build_datasets
from srzoo.engine.guard import Guard
from srzoo.engine.log import log_to, logger
from srzoo.engine.resume import refuse_used
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.tables import table
from srzoo.engine.watch import stopping_at_once
from srzoo.options import LoadedOptions, Options, load_chain
from srzoo.training import build_loader

# (options, --resume, --debug, --accept-changes): runs one training.
TrainOne = Callable[[LoadedOptions, str, bool, bool], None]


def run_chain(
    file: Path, overrides: Sequence[str], resume: str, debug: bool, accept_changes: bool, train_one: TrainOne
) -> None:
    """Run the trainings of an option file in order; with --resume auto, from where they stopped.

    Args:
        file: the option file.
        overrides: ``key.path=value`` texts.
        resume: none, auto, or the state to continue from (files with one training only).
        debug: decode every image first.
        accept_changes: resume although files that decide a training have changed.
        train_one: runs one of them.

    Raises:
        OptionsError: every fault of the options, all stages together.
        ValueError: a stage has no `train` section, its data are faulty, or its run exists; or a chain was given a
            state to continue from.
    """
    chain = load_chain(file, overrides, weights_after)
    without = [name for name, loaded in chain.items() if loaded.options.train is None]
    if without:
        subject = f"stages {', '.join(without)} of {file} have" if without[0] else f"{file} has"
        raise ValueError(f"{subject} no `train` section; to benchmark use test.py")
    device = ranks.initialise()
    if resume == "none" and ranks.is_restarted():
        resume = "auto"
    with Guard().watching(), stopping_at_once():
        if "" in chain:
            train_one(chain[""], resume, debug, accept_changes)
        else:
            _run_stages(chain, resume, debug, accept_changes, train_one, device)


def _run_stages(
    chain: Mapping[str, LoadedOptions],
    resume: str,
    debug: bool,
    accept_changes: bool,
    train_one: TrainOne,
    device: torch.device,
) -> None:
    if resume not in ("none", "auto"):
        raise ValueError("--resume: a chain of trainings finds its states itself: use --resume auto")
    if resume == "none":
        for loaded in chain.values():
            refuse_used(RunFolder(loaded.options.run_folder))
    _check_stages(chain, device)
    for number, (name, loaded) in enumerate(chain.items(), 1):
        log_to()  # the console alone; train_one adds the log file of its stage
        logger.info(f"stage {number} of {len(chain)}: {name}")
        train_one(loaded, resume, debug, accept_changes)
    log_to()
    logger.info(_report(chain))


def weights_after(options: Options) -> Path:
    """Return the weights file that a training ends with."""
    folder = RunFolder(options.run_folder)
    return folder.weights_of(options.train.total_iter if options.train is not None else 0)


def _check_stages(chain: Mapping[str, LoadedOptions], device: torch.device) -> None:
    """Report problems in every stage before starting the first.

    Raises:
        ValueError: the data of a stage are faulty, its batch cannot be split evenly, or it began from other weights
            than it would now; all stages together.
    """
    faults: list[str] = []
    for name, loaded in chain.items():
        try:
            data = build_datasets(loaded.options, ("train", "val"))
            build_loader(loaded.options, data["train"], 0, device)
            _refuse_other_weights(loaded)
        except ValueError as error:
            faults.append(f"stage {name}: {error}")
    if faults:
        raise ValueError("\n".join(faults))


def _refuse_other_weights(loaded: LoadedOptions) -> None:
    """Refuse to continue a stage that began from the weights of another stage, run or step."""
    record = loaded.options.run_folder / "options.yml"
    if not record.is_file():
        return
    # The record has paths as the user wrote them, so the text is compared and not the resolved options.
    before, now = (_initial_weights(text) for text in (record.read_text(), loaded.text))
    # The experiments folder may have moved; stage, folder and step identify the weights.
    if before.parts[-3:] != now.parts[-3:]:
        raise ValueError(
            f"it began from {before} and would now begin from {now}: put the earlier stage's options back, or give the "
            "chain another name (--set name=...)"
        )


def _initial_weights(options_text: str) -> Path:
    return Path(str(yaml.safe_load(options_text)["path"]["pretrain_network_g"]))


def _report(chain: Mapping[str, LoadedOptions]) -> str:
    """Format a row per stage: updates, newest scores on its validation sets, weights."""
    rows = [["stage", "updates", "scores", "weights"]]
    for name, loaded in chain.items():
        options = loaded.options
        assert options.train is not None
        files = [RunFolder(options.run_folder).results_of(dataset) for dataset in options.datasets.val]
        scores = [_scores(file, options.train.total_iter) for file in files if file.is_file()]
        rows.append(
            [
                name,
                str(options.train.total_iter),
                "; ".join(scores) or "not validated",
                str(weights_after(options)),
            ]
        )
    return table(rows)


def _scores(file: Path, total: int) -> str:
    results = json.loads(file.read_text())
    step = "" if results["step"] == total else f" (after {results['step']})"
    # JSON has no infinity: an infinite PSNR is text there.
    return f"{file.stem}{step} " + " ".join(f"{name} {float(value):.4f}" for name, value in results["mean"].items())
