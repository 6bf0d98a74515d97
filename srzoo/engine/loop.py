"""The training loop, the same for every model."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from srzoo import ranks
from srzoo.data.streams import network_seed


class Model(Protocol):
    """What the loop and its hooks know of a training recipe."""

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]: ...

    @property
    def inference_net(self) -> nn.Module: ...

    @property
    def lr(self) -> float: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Hook(Protocol):
    """Something done between updates."""

    def __call__(self, step: int, progress: "Progress") -> None:
        """Called on every process after update number `step` (from 1)."""
        ...


class Progress:
    """Losses and times since they were last asked for."""

    def __init__(self) -> None:
        self._terms: dict[str, Tensor] = {}
        self._parts = 0
        self._steps = 0
        self._waited = 0.0
        self._since = time.perf_counter()

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Note the terms of one micro-batch; stays on the device, so that nothing waits for it."""
        for name, term in terms.items():
            self._terms[name] = self._terms.get(name, 0) + term.double()
        self._parts += 1

    def waited(self, seconds: float) -> None:
        self._waited += seconds

    def updated(self) -> None:
        self._steps += 1

    def take(self, device: torch.device) -> tuple[dict[str, float], float, float]:
        """(mean terms over all processes, updates per second, share of time waiting for data); starts anew."""
        means = {name: float(total) / self._parts for name, total in self._terms.items()}
        elapsed = time.perf_counter() - self._since
        taken = (ranks.mean_over_ranks(means, device), self._steps / elapsed, self._waited / elapsed)
        self.__init__()
        return taken

    def pause(self) -> "Pause":
        """Around work that does not count as training time."""
        return Pause(self)

    def skip(self, seconds: float) -> None:
        self._since += seconds


class Pause:
    """Context in which the clock of a :class:`Progress` stands still."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._progress.skip(time.perf_counter() - self._start)


Prepare = Callable[[dict[str, Any], int, int], dict[str, Any]]


def train(
    model: Model,
    batches: Iterable[dict[str, Any]],
    *,
    start: int,
    total: int,
    accumulate: int,
    seed: int,
    device: torch.device,
    hooks: Sequence[Hook],
    prepare: Prepare | None = None,
) -> None:
    """Update `model` from step `start` to `total` and call the hooks after every update.

    Args:
        model: the training recipe.
        batches: micro-batches, `accumulate` per update, beginning with those of step `start`.
        start: updates done before.
        total: updates in all.
        accumulate: micro-batches per update.
        seed: of the run; together with step, rank and micro-batch it seeds what is random inside the network.
        device: where the model is.
        hooks: called in order.
        prepare: (batch on the device, step, which part of the step's batch) -> batch, such as a degradation.
    """
    progress, source = Progress(), iter(batches)
    for step in range(start, total):
        for micro in range(accumulate):
            batch = _next(source, progress, device)
            part = ranks.rank() * accumulate + micro
            if prepare is not None:
                batch = prepare(batch, step, part)
            # After the batch: a data set in this process may have drawn from the same generator.
            torch.manual_seed(network_seed(seed, step, part))
            progress.add(model.training_step(batch))
        progress.updated()
        for hook in hooks:
            hook(step + 1, progress)


def _next(source: Any, progress: Progress, device: torch.device) -> dict[str, Any]:
    started = time.perf_counter()
    batch = next(source)
    progress.waited(time.perf_counter() - started)
    return {
        key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value for key, value in batch.items()
    }
