"""Normalisation over the channels of each pixel."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of each pixel, then scale and shift: (B, C, H, W) -> (B, C, H, W).

    Ba, Kiros, Hinton, "Layer Normalization", 2016, arXiv:1607.06450; over channels of an image as in NAFNet (Chen et
    al., ECCV 2022, arXiv:2204.04676), epsilon 1e-6.
    """

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_feat))
        self.bias = nn.Parameter(torch.zeros(num_feat))

    def forward(self, x: Tensor) -> Tensor:
        # PyTorch normalises over the last dimension: (B, C, H, W) -> (B, H, W, C).
        normed = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, eps=1e-6)
        return normed.permute(0, 3, 1, 2)  # (B, C, H, W)
