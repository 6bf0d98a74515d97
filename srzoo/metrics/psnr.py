"""Peak signal-to-noise ratio."""

import torch
from torch import Tensor

from srzoo.metrics.protocol import PROTOCOLS, ProtocolName
from srzoo.registry import METRICS


def psnr(sr: Tensor, gt: Tensor) -> Tensor:
    """Compute 10 log10(255^2 / MSE) of each image: (B, C, H, W) float64 in [0, 255] -> (B,) [dB]; inf if equal."""
    mse = (sr - gt).square().mean((1, 2, 3))
    return 10 * torch.log10(255**2 / mse)


@METRICS.register
class PSNR:
    """Peak signal-to-noise ratio in dB under a named protocol: two images (B, 3, H, W) in [0, 1] -> (B,).

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: colour, rounding and border convention (docs/protocols.md).
    """

    higher_is_better = True

    def __init__(self, *, scale: int, protocol: ProtocolName = "basicsr-y") -> None:
        self.scale = scale
        self.protocol = PROTOCOLS[protocol]
        # Smallest image with a pixel inside the border.
        self.least_side = 2 * self.protocol.border(scale) + 1

    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        return psnr(*self.protocol.prepare(sr, gt, self.scale))
