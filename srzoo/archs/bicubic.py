"""Bicubic interpolation as a network without parameters: the baseline row of every table."""

from torch import Tensor, nn

from srzoo.ops.resize import imresize
from srzoo.registry import ARCHS


@ARCHS.register
class Bicubic(nn.Module):
    """MATLAB-equivalent bicubic enlargement: (B, C, H, W) -> (B, C, scale*H, scale*W), any range.

    Args:
        scale: magnification.
    """

    scales = None
    multiple_of = 1
    half_safe = ("float16", "bfloat16")
    receptive_radius = 2

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lq: Tensor) -> Tensor:
        return imresize(lq, self.scale)
