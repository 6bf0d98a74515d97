"""Enlargement at the end of a network, shared by several architectures."""

import math
import re
from collections.abc import Mapping

from torch import Tensor, nn


def subpixel_upsampler(num_feat: int, scale: int) -> nn.Sequential:
    """Return convolutions and pixel shuffles, each by 2, or one by 3: (B, C, H, W) -> (B, C, scale*H, scale*W).

    Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural
    Network", CVPR 2016, arXiv:1609.05158.

    Raises:
        ValueError: the scale is neither 3 nor a power of 2.
    """
    if scale == 3:
        factors = [3]
    elif scale >= 1 and scale & (scale - 1) == 0:
        factors = [2] * (scale.bit_length() - 1)
    else:
        raise ValueError(f"scale must be 3 or a power of 2, got {scale}")
    steps = [(nn.Conv2d(num_feat, num_feat * factor**2, 3, 1, 1), nn.PixelShuffle(factor)) for factor in factors]
    return nn.Sequential(*(module for step in steps for module in step))


def subpixel_scale(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Return the magnification of the upsampler whose state-dict keys begin with `prefix`."""
    convs = [tensor for name, tensor in tensors.items() if re.fullmatch(rf"{re.escape(prefix)}\d+\.weight", name)]
    return math.prod(math.isqrt(conv.shape[0] // conv.shape[1]) for conv in convs)
