"""Geometric self-ensemble: the mean over the eight flips and rotations of an image.

Timofte et al., "Seven ways to improve example-based single image super resolution", CVPR 2016, arXiv:1511.02228,
section 3.6; called x8 or "+" in papers.
"""

import itertools

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """Mean of `net` over the eight orientations: (B, C, H, W) -> (B, C, scale*H, scale*W), float32, not clipped.

    Args:
        net: the network; it sees images of size (W, H) too.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, lq: Tensor) -> Tensor:
        total: Tensor | None = None
        for flips in itertools.product((False, True), repeat=3):
            sr = _restored(self.net(_oriented(lq, *flips)).float(), *flips)
            total = sr if total is None else total + sr
        assert total is not None
        return total / 8


def _oriented(image: Tensor, flip_width: bool, flip_height: bool, transpose: bool) -> Tensor:
    """Flip left-right, then top-bottom, then exchange the two axes."""
    dims = [dim for dim, flip in ((-1, flip_width), (-2, flip_height)) if flip]
    image = torch.flip(image, dims)
    return image.transpose(-1, -2) if transpose else image  # (B, C, W, H) if transposed


def _restored(image: Tensor, flip_width: bool, flip_height: bool, transpose: bool) -> Tensor:
    """Undo :func:`_oriented`."""
    image = image.transpose(-1, -2) if transpose else image
    return torch.flip(image, [dim for dim, flip in ((-1, flip_width), (-2, flip_height)) if flip])
