"""The samples that a stage degrades: their random streams and GT size, and the tools that stages share.

Each sample has its own stream, so that its degradation does not depend on the other samples of its batch. Numbers come
from NumPy's counter-based streams on every device; only noise images are drawn on the device of the image.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

Unit = Literal["sample", "batch"]


class RandomStreams:
    """Random numbers for the samples of a batch, as arrays (B,).

    Args:
        streams: one for each sample, or one for all of them.
        repeat: number of samples that share each stream's numbers.
    """

    def __init__(self, streams: Sequence[np.random.Generator], repeat: int = 1) -> None:
        self._streams = streams
        self._repeat = repeat

    def uniform(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Draw from [low, high)."""
        return self._draw(lambda stream: stream.uniform(low, high))

    def integers(self, low: int, high: int) -> np.ndarray:
        """Draw integers from `low` to `high`, both included."""
        return self._draw(lambda stream: stream.integers(low, high + 1))

    def chance(self, prob: float) -> np.ndarray:
        """Draw booleans that are true with probability `prob`."""
        return self.uniform() < prob

    def choice(self, weights: Sequence[float]) -> np.ndarray:
        """Draw indices of `weights`, each in proportion to its weight."""
        bounds = np.cumsum(weights) / sum(weights)
        # The last bound may fall short of 1 by rounding.
        return np.minimum(np.searchsorted(bounds, self.uniform(), side="right"), len(weights) - 1)

    def permutations(self, length: int) -> np.ndarray:
        """Draw permutations of range(length): (B, length)."""
        return self._draw(lambda stream: stream.permutation(length))

    def _draw(self, draw: Callable[[np.random.Generator], object]) -> np.ndarray:
        return np.repeat(np.array([draw(stream) for stream in self._streams]), self._repeat, axis=0)


@dataclass(frozen=True)
class Samples:
    """The samples of a batch, or some of them, as stages see them.

    Args:
        streams: one per sample.
        shared: one for the whole batch, the same on every rank.
        gt_size: (height, width) of GT [pixels].
    """

    streams: Sequence[np.random.Generator]
    shared: np.random.Generator
    gt_size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.streams)

    @property
    def random(self) -> RandomStreams:
        """Random numbers drawn for each sample."""
        return RandomStreams(self.streams)

    def random_per(self, unit: Unit) -> RandomStreams:
        """Return random numbers drawn for each sample, or drawn once for the batch; (B,) either way."""
        return self.random if unit == "sample" else RandomStreams([self.shared], len(self))

    def select(self, indices: Sequence[int]) -> "Samples":
        """Return the samples with these indices, in this order."""
        return replace(self, streams=[self.streams[index] for index in indices])

    def noise_seed(self, index: int) -> int:
        """Draw a seed for a sample's noise image, which is generated on the device of the image."""
        return int(self.streams[index].integers(2**63))


class Stage(Protocol):
    """One degradation: images (C, H, W) in [0, 1], whose sizes may differ, and their samples -> images in [0, 1]."""

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]: ...


# Values in a stack on a CPU: 2 MiB of float32 (measured by scripts/benchmarks/degradations.py).
_VALUES_IN_CACHE = 2**19


def apply_in_stacks(
    images: list[Tensor], function: Callable[[Tensor, list[int]], Tensor], keys: Sequence[Hashable] = ()
) -> list[Tensor]:
    """Apply `function` to stacks of the images that share a shape and a key; return the results in order.

    On a CPU a stack is small enough to stay in the cache between two operations, which saves more than fewer calls do.

    Args:
        images: (C, H, W) each.
        function: (stack (n, C, H, W), its n indices in `images`) -> (n, C, H', W').
        keys: one per image; empty: group by shape alone.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault((image.shape, keys[index] if keys else None), []).append(index)
    results: dict[int, Tensor] = {}
    for group in groups.values():
        first = images[group[0]]
        most = len(group) if first.device.type != "cpu" else max(_VALUES_IN_CACHE // first.numel(), 1)
        for start in range(0, len(group), most):
            indices = group[start : start + most]
            alike = [images[index] for index in indices]
            stack = torch.stack(alike) if len(alike) > 1 else alike[0][None]  # (n, C, H, W), one image without a copy
            results |= zip(indices, function(stack, indices).unbind(), strict=True)  # n x (C, H', W')
    return [results[index] for index in range(len(images))]


def check_range(name: str, bounds: tuple[float, float], least: float, most: float = float("inf")) -> None:
    """Refuse a range whose ends are swapped or lie outside [least, most].

    Raises:
        ValueError: such a range; the message names the option.
    """
    low, high = bounds
    if not least <= low <= high <= most:
        raise ValueError(
            f"{name}: expected {least:g} <= low <= high"
            + f" <= {most:g}" * (most < float("inf"))
            + f", got {low:g} and {high:g}"
        )


def check_weights(name: str, weights: Sequence[float]) -> None:
    """Refuse weights that are all 0.

    Raises:
        ValueError: such weights; the message names the option.
    """
    if not sum(weights) > 0:
        raise ValueError(f"{name}: at least one must be above 0, got {list(weights)}")
