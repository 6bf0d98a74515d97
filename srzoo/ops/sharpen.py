"""Unsharp masking, as Real-ESRGAN sharpens its ground truth.

Wang et al., ICCVW 2021, arXiv:2107.10833, section 4.1.
"""

import functools

import torch
from torch import Tensor

from srzoo.ops.banded import BandedMatrix
from srzoo.ops.filter import gaussian_kernel
from srzoo.ops.pad import mirrored

# Outputs per block of the Gaussian's matrix (measured by scripts/benchmarks/degradation_ops.py).
_BLOCK = 64


def usm_sharpen(image: Tensor, *, radius: int = 50, weight: float = 0.5, threshold: float = 10.0) -> Tensor:
    """Add `weight` times the difference from a Gaussian blur where it exceeds `threshold`, under a blurred mask.

    Args:
        image: (B, C, H, W) in [0, 1].
        radius: side of the Gaussian, raised to odd; its sigma is 0.3 * ((side - 1) / 2 - 1) + 0.8 [pixels].
        weight: strength of the sharpening.
        threshold: smaller differences are left alone [8-bit levels].

    Returns:
        (B, C, H, W) in [0, 1].
    """
    # The published name: BasicSR's `radius` is the side of the kernel.
    side = radius + 1 - radius % 2
    sigma = 0.3 * ((side - 1) / 2 - 1) + 0.8
    residual = image - _blur(image, side, sigma)
    mask = (residual.abs() * 255 > threshold).to(image.dtype)
    # Blurring the mask avoids visible edges between sharpened and untouched areas.
    soft = _blur(mask, side, sigma)
    sharp = (image + weight * residual).clamp(0, 1)
    return soft * sharp + (1 - soft) * image


def _blur(image: Tensor, side: int, sigma: float) -> Tensor:
    """Blur by a separable Gaussian, borders mirrored: (B, C, H, W) of any size -> the same."""
    for axis in (0, 1):
        image = _gaussian_matrix(image.shape[axis - 2], side, sigma).apply(image, axis)
    return image


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # cached tensors must also work in training
def _gaussian_matrix(size: int, side: int, sigma: float) -> BandedMatrix:
    """Return the matrix (size, size) of the blur along one axis, the border folded into it."""
    window = torch.arange(size)[:, None] + torch.arange(side)  # (size, side), indices of the padded axis
    index = mirrored(size, side // 2)[window]  # (size, side), indices of the axis itself
    return BandedMatrix(index, gaussian_kernel(side, sigma).expand(size, side), _BLOCK)
