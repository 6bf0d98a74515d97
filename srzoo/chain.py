"""Several trainings in one option file (`stages:`), each from the weights of the one before."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import yaml

from srzoo import ranks
from srzoo.components import build_datasets, build_loader
from srzoo.engine.log import log_to, logger
from srzoo.engine.resume import refuse_used
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.tables import table
from srzoo.options import LoadedOptions, Options, load_chain

TrainOne = Callable[[LoadedOptions, str, bool], None]


def run_chain(file: Path, overrides: Sequence[str], resume: str, debug: bool, train_one: TrainOne) -> None:
    """Run the trainings of an option file in order; with --resume auto, from where they stopped.

    Args:
        file: the option file.
        overrides: ``key.path=value`` texts.
        resume: none, auto, or the state to continue from (files with one training only).
        debug: decode every image first.
        train_one: what runs one of them.

    Raises:
        OptionsError: everything that is wrong with any of them.
        ValueError: nothing to train; an earlier run of the name; a state for a chain.
    """
    chain = load_chain(file, overrides, weights_after)
    without = [name for name, loaded in chain.items() if loaded.options.train is None]
    if without:
        where = f"stages {', '.join(without)} of {file} have" if without[0] else f"{file} has"
        raise ValueError(f"{where} no `train` section; to benchmark use test.py")
    if "" in chain:
        train_one(chain[""], resume, debug)
        return
    if resume not in ("none", "auto"):
        raise ValueError("--resume: a chain of trainings finds its states itself: use --resume auto")
    if resume == "none":
        for loaded in chain.values():
            refuse_used(RunFolder(loaded.options.run_folder))
    device = ranks.initialise()
    _look_ahead(chain, device)
    for number, (name, loaded) in enumerate(chain.items(), 1):
        log_to()
        logger.info(f"stage {number} of {len(chain)}: {name}")
        train_one(loaded, resume, debug)
    log_to()
    logger.info(_report(chain))


def _look_ahead(chain: Mapping[str, LoadedOptions], device: torch.device) -> None:
    """What would stop any stage is told before the first one begins.

    Raises:
        ValueError: something is wrong with a stage's data, its batch cannot be cut, or it began from other weights than
            it would now; all stages together.
    """
    faults: list[str] = []
    for name, loaded in chain.items():
        try:
            data = build_datasets(loaded.options, ("train", "val"))
            build_loader(loaded.options, data["train"], 0, device)
            _refuse_other_weights(loaded.options)
        except ValueError as error:
            faults.append(f"stage {name}: {error}")
    if faults:
        raise ValueError("\n".join(faults))


def _refuse_other_weights(options: Options) -> None:
    record = options.run_folder / "options.yml"
    if not record.is_file():
        return
    before = str(yaml.safe_load(record.read_text())["path"]["pretrain_network_g"])
    now = str(options.path.pretrain_network_g)
    # The experiments folder may have moved; stage, folder and step say which weights they are.
    if Path(before).parts[-3:] != Path(now).parts[-3:]:
        raise ValueError(
            f"it began from {before} and would now begin from {now}: put the earlier stage's options back, or give the "
            "chain another name (--set name=...)"
        )


def weights_after(options: Options) -> Path:
    """The weights that a training ends with, relative as the paths of its options are."""
    folder = RunFolder(options.path.experiments / options.name)
    return folder.weights_of(options.train.total_iter if options.train is not None else 0)


def _report(chain: Mapping[str, LoadedOptions]) -> str:
    """A line for each stage: updates, the newest scores of its validation sets, weights."""
    rows = [["stage", "updates", "scores", "weights"]]
    for name, loaded in chain.items():
        options = loaded.options
        assert options.train is not None
        files = [RunFolder(options.run_folder).results / f"{dataset}.json" for dataset in options.datasets.val]
        scores = [_scores(file, options.train.total_iter) for file in files if file.is_file()]
        weights = options.resolve(weights_after(options))
        rows.append([name, str(options.train.total_iter), "; ".join(scores) or "not validated", str(weights)])
    return table(rows)


def _scores(file: Path, total: int) -> str:
    results = json.loads(file.read_text())
    when = "" if results["step"] == total else f" (after {results['step']})"
    # An infinite PSNR stands there as text.
    return f"{file.stem}{when} " + " ".join(f"{name} {float(value):.4f}" for name, value in results["mean"].items())
