"""What a stage knows of the samples that it degrades, and where its random numbers come from.

Each sample has a stream of its own, so that what happens to it does not depend on which others share its batch. Numbers
come from NumPy's counter-based streams on every device; only fields of noise are drawn on the device of the image.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

Unit = Literal["sample", "batch"]


class Draws:
    """Random numbers for a batch, arrays (B,): one from each stream, or with `repeat` one for all.

    Args:
        streams: of the samples.
        repeat: how often what the streams gave is repeated.
    """

    def __init__(self, streams: Sequence[np.random.Generator], repeat: int = 1) -> None:
        self._streams = streams
        self._repeat = repeat

    def uniform(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Between `low` and `high`."""
        return self._from_each(lambda stream: stream.uniform(low, high))

    def integers(self, low: int, high: int) -> np.ndarray:
        """`low` to `high`, both included."""
        return self._from_each(lambda stream: stream.integers(low, high + 1))

    def chance(self, prob: float) -> np.ndarray:
        """True with probability `prob`."""
        return self.uniform() < prob

    def choice(self, weights: Sequence[float]) -> np.ndarray:
        """Indices of `weights`, each as likely as its weight."""
        bounds = np.cumsum(weights) / sum(weights)
        # The last bound may fall short of 1 by rounding.
        return np.minimum(np.searchsorted(bounds, self.uniform(), side="right"), len(weights) - 1)

    def permutations(self, length: int) -> np.ndarray:
        """Orders of `length` things: (B, length)."""
        return self._from_each(lambda stream: stream.permutation(length))

    def _from_each(self, draw: Callable[[np.random.Generator], object]) -> np.ndarray:
        return np.repeat(np.array([draw(stream) for stream in self._streams]), self._repeat, axis=0)


@dataclass(frozen=True)
class Samples:
    """A batch, or some samples of one.

    Args:
        streams: one for each sample.
        shared: one for all samples of the batch, in every process.
        gt_size: (height, width) of GT [pixels].
    """

    streams: Sequence[np.random.Generator]
    shared: np.random.Generator
    gt_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.streams)

    @property
    def draws(self) -> Draws:
        """A number for each sample."""
        return Draws(self.streams)

    def draws_per(self, unit: Unit) -> Draws:
        """A number for each sample, or one for all."""
        return self.draws if unit == "sample" else Draws([self.shared], len(self))

    def of(self, indices: Sequence[int]) -> "Samples":
        """Some of the samples."""
        return replace(self, streams=[self.streams[index] for index in indices])

    def field_seed(self, index: int) -> int:
        """What the noise of a sample is made from, on the device of its image."""
        return int(self.streams[index].integers(2**63))


class Stage(Protocol):
    """One degradation: images (C, H, W) in [0, 1], whose sizes may differ, and their samples -> images in [0, 1]."""

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]: ...


# Values in a stack on a CPU: 2 MiB of float32 (measured by scripts/benchmarks/degradations.py).
_IN_CACHE = 2**19


def in_groups(
    images: list[Tensor], work: Callable[[Tensor, list[int]], Tensor], keys: Sequence[Hashable] = ()
) -> list[Tensor]:
    """`work` over stacks of those images that have their shape, and their key, in common.

    On a CPU no stack is so large that it leaves the cache between two operations, which costs more than further calls.

    Args:
        images: (C, H, W) each.
        work: (stack (n, C, H, W), the n indices) -> (n, C, H', W').
        keys: one for each image, if any.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault((image.shape, keys[index] if keys else None), []).append(index)
    done: dict[int, Tensor] = {}
    for group in groups.values():
        first = images[group[0]]
        most = len(group) if first.device.type != "cpu" else max(_IN_CACHE // first.numel(), 1)
        for start in range(0, len(group), most):
            indices = group[start : start + most]
            alike = [images[index] for index in indices]
            stack = torch.stack(alike) if len(alike) > 1 else alike[0][None]
            done |= zip(indices, work(stack, indices).unbind(), strict=True)
    return [done[index] for index in range(len(images))]


def check_range(name: str, bounds: tuple[float, float], least: float, most: float = float("inf")) -> None:
    """Refuse a range that is upside down or leaves `least` to `most`.

    Raises:
        ValueError: it does; names the option.
    """
    low, high = bounds
    if not least <= low <= high <= most:
        raise ValueError(
            f"{name}: expected {least:g} <= low <= high"
            + f" <= {most:g}" * (most < float("inf"))
            + f", got {low:g} and {high:g}"
        )


def check_weights(name: str, weights: Sequence[float]) -> None:
    """Refuse weights of which none is positive.

    Raises:
        ValueError: so they are; names the option.
    """
    if not sum(weights) > 0:
        raise ValueError(f"{name}: at least one must be above 0, got {list(weights)}")
