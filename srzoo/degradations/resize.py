"""Resizing by a random factor, a factor of its own for each sample or one for the batch.

Wang et al., "Real-ESRGAN", ICCVW 2021, arXiv:2107.10833, section 3.1. Written from the paper.
"""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.degradations.samples import Samples, Unit, check_range, check_weights, in_groups
from srzoo.ops.resize import imresize
from srzoo.registry import DEGRADATIONS, NonNegativeFloat

Mode = Literal["area", "bilinear", "bicubic", "matlab"]


@DEGRADATIONS.register
class Resize:
    """Enlarge, shrink or keep each image, all of it relative to its present size or to a known one.

    Without further options: to the size of LQ.

    Args:
        scale: magnification.
        relative_to: what factor 1 stands for: the image as it comes, GT's size, or LQ's (GT over the scale).
        direction_weights: how likely factors above 1, below 1 and 1 itself are.
        factor_range: smallest and largest factor; those below 1 and above 1 are drawn evenly on their side.
        modes: equally likely: area, bilinear and bicubic as PyTorch has them, without antialiasing, which is what the
            published pipelines use; matlab is bicubic with antialiasing.
        per: draw factor and mode for each sample, or once for the whole batch.
    """

    def __init__(
        self,
        *,
        scale: int,
        relative_to: Literal["image", "gt", "lq"] = "lq",
        direction_weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (0.0, 0.0, 1.0),
        factor_range: tuple[float, float] = (0.5, 1.5),
        modes: tuple[Mode, ...] = ("area", "bilinear", "bicubic"),
        per: Unit = "sample",
    ) -> None:
        check_range("factor_range", factor_range, 1e-3)
        check_weights("direction_weights", direction_weights)
        if not modes:
            raise ValueError("modes: at least one is needed")
        up, down, _ = direction_weights
        if (up and factor_range[1] < 1) or (down and factor_range[0] > 1):
            raise ValueError(f"factor_range: {list(factor_range)} leaves nothing on a side that direction_weights asks")
        self.scale, self.relative_to, self.modes = scale, relative_to, modes
        self.per: Unit = per
        self.direction_weights, self.factor_range = direction_weights, factor_range

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        draws = samples.draws_per(self.per)
        direction, place = draws.choice(self.direction_weights), draws.uniform()
        modes = [self.modes[index] for index in draws.integers(0, len(self.modes) - 1)]
        low, high = self.factor_range
        factors = np.select([direction == 0, direction == 1], [1 + (high - 1) * place, low + (1 - low) * place], 1.0)
        sizes = [self._size(image, samples, factor) for image, factor in zip(images, factors, strict=True)]
        keys = list(zip(sizes, modes, strict=True))
        return in_groups(images, lambda stack, indices: _resized(stack, *keys[indices[0]]), keys)

    def _size(self, image: Tensor, samples: Samples, factor: float) -> tuple[int, int]:
        height, width = image.shape[-2:] if self.relative_to == "image" else samples.gt_size
        if self.relative_to == "lq":
            height, width = height // self.scale, width // self.scale
        return max(int(height * factor), 1), max(int(width * factor), 1)


def _resized(image: Tensor, size: tuple[int, int], mode: Mode) -> Tensor:
    if image.shape[-2:] == size:
        return image
    if mode == "matlab":
        return imresize(image, size=size).clamp(0, 1)
    if mode == "area" and size[0] >= image.shape[-2] and size[1] >= image.shape[-1]:
        return _enlarged_by_area(image, size)
    aligned = None if mode == "area" else False
    resized = F.interpolate(image, size=size, mode=mode, align_corners=aligned)
    return resized.clamp_(0, 1) if mode == "bicubic" else resized  # the others stay between their neighbours


def _enlarged_by_area(image: Tensor, size: tuple[int, int]) -> Tensor:
    """PyTorch's "area" where no side shrinks, faster for large images (scripts/benchmarks/degradation_ops.py).

    Each output is the mean of what it touches: one or two rows, one or two columns.
    """
    for axis, target in zip((2, 3), size, strict=True):
        start = torch.arange(target, device=image.device) * image.shape[axis]
        first, last = start // target, (start + image.shape[axis] - 1) // target
        image = image.index_select(axis, first).add_(image.index_select(axis, last))
    return image.mul_(0.25)
