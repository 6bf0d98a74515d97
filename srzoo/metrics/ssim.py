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
        raw, padded = self.protocol.ssim_raw, self.protocol.ssim_padding == "zero"
        # Smallest image with a window inside the border.
        self.least_side = (0 if raw else 2 * self.protocol.border(scale)) + (1 if padded else WINDOW)

    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        prepared = self.protocol.prepare(sr, gt, self.scale, raw=self.protocol.ssim_raw)
        return ssim(*prepared, padding=self.protocol.ssim_padding)
