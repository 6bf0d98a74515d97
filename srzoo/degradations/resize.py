"""Resizing by a random factor, drawn for each sample or once for the batch.

Wang et al., "Real-ESRGAN", ICCVW 2021, arXiv:2107.10833, section 3.1. Written from the paper.
"""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.degradations.samples import Samples, Unit, apply_in_stacks, check_range, check_weights
from srzoo.ops.resize import imresize
from srzoo.registry import DEGRADATIONS, NonNegativeFloat

Mode = Literal["area", "bilinear", "bicubic", "matlab"]


@DEGRADATIONS.register
class Resize:
    """Enlarging, shrinking or keeping of each image, relative to its present size, GT's or LQ's.

    Without further options: resizing to LQ's size.

    Args:
        scale: magnification.
        relative_to: size at factor 1: the incoming image's, GT's, or LQ's (GT's divided by the scale).
        direction_weights: weights of factors above 1, factors below 1, and factor 1.
        factor_range: smallest and largest factor; uniform between 1 and either end.
        modes: interpolations, equally likely: area, bilinear and bicubic are PyTorch's without antialiasing, as in the
            published code; matlab is bicubic with antialiasing.
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
            raise ValueError(f"factor_range: {list(factor_range)} has no factor on a side that direction_weights uses")
        self.scale, self.relative_to, self.modes = scale, relative_to, modes
        self.per: Unit = per
        self.direction_weights, self.factor_range = direction_weights, factor_range

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        random = samples.random_per(self.per)
        direction, fraction = random.choice(self.direction_weights), random.uniform()
        modes = [self.modes[index] for index in random.integers(0, len(self.modes) - 1)]
        low, high = self.factor_range
        above, below = 1 + (high - 1) * fraction, low + (1 - low) * fraction
        factors = np.select([direction == 0, direction == 1], [above, below], 1.0)  # (B,)
        sizes = [self._size(image, samples, factor) for image, factor in zip(images, factors, strict=True)]
        keys = list(zip(sizes, modes, strict=True))
        return apply_in_stacks(images, lambda stack, indices: _resized(stack, *keys[indices[0]]), keys)

    def _size(self, image: Tensor, samples: Samples, factor: float) -> tuple[int, int]:
        height, width = image.shape[-2:] if self.relative_to == "image" else samples.gt_size
        if self.relative_to == "lq":
            height, width = height // self.scale, width // self.scale
        return max(int(height * factor), 1), max(int(width * factor), 1)


def _resized(image: Tensor, size: tuple[int, int], mode: Mode) -> Tensor:
    """Return a stack (n, C, H, W) in [0, 1] resized to (n, C, *size)."""
    if image.shape[-2:] == size:
        return image
    if mode == "matlab":
        return imresize(image, size=size).clamp(0, 1)
    if mode == "area" and size[0] >= image.shape[-2] and size[1] >= image.shape[-1]:
        return _enlarged_by_area(image, size)
    align_corners = None if mode == "area" else False  # PyTorch refuses the argument for "area"
    resized = F.interpolate(image, size=size, mode=mode, align_corners=align_corners)
    return resized.clamp_(0, 1) if mode == "bicubic" else resized  # only bicubic overshoots


def _enlarged_by_area(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Equal PyTorch's "area" where no side shrinks, in less time (scripts/benchmarks/degradation_ops.py).

    Each output pixel is the mean of the input pixels it touches: one or two rows, one or two columns.
    """
    for axis, target in zip((2, 3), size, strict=True):
        start = torch.arange(target, device=image.device) * image.shape[axis]
        # A pixel that touches one row only counts it twice; both axes together make the factor 1/4.
        first, last = start // target, (start + image.shape[axis] - 1) // target
        image = image.index_select(axis, first).add_(image.index_select(axis, last))
    return image.mul_(0.25)
