"""Residual block without normalisation, of EDSR and of SRResNet's later variants."""

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + res_scale * conv(relu(conv(x))): (B, num_feat, H, W) -> (B, num_feat, H, W).

    Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017, arXiv:1707.02921,
    figure 2c. `branch_end` is applied to the residual before it is added.
    """

    def __init__(self, num_feat: int, res_scale: float = 1.0, branch_end: nn.Module | None = None) -> None:
        super().__init__()
        self.res_scale = res_scale
        self.conv1 = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.conv2 = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.relu = nn.ReLU(inplace=True)
        self.branch_end = branch_end or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.branch_end(self.conv2(self.relu(self.conv1(x))))
        return torch.add(x, residual, alpha=self.res_scale)
