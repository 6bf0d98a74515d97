"""Losses over neighbouring pixels: structural similarity and total variation."""

from torch import Tensor, nn

from srzoo.losses.pixel import same_shape
from srzoo.ops.ssim import ssim
from srzoo.registry import LOSSES


@LOSSES.register
class SSIMLoss(nn.Module):
    """1 - SSIM of two images (B, C, H, W) in [0, 1], at least 11 pixels wide -> scalar; 0 for equal images.

    Wang et al., IEEE TIP 13(4), 2004, equation 13, over windows inside the image.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        same_shape(sr, gt)
        # The constants of SSIM are those of 8-bit levels.
        return 1 - ssim(255 * sr, 255 * gt).mean()


def total_variation(image: Tensor) -> Tensor:
    """Compute the mean absolute difference of vertical plus that of horizontal neighbours: (B, C, H, W) -> scalar.

    Rudin, Osher, Fatemi, "Nonlinear total variation based noise removal algorithms", Physica D 60, 1992 (anisotropic).
    """
    # Two means over (B, C, H - 1, W) and (B, C, H, W - 1), not one over their union.
    return image.diff(dim=2).abs().mean() + image.diff(dim=3).abs().mean()


@LOSSES.register
class TVLoss(nn.Module):
    """Total variation of the output (B, C, H, W) -> scalar; `gt` is ignored."""

    compares_with_gt = False

    def __init__(self) -> None:
        super().__init__()

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        same_shape(sr, gt)
        return total_variation(sr)
