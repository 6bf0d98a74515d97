"""The effective receptive field: how much each input pixel moves an output pixel, measured by gradients over images.

Luo, Li, Urtasun, Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
NeurIPS 2016, arXiv:1701.04128. Written from the paper.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from srzoo.analysis.layers import frozen
from srzoo.analysis.memory import MemoryLimit
from srzoo.contract import contract_of, identity_of


@dataclass(frozen=True)
class ReceptiveField:
    """Effective receptive field of the SR pixels that belong to one LQ pixel, beside the theoretical one.

    Distances are those of `receptive_radius`: the larger of the distances in rows and in columns.

    Args:
        field: mean over images of the gradient's magnitude, (side, side) float64, sum 1, side odd; the LQ pixel lies in
            the centre.
        radius_90: smallest distance within which 90 % of the field lie [LQ pixels].
        radius_99: the same for 99 % [LQ pixels].
        support_radius: largest distance at which the field is not 0 [LQ pixels].
        receptive_radius: stated by the network's contract; None: unbounded [LQ pixels].
        num_images: images that were averaged.
    """

    field: np.ndarray
    radius_90: int
    radius_99: int
    support_radius: int
    receptive_radius: int | None
    num_images: int

    @property
    def is_cut_off(self) -> bool:
        """True if the field reaches the border of the images, beyond which it may go on."""
        return self.support_radius >= self.field.shape[0] // 2


def effective_receptive_field(
    net: nn.Module, images: Iterable[Tensor], *, side: int, max_memory: int | None = None
) -> ReceptiveField:
    """Measure the effective receptive field in the centre of images.

    Args:
        net: the network, in evaluation mode.
        images: each (C, h, w) in [0, 1]; their central parts are used.
        side: of the part of an image that the network sees [LQ pixels].
        max_memory: bound for the tensors alive at any moment [bytes].

    Raises:
        ValueError: no image, an image smaller than `side`, or an output that depends on no input pixel.
        MemoryLimitError: one image needs more memory.
    """
    total, count = None, 0
    with frozen(net):
        for image in images:
            if min(image.shape[-2:]) < side:
                raise ValueError(f"expected images of at least {side}x{side} pixels, got {tuple(image.shape[-2:])}")
            with MemoryLimit(max_memory) if max_memory is not None else torch.enable_grad():
                magnitude = central_gradient(net, _centre(image, side)).abs().sum(0)  # (side, side)
            total, count = magnitude.double().cpu() + (0 if total is None else total), count + 1
    if total is None or not total.any():
        raise ValueError("expected images whose central output depends on the input, got none")
    field = _odd(total.numpy())
    field = field / field.sum()
    return ReceptiveField(
        field,
        radius_of_share(field, 0.9),
        radius_of_share(field, 0.99),
        int(_distances(field.shape[0])[field > 0].max()),
        contract_of(net).receptive_radius,
        count,
    )


def central_gradient(net: nn.Module, lq: Tensor) -> Tensor:
    """Return the gradient of the sum of the SR pixels of the central LQ pixel: (C, h, w) -> (C, h, w)."""
    scale = identity_of(net).scale
    row, column = (side // 2 for side in lq.shape[-2:])
    with torch.enable_grad():
        lq = lq.detach()[None].requires_grad_()
        part = net(lq)[..., scale * row : scale * (row + 1), scale * column : scale * (column + 1)]
        return torch.autograd.grad(part.sum(), lq)[0][0]


def shares_within(field: np.ndarray) -> np.ndarray:
    """Return the share of a field (side, side) within each distance 0, 1, ... from its centre: (side // 2 + 1,)."""
    # Sum of each square ring around the centre, from the inside out.
    rings = np.bincount(_distances(field.shape[0]).ravel(), weights=field.ravel())
    return np.cumsum(rings) / field.sum()


def radius_of_share(field: np.ndarray, share: float) -> int:
    """Return the smallest distance from the centre within which a share of a field (side, side) lies."""
    # Rounding must not ask for a ring beyond the last.
    return int(np.searchsorted(shares_within(field), share - 1e-12))


def _distances(side: int) -> np.ndarray:
    """Return the distance of each pixel from the centre of a square with an odd side: (side, side)."""
    offsets = np.abs(np.arange(side) - side // 2)
    return np.maximum(offsets[:, None], offsets)


def _centre(image: Tensor, side: int) -> Tensor:
    top, left = ((size - side) // 2 for size in image.shape[-2:])
    return image[..., top : top + side, left : left + side]


def _odd(field: np.ndarray) -> np.ndarray:
    """Add a row and a column of 0 to an even side, whose centre side // 2 is then in the middle."""
    return np.pad(field, ((0, 1 - field.shape[0] % 2), (0, 1 - field.shape[1] % 2)))
