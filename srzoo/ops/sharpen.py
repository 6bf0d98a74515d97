"""Unsharp masking.

As Real-ESRGAN sharpens its ground truth: Wang et al., ICCVW 2021, arXiv:2107.10833, section 4.1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.filter import gaussian_kernel


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
    channels, radius = image.shape[1], side // 2
    kernel = gaussian_kernel(side, sigma).to(image)
    rows = F.conv2d(
        _mirrored(image, radius, 2), kernel.view(1, 1, side, 1).expand(channels, 1, side, 1), groups=channels
    )
    return F.conv2d(
        _mirrored(rows, radius, 3), kernel.view(1, 1, 1, side).expand(channels, 1, 1, side), groups=channels
    )


def _mirrored(image: Tensor, radius: int, dim: int) -> Tensor:
    """`radius` more pixels at both ends, mirrored without repeating the edge."""
    size = image.shape[dim]
    period = max(2 * (size - 1), 1)
    index = torch.arange(-radius, size + radius, device=image.device) % period
    return image.index_select(dim, torch.minimum(index, period - index) if size > 1 else torch.zeros_like(index))
