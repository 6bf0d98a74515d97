"""The gradient detector of attribution methods: the strength of edges in an SR image.

Gu & Dong, "Interpreting Super-Resolution Networks with Local Attribution Maps", CVPR 2021, arXiv:2011.11036.
"""

import torch
from torch import Tensor


def gradient_magnitude(image: Tensor) -> Tensor:
    """Return sqrt(dx^2 + dy^2) of forward differences: (B, C, H, W) -> (B, C, H-1, W-1).

    Where neighbouring pixels are equal, the subgradient is 0: the derivative of the root is infinite there, and the
    authors' code loses the attribution of every input pixel that sees such a place.
    """
    corner = image[..., :-1, :-1]
    squared = (corner - image[..., 1:, :-1]).square() + (corner - image[..., :-1, 1:]).square()
    flat = squared == 0
    # The root is taken of 1 at flat places, and its result is not used: no infinite derivative arises.
    return torch.where(flat, 0.0, torch.where(flat, 1.0, squared).sqrt())
