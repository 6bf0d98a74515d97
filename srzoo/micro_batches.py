"""`train.accumulate: auto`: micro-batches as large as the memory allows, found by trial before a training starts."""

import contextlib
import dataclasses
import gc
import logging
from collections.abc import Iterator

import torch

from srzoo import ranks, training
from srzoo.components import Datasets
from srzoo.engine import loop
from srzoo.engine.log import logger
from srzoo.engine.trouble import TrainingError
from srzoo.infer.memory import is_out_of_memory
from srzoo.options import Options
from srzoo.state import TrainingState


def with_micro_batches(
    options: Options, device: torch.device, state: TrainingState | None, datasets: Datasets
) -> Options:
    """Return the options with a number in place of ``train.accumulate: auto``: the smallest that fits the memory.

    The memory of every rank counts. A resumed run begins with the number that it was trained with.

    Args:
        options: of the run.
        device: where to train.
        state: training state to continue from, or None.
        datasets: of the training split.

    Raises:
        TrainingError: not even single samples fit.
        ValueError: ranks do not divide the batch evenly.
    """
    train, entry = options.train, options.datasets.train
    assert train is not None
    assert entry is not None
    if train.accumulate != "auto":
        return options
    samples, rest = divmod(entry.batch_size, ranks.world_size())
    if rest:
        raise ValueError(f"batch_size {entry.batch_size} is not divisible by {ranks.world_size()} ranks")
    divisors = [parts for parts in range(1, samples + 1) if samples % parts == 0]
    number = 1 if state is None else state.get("accumulate", 1)
    while True:
        number = next((parts for parts in divisors if parts >= number), samples)
        chosen = dataclasses.replace(options, train=dataclasses.replace(train, accumulate=number))
        fits = _fits(chosen, device, state, datasets)
        _release_memory()
        if ranks.all_true(torch.tensor(fits, device=device)):
            logger.info(f"train.accumulate auto: {number} x {samples // number} sample(s) per update fit the memory")
            return chosen
        if number == samples:
            raise TrainingError(
                f"not even one sample at a time fits the memory of {device}: lower datasets.train.gt_size, or choose a "
                "smaller network_g"
            )
        number += 1  # the next divisor is chosen above


def _fits(options: Options, device: torch.device, state: TrainingState | None, datasets: Datasets) -> bool:
    """Train a copy of the recipe for some updates; return False if this rank runs out of memory.

    The copy knows nothing of other ranks, so that a rank without memory leaves none of them waiting.
    """
    train, entry = options.train, options.datasets.train
    assert train is not None
    assert entry is not None
    here = dataclasses.replace(entry, num_workers=0)
    options = dataclasses.replace(options, datasets=dataclasses.replace(options.datasets, train=here))
    start = 0 if state is None else state["step"]
    try:
        with _quiet():
            model = training.build_model(options, device, state, datasets, alone=True)
            degradation = training.build_degradation(options, None)
            # Optimisers have their moments from the second update on; the last updates may have further losses.
            for first in {min(start, train.total_iter - 2), train.total_iter - 2}:
                model.g.iteration.number = max(first, 0)
                loop.train(
                    model,
                    training.build_loader(options, datasets, model.g.iteration.number, device),
                    total=min(model.g.iteration.number + 2, train.total_iter),
                    accumulate=training.num_micro_batches(train),
                    seed=options.seed,
                    device=device,
                    hooks=[],
                    degradation=degradation,
                )
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the lines of a trial: the training writes them again."""
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _release_memory() -> None:
    """Return the memory of a trial to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
