"""Multi-scale structural similarity.

Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003. Written from
the paper; odd sides are halved as in the authors' MATLAB code (the last row or column is repeated), where libraries
differ by up to 1.4e-3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.metrics.protocol import PROTOCOLS, ProtocolName
from srzoo.ops.ssim import WINDOW, ssim_and_contrast
from srzoo.registry import METRICS

# Exponents of the scales, the finest first (section 3.2).
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def ms_ssim(sr: Tensor, gt: Tensor) -> Tensor:
    """Compute the mean over channels of MS-SSIM, equation 7: (B, C, H, W) in [0, 255] -> (B,).

    Raises:
        ValueError: at the coarsest of the five scales the image is smaller than a window.
    """
    least = 16 * (WINDOW - 1) + 1
    if min(sr.shape[-2:]) < least:
        raise ValueError(f"MS-SSIM needs at least {least}x{least} pixels inside the border, got {tuple(sr.shape)}")
    product = torch.ones(sr.shape[:2], dtype=sr.dtype, device=sr.device)  # (B, C)
    for scale, weight in enumerate(WEIGHTS):
        similarity, contrast = ssim_and_contrast(sr, gt)
        # Luminance is compared at the coarsest scale only. Opposite images would need the root of a negative number.
        factor = similarity if scale == len(WEIGHTS) - 1 else contrast
        product = product * factor.clamp_min(0) ** weight
        sr, gt = _halved(sr), _halved(gt)
    return product.mean(1)


def _halved(image: Tensor) -> Tensor:
    """Average 2x2 pixels: (B, C, H, W) -> (B, C, ceil(H / 2), ceil(W / 2)); odd sides repeat their last pixels."""
    padded = F.pad(image, (0, image.shape[3] % 2, 0, image.shape[2] % 2), mode="replicate")
    return F.avg_pool2d(padded, 2)


@METRICS.register
class MS_SSIM:  # the name in papers
    """Multi-scale structural similarity: two images (B, 3, H, W) in [0, 1] -> (B,), from 0 to 1; 1 for equal images.

    Args:
        scale: magnification, also the border cropped by most protocols.
        protocol: colour, rounding and border convention (docs/protocols.md).
    """

    higher_is_better = True

    def __init__(self, *, scale: int, protocol: ProtocolName = "basicsr-y") -> None:
        self.scale = scale
        self.protocol = PROTOCOLS[protocol]
        self.least_side = 2 * self.protocol.border(scale) + 16 * (WINDOW - 1) + 1

    def __call__(self, sr: Tensor, gt: Tensor) -> Tensor:
        return ms_ssim(*self.protocol.prepare(sr, gt, self.scale))
