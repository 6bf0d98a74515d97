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


def ssim(sr: Tensor, gt: Tensor, padding: Literal["valid", "zero"] = "valid") -> Tensor:
    """Compute the mean SSIM of each image over pixels and channels: (B, C, H, W) in [0, 255] -> (B,).

    Equations 13 and 17 of the paper.

    Args:
        sr: (B, C, H, W).
        gt: (B, C, H, W).
        padding: windows inside the image only ("valid"), or over an image padded with zeros ("zero").

    Raises:
        ValueError: the image is smaller than the window (with "valid" padding).
    """
    if padding == "valid" and min(sr.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs at least {WINDOW}x{WINDOW} pixels inside the border, got {tuple(sr.shape)}")
    # C1 = (K1 L)^2 and C2 = (K2 L)^2 for a data range L of 255.
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    batch, channels = sr.shape[:2]
    # Weighted first and second moments (equations 14 to 16), all in one call.
    moments = torch.stack([sr, gt, sr * sr, gt * gt, sr * gt]).flatten(0, 2).unsqueeze(1)  # (5 * B * C, 1, H, W)
    moments = _blur(moments, padding).unflatten(0, (5, batch, channels)).squeeze(3)  # (5, B, C, h, w)
    mu_x, mu_y, xx, yy, xy = moments
    # Contrast and structure share c2 / 2 as their constant and combine into one factor.
    contrast = (2 * (xy - mu_x * mu_y) + c2) / (xx - mu_x**2 + yy - mu_y**2 + c2)
    luminance = (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
    return (luminance * contrast).mean((1, 2, 3))


def _blur(images: Tensor, padding: Literal["valid", "zero"]) -> Tensor:
    """Filter (N, 1, H, W) by a separable 11-tap Gaussian, sigma 1.5."""
    gauss = gaussian_kernel(WINDOW, 1.5).to(images)
    margin = WINDOW // 2 if padding == "zero" else 0
    columns = F.conv2d(images, gauss.view(1, 1, -1, 1), padding=(margin, 0))
    return F.conv2d(columns, gauss.view(1, 1, 1, -1), padding=(0, margin))
