"""Gaussian blur with one kernel for the whole batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.pad import mirror_or_repeat


def gaussian_kernel(size: int, sigma: float) -> Tensor:
    """Sample a Gaussian at unit steps around 0, summing to 1: (size,) float64."""
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    kernel = torch.exp(-x.square() / (2 * sigma**2))
    return kernel / kernel.sum()


def gaussian_blur(image: Tensor, size: int, sigma: float) -> Tensor:
    """Blur (B, C, H, W) with a size x size Gaussian, borders mirrored (edge pixels repeated on small images).

    Args:
        image: any range.
        size: odd side of the kernel [pixels].
        sigma: standard deviation [pixels].
    """
    radius, channels = size // 2, image.shape[1]
    kernel = gaussian_kernel(size, sigma).to(image)
    padded = mirror_or_repeat(image, (radius, radius, radius, radius))
    # A Gaussian is separable: filter the columns, then the rows.
    columns = F.conv2d(padded, kernel.view(1, 1, size, 1).expand(channels, 1, size, 1), groups=channels)
    return F.conv2d(columns, kernel.view(1, 1, 1, size).expand(channels, 1, 1, size), groups=channels)
