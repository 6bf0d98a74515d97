"""Structural similarity.

Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", IEEE TIP
13(4), 2004: 11x11 Gaussian window, sigma 1.5, K1 = 0.01, K2 = 0.03. Written from the paper.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.metrics.protocol import PROTOCOLS, ProtocolName
from srzoo.registry import METRICS

WINDOW = 11


def ssim(sr: Tensor, gt: Tensor, padding: Literal["valid", "zero"] = "valid") -> Tensor:
    """Mean SSIM index of each image, averaged over channels: (B, C, H, W) in [0, 255] -> (B,). Equations 12 and 13.

    Raises:
        ValueError: the image is smaller than the window (with "valid" padding).
    """
    if padding == "valid" and min(sr.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs at least {WINDOW}x{WINDOW} pixels inside the border, got {tuple(sr.shape)}")
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    batch, channels = sr.shape[:2]
    moments = torch.stack([sr, gt, sr * sr, gt * gt, sr * gt]).flatten(0, 2).unsqueeze(1)
    moments = _blur(moments, padding).unflatten(0, (5, batch, channels)).squeeze(3)
    mu_x, mu_y, xx, yy, xy = moments
    contrast = (2 * (xy - mu_x * mu_y) + c2) / (xx - mu_x**2 + yy - mu_y**2 + c2)
    luminance = (2 * mu_x * mu_y + c1) / (mu_x**2 + mu_y**2 + c1)
    return (luminance * contrast).mean((1, 2, 3))


def _blur(images: Tensor, padding: Literal["valid", "zero"]) -> Tensor:
    """Separable 11-tap Gaussian, sigma 1.5, over (N, 1, H, W)."""
    x = torch.arange(WINDOW, dtype=images.dtype, device=images.device) - WINDOW // 2
    gauss = torch.exp(-(x**2) / (2 * 1.5**2))
    gauss = gauss / gauss.sum()
    margin = WINDOW // 2 if padding == "zero" else 0
    rows = F.conv2d(images, gauss.view(1, 1, -1, 1), padding=(margin, 0))
    return F.conv2d(rows, gauss.view(1, 1, 1, -1), padding=(0, margin))


@METRICS.register
class SSIM:
    """Structural similarity under a named protocol: two images (B, 3, H, W) in [0, 1] -> (B,); 1 for equal images.

    Args:
        scale: magnification; the border that most protocols leave out.
        protocol: colour, rounding and border convention (docs/protocols.md).
    """

    higher_is_better = True

    def __init__(self, *, scale: int, protocol: ProtocolName = "basicsr-y") -> None:
        self.scale = scale
        self.protocol = PROTOCOLS[protocol]
        self.least_side = 2 * self.protocol.border(scale) + WINDOW

    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        return ssim(*self.protocol.prepare(sr, gt, self.scale), padding=self.protocol.ssim_padding)
