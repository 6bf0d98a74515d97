"""Structural similarity index (SSIM) under a named protocol."""

from torch import Tensor

from srzoo.metrics.protocol import PROTOCOLS, ProtocolName
from srzoo.ops.ssim import WINDOW, ssim
from srzoo.registry import METRICS


@METRICS.register
class SSIM:
    """Structural similarity under a named protocol: two images (B, 3, H, W) in [0, 1] -> (B,); 1 for equal images.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: colour, rounding and border convention (docs/protocols.md).
    """

    higher_is_better = True

    def __init__(self, *, scale: int, protocol: ProtocolName = "basicsr-y") -> None:
        self.scale = scale
        self.protocol = PROTOCOLS[protocol]
        # Smallest image with a whole window inside the border.
        self.least_side = 2 * self.protocol.border(scale) + WINDOW

    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        return ssim(*self.protocol.prepare(sr, gt, self.scale), padding=self.protocol.ssim_padding)
