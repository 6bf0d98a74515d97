"""Unsharp masking.

As Real-ESRGAN sharpens its ground truth: Wang et al., ICCVW 2021, arXiv:2107.10833, section 4.1.
"""

import functools

import torch
from torch import Tensor

from srzoo.ops.banded import Banded
from srzoo.ops.filter import gaussian_kernel
from srzoo.ops.pad import mirrored

# Outputs per block of the wide Gaussian (measured by scripts/benchmarks/degradation_ops.py).
_BLOCK = 64


def usm_sharpen(image: Tensor, *, radius: int = 50, weight: float = 0.5, threshold: float = 10.0) -> Tensor:
    """Add `weight` times what a Gaussian blur takes away, where that is more than `threshold`, with soft borders.

    Args:
        image: (B, C, H, W) in [0, 1].
        radius: side of the Gaussian, made odd; its sigma is 0.3 * ((side - 1) / 2 - 1) + 0.8 [pixels].
        weight: strength.
        threshold: smallest difference that counts as detail [8-bit levels].

    Returns (B, C, H, W) in [0, 1].
    """
    side = radius + 1 - radius % 2
    sigma = 0.3 * ((side - 1) / 2 - 1) + 0.8
    residual = image - _blur(image, side, sigma)
    mask = (residual.abs() * 255 > threshold).to(image.dtype)
    soft = _blur(mask, side, sigma)
    sharp = (image + weight * residual).clamp(0, 1)
    return soft * sharp + (1 - soft) * image


def _blur(image: Tensor, side: int, sigma: float) -> Tensor:
    """Separable Gaussian over borders mirrored as often as a small image needs."""
    for axis in (0, 1):
        image = _gaussian_matrix(image.shape[axis - 2], side, sigma).along(image, axis)
    return image


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)
def _gaussian_matrix(size: int, side: int, sigma: float) -> Banded:
    place = torch.arange(size)[:, None] + torch.arange(side)
    index = mirrored(size, side // 2)[place]
    return Banded(index, gaussian_kernel(side, sigma).expand(size, side), _BLOCK)
