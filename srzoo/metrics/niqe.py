"""NIQE, a measure of one image alone, by the package basicsr, whose parameters of natural images it needs."""

import importlib
from collections.abc import Callable
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor

from srzoo.registry import METRICS

# Side of the blocks whose statistics are compared [pixels].
_BLOCK = 96


@METRICS.register
class NIQE:
    """Distance from the statistics of natural images: (B, 3, H, W) in [0, 1] -> (B,), lower is better.

    The output alone is judged; photographs have about 2 to 5. Mittal et al., "Making a Completely Blind Image Quality
    Analyzer", IEEE Signal Processing Letters 20(3), 2013. Package basicsr (Apache-2.0), which is installed apart.

    Args:
        scale: magnification, also the border that is cropped [pixels].
        color: y: luma of BT.601; gray: OpenCV's grey.
    """

    higher_is_better = False

    def __init__(self, *, scale: int, color: Literal["y", "gray"] = "y") -> None:
        self.scale, self.color = scale, color
        self.least_side = _BLOCK + 2 * scale
        # By name: the bridge to other projects lies above metrics, and is needed only here.
        try:
            module = importlib.import_module("srzoo.compat.basicsr.networks").import_basicsr("metrics.niqe")
        except LookupError as error:
            raise ValueError(f"NIQE: {error}") from error
        self.measure = cast(Callable[..., float], module.calculate_niqe)

    @torch.no_grad()
    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        del gt
        if sr.shape[1] != 3:
            raise ValueError(f"NIQE takes colour images, got {sr.shape[1]} channel(s)")
        if min(sr.shape[-2:]) < self.least_side:
            raise ValueError(f"NIQE needs sides of at least {self.least_side} pixels, got {tuple(sr.shape[-2:])}")
        levels = sr.clamp(0, 1).mul(255).round().permute(0, 2, 3, 1).flip(-1)  # (B, H, W, 3), blue first
        values = [
            float(self.measure(image.astype(np.float32), crop_border=self.scale, convert_to=self.color))
            for image in levels.cpu().numpy()
        ]
        return torch.tensor(values)  # (B,)
