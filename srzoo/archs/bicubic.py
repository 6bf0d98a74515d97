"""Bicubic interpolation as a network without parameters: the baseline row of every table."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.layers.plain import in_plain_form
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
    unsupported_formats: ClassVar = {"ncnn": "it mirrors the border by index, and ncnn has no such layer"}

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale
        with torch.device("cpu"):  # also where a network is built on the meta device
            impulses = torch.eye(5, dtype=torch.float64)
            # An output pixel sees at most 2 input pixels on each side: the weights of 5 for each output pixel of one.
            self._taps = imresize(impulses, size=(5 * scale, 5))[2 * scale : 3 * scale].tolist()  # (scale, 5)

    def forward(self, lq: Tensor) -> Tensor:
        return self._by_phases(lq) if in_plain_form() else imresize(lq, self.scale)

    def _by_phases(self, lq: Tensor) -> Tensor:
        """Enlarge by one convolution, with a channel for each output pixel of an input pixel, and a pixel shuffle.

        Equal to `imresize`, whose matrices are made for one size, in a form for exported graphs.
        """
        channels, image = lq.shape[1], lq
        for dim in (2, 3):
            # Two more pixels on each side, mirrored with the edge repeated.
            size = lq.shape[dim]
            index = torch.arange(-2, size + 2, device=lq.device)
            index = torch.where(index < 0, -1 - index, index)
            # The bound is for a side of one pixel, which mirrors twice.
            image = image.index_select(dim, torch.minimum(index, 2 * size - 1 - index).clamp_min(0))
        taps = torch.tensor(self._taps, dtype=torch.float64)
        kernels = (taps[:, None, :, None] * taps[None, :, None, :]).view(self.scale**2, 1, 5, 5)
        kernels = kernels.to(lq).repeat(channels, 1, 1, 1)  # (C * scale**2, 1, 5, 5)
        return F.pixel_shuffle(F.conv2d(image, kernels, groups=channels), self.scale)  # (B, C, scale * H, scale * W)
