"""RGB to luma by ITU-R BT.601, 8-bit studio swing (Y in [16, 235]), as MATLAB's ``rgb2ycbcr`` has it."""

import torch
from torch import Tensor

BT601 = (65.481, 128.553, 24.966)


def luma(rgb: Tensor, weights: tuple[float, float, float] = BT601, offset: float = 16.0) -> Tensor:
    """Luma of an RGB image: (B, 3, H, W) in [0, 255] -> (B, 1, H, W), Y = offset + weights . rgb / 255."""
    factors = torch.tensor(weights, dtype=rgb.dtype, device=rgb.device).view(3, 1, 1) / 255
    return (rgb * factors).sum(-3, keepdim=True) + offset
