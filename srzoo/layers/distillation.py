"""Information multi-distillation block of IMDN, also a backbone of D2C-SR.

Hui, Gao, Yang, Wang, "Lightweight Image Super-Resolution with Information Multi-distillation Network", ACM MM 2019,
arXiv:1909.11856. Attribute names are the published ones.
"""

import torch
from torch import Tensor, nn

from srzoo.layers.gates import channel_gates
from srzoo.layers.plain import in_plain_form


class ContrastAwareAttention(nn.Module):
    """Channel gates from mean plus population standard deviation over the image (section 3.2), (B, C, H, W) -> same."""

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv_du = channel_gates(num_feat)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * self.conv_du(mean + _contrast(x - mean))


def _contrast(centred: Tensor) -> Tensor:
    """Return the root mean square over the image of (B, C, H, W): (B, C, 1, 1)."""
    if in_plain_form():
        # Every exporter knows these operations; the addend keeps the root's gradient finite for constant channels.
        return (centred.square().mean((2, 3), keepdim=True) + 1e-20).sqrt()
    # As a norm, whose gradient is 0 for a constant channel; that of the root of a variance is infinite there.
    norm = torch.linalg.vector_norm(centred, dim=(2, 3), keepdim=True)
    return norm / (centred.shape[2] * centred.shape[3]) ** 0.5


class DistillationBlock(nn.Module):
    """Information multi-distillation block (figure 3): each step keeps `num_distilled` channels and refines the rest.

    (B, num_feat, H, W) -> (B, num_feat, H, W). Three 3x3 convolutions with activation, and a last one with
    `num_distilled` outputs and none. The four distilled parts are concatenated, gated by channel attention, fused by a
    1x1 convolution and added to the input.
    """

    def __init__(self, num_feat: int, num_distilled: int, attention: bool) -> None:
        super().__init__()
        remaining = num_feat - num_distilled
        self.split = [num_distilled, remaining]
        self.c1 = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.c2 = nn.Conv2d(remaining, num_feat, 3, 1, 1)
        self.c3 = nn.Conv2d(remaining, num_feat, 3, 1, 1)
        self.c4 = nn.Conv2d(remaining, num_distilled, 3, 1, 1)
        self.c5 = nn.Conv2d(4 * num_distilled, num_feat, 1)
        self.act = nn.LeakyReLU(0.05, inplace=True)
        self.cca = ContrastAwareAttention(4 * num_distilled) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        kept1, rest = self.act(self.c1(x)).split(self.split, 1)
        kept2, rest = self.act(self.c2(rest)).split(self.split, 1)
        kept3, rest = self.act(self.c3(rest)).split(self.split, 1)
        kept = torch.cat([kept1, kept2, kept3, self.c4(rest)], 1)  # (B, 4 * num_distilled, H, W)
        return self.c5(self.cca(kept)) + x


def require_width(num_feat: int, multiple: int, share: str) -> None:
    """Check that a width can be divided into the parts that a block distils.

    Raises:
        ValueError: `num_feat` is not a positive multiple of `multiple`.
    """
    if num_feat % multiple or num_feat < multiple:
        raise ValueError(f"num_feat must be a multiple of {multiple} ({share} of it is distilled), got {num_feat}")
