"""The training loop, the same for every model."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor

from srzoo import ranks
from srzoo.batch import Batch, StateDict, Terms
from srzoo.data.loading import FaultySample
from srzoo.engine import guard
from srzoo.engine.log import logger
from srzoo.engine.trouble import TrainingError
from srzoo.optim.learner import Learner
from srzoo.streams import network_seed

# (batch on the device, iteration, number of the micro-batch among those of all ranks) -> batch
Degradation = Callable[[Batch, int, int], Batch]


class Model(Protocol):
    """A training recipe, as far as the loop and its hooks know it; `g` learns the network to publish."""

    g: Learner

    def training_step(self, batch: Batch) -> Terms: ...

    def state_dict(self) -> StateDict: ...

    def load_state_dict(self, state: StateDict) -> None: ...


class Hook(Protocol):
    """Work between updates: progress lines, checkpoints, validation."""

    def __call__(self, step: int, progress: "Progress") -> None:
        """Run on every rank after update number `step` (from 1)."""
        ...


class Rates(NamedTuple):
    """Averages over the updates since the last report.

    Args:
        terms: mean of each term over micro-batches and ranks.
        speed: updates per second, pauses left out.
        waiting: share of that time spent waiting for data.
    """

    terms: dict[str, float]
    speed: float
    waiting: float


class Progress:
    """Losses and times since the last report."""

    def __init__(self) -> None:
        self.num_skipped = 0
        self._reset()

    def _reset(self) -> None:
        self._terms: dict[str, Tensor] = {}
        self._num_parts = 0
        self._num_updates = 0
        self._waited = 0.0
        self._since = time.perf_counter()

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add the terms of one micro-batch; sums stay on the device, so that nothing waits for it."""
        for name, term in terms.items():
            self._terms[name] = self._terms.get(name, 0) + term.double()
        self._num_parts += 1

    def add_waiting(self, seconds: float) -> None:
        """Add time spent waiting for data."""
        self._waited += seconds

    def add_update(self) -> None:
        """Count one update."""
        self._num_updates += 1

    def take(self, device: torch.device) -> Rates:
        """Return the averages over all ranks, and start again."""
        means = {name: float(total) / self._num_parts for name, total in self._terms.items()}
        elapsed = time.perf_counter() - self._since
        rates = Rates(ranks.mean_over_ranks(means, device), self._num_updates / elapsed, self._waited / elapsed)
        self._reset()
        return rates

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the work inside out of the training time."""
        started = time.perf_counter()
        yield
        self._since += time.perf_counter() - started


def train(
    model: Model,
    batches: Iterable[Batch],
    *,
    total: int,
    accumulate: int,
    seed: int,
    device: torch.device,
    hooks: Sequence[Hook],
    degradation: Degradation | None = None,
) -> None:
    """Update `model` from its learners' iteration up to `total` and call the hooks after every update.

    Args:
        model: the training recipe.
        batches: micro-batches, `accumulate` per update, beginning with those of the learners' iteration.
        total: updates in all, those before a restart included.
        accumulate: micro-batches per update.
        seed: of the run; with iteration, rank and micro-batch it seeds the random numbers inside the network.
        device: where the model is.
        hooks: called in this order.
        degradation: makes LQ from GT on the device; None: batches hold LQ already.
    """
    progress, iteration = Progress(), model.g.iteration
    guard.note(iteration.number)
    # Loader processes end with their iterator, and an error that refers to this frame would keep it: at its own end
    # Python waits for them for ever.
    with contextlib.closing(batch for batch in batches) as source:
        for step in range(iteration.number, total):
            _update(model, source, progress, step, accumulate, seed, device, degradation)
            iteration.number = step + 1
            progress.add_update()
            for hook in hooks:
                hook(step + 1, progress)


def _update(
    model: Model,
    source: Iterator[Batch],
    progress: Progress,
    step: int,
    accumulate: int,
    seed: int,
    device: torch.device,
    degradation: Degradation | None,
) -> None:
    """Train on the micro-batches of one update."""
    for micro in range(accumulate):
        part = ranks.rank() * accumulate + micro
        batch = _next_batch(source, progress, device)
        if degradation is not None:
            batch = degradation(batch, step, part)
        # After the batch: a dataset in this process may have drawn from the same generator.
        _seed_network(network_seed(seed, step, part), device)
        progress.add(model.training_step(batch))


def _seed_network(seed: int, device: torch.device) -> None:
    """Seed PyTorch's generators as far as a network on the device draws from them."""
    if device.type == "cpu":
        # torch.manual_seed also notes where it was called for GPUs in waiting, which takes longer than the rest.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _next_batch(source: Iterator[Batch], progress: Progress, device: torch.device) -> Batch:
    started = time.perf_counter()
    batch = next(source)
    progress.add_waiting(time.perf_counter() - started)
    if isinstance(batch, FaultySample):
        raise TrainingError(
            f"update {batch.step + 1}: a training image cannot be read: {batch.reason}; put it right, then --resume "
            "auto, or set data.on_error: skip"
        )
    for reason in filter(None, batch.pop("skipped", ())):
        progress.num_skipped += 1
        # An error, because other ranks log nothing less.
        logger.error(f"skipped a training image ({progress.num_skipped} since the start): {reason}")
    # A user's dataset may have further entries: tensors of any name move to the device.
    moved = {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
    return cast(Batch, moved)
