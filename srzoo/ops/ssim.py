"""Structural similarity of two images.

Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE TIP
13(4), 2004: 11x11 Gaussian window, sigma 1.5, K1 = 0.01, K2 = 0.03. Written from the paper.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.filter import gaussian_kernel

WINDOW = 11
# Pixels that a core computes at once: their moments stay in its cache.
STRIP = 32 * 1024
_GAUSS = tuple(gaussian_kernel(WINDOW, 1.5).tolist())


def ssim(sr: Tensor, gt: Tensor, padding: Literal["valid", "zero"] = "valid") -> Tensor:
    """Compute the mean SSIM of each image over pixels and channels: (B, C, H, W) in [0, 255] -> (B,).

    Equations 13 and 17 of the paper. On a CPU, without gradients, strip by strip: the same values many times faster.

    Args:
        sr: (B, C, H, W).
        gt: (B, C, H, W).
        padding: windows inside the image only ("valid"), or over an image padded with zeros ("zero").

    Raises:
        ValueError: the image is smaller than the window (with "valid" padding).
    """
    if padding == "valid" and min(sr.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs at least {WINDOW}x{WINDOW} pixels inside the border, got {tuple(sr.shape)}")
    if padding == "zero":
        sr, gt = (F.pad(image, (WINDOW // 2,) * 4) for image in (sr, gt))
    differentiable = torch.is_grad_enabled() and (sr.requires_grad or gt.requires_grad)
    if sr.device.type == "cpu" and not differentiable:
        return ssim_in_strips(sr, gt)
    return ssim_by_convolution(sr, gt)


def ssim_by_convolution(sr: Tensor, gt: Tensor) -> Tensor:
    """Compute SSIM over windows inside the image, (B, C, H, W) -> (B,), with one convolution per direction."""
    luminance, contrast = _factors(_moments(sr, gt))
    return (luminance * contrast).mean((1, 2, 3))


def ssim_and_contrast(sr: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean SSIM of each channel and that of its contrast and structure alone: (B, C, H, W) -> 2 x (B, C)."""
    luminance, contrast = _factors(_moments(sr, gt))
    return (luminance * contrast).mean((2, 3)), contrast.mean((2, 3))


def _moments(sr: Tensor, gt: Tensor) -> Tensor:
    """Return the weighted moments of the windows inside an image: (B, C, H, W) -> (4, B, C, H - 10, W - 10)."""
    gauss = gaussian_kernel(WINDOW, 1.5).to(sr)
    moments = _products(sr, gt).flatten(0, 2).unsqueeze(1)  # (4 * B * C, 1, H, W)
    moments = F.conv2d(F.conv2d(moments, gauss.view(1, 1, -1, 1)), gauss.view(1, 1, 1, -1))
    return moments.squeeze(1).unflatten(0, (4, *sr.shape[:2]))  # (4, B, C, H - 10, W - 10)


def ssim_in_strips(sr: Tensor, gt: Tensor) -> Tensor:
    """Compute SSIM over windows inside the image, (B, C, H, W) -> (B,), a few rows of one channel at a time."""
    batch, channels, height, width = sr.shape
    inside = height - WINDOW + 1, width - WINDOW + 1
    sums = sr.new_zeros(batch * channels)
    strip = max(1, STRIP // width)
    for index, (x, y) in enumerate(zip(sr.flatten(0, 1), gt.flatten(0, 1), strict=True)):  # (H, W)
        for top in range(0, inside[0], strip):
            rows = slice(top, top + strip + WINDOW - 1)
            moments = _shifted_sum(_shifted_sum(_products(x[rows], y[rows]), 1), 2)  # (4, strip, W - 10)
            sums[index] += _similarity(moments).sum()
    return sums.view(batch, channels).mean(1) / (inside[0] * inside[1])


def _products(x: Tensor, y: Tensor) -> Tensor:
    """Return x, y, x^2 + y^2 and xy: (...) -> (4, ...). The variances are only needed as a sum."""
    return torch.stack([x, y, x * x + y * y, x * y])


def _shifted_sum(images: Tensor, dim: int) -> Tensor:
    """Filter one dimension by the window: weighted sums of shifted views, in pairs because the window is symmetric."""
    length, last = images.shape[dim] - WINDOW + 1, WINDOW - 1
    total = images.narrow(dim, last // 2, length) * _GAUSS[last // 2]
    for tap in range(last // 2):
        pair = images.narrow(dim, tap, length) + images.narrow(dim, last - tap, length)
        total.add_(pair, alpha=_GAUSS[tap])
    return total


def _similarity(moments: Tensor) -> Tensor:
    """Return the SSIM of each window from its weighted moments: (4, ...) -> (...)."""
    luminance, contrast = _factors(moments)
    return luminance * contrast


def _factors(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return both factors of the SSIM of each window (equations 13 to 16): (4, ...) -> 2 x (...)."""
    # C1 = (K1 L)^2 and C2 = (K2 L)^2 for a data range L of 255.
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mu_x, mu_y, squares, product = moments
    mu_xy, mu_squares = mu_x * mu_y, mu_x * mu_x + mu_y * mu_y
    # Contrast and structure share c2 / 2 as their constant and combine into one factor.
    contrast = (2 * (product - mu_xy) + c2) / (squares - mu_squares + c2)
    return (2 * mu_xy + c1) / (mu_squares + c1), contrast
