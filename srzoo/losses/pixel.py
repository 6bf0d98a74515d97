"""Pixel losses: means over all elements of (B, C, H, W)."""

import torch
from torch import Tensor, nn

from srzoo.registry import LOSSES, PositiveFloat


def same_shape(sr: Tensor, gt: Tensor) -> None:
    """Raise ValueError if the shapes differ, because broadcasting in a loss is always a mistake."""
    if sr.shape != gt.shape:
        raise ValueError(f"sr and gt must have one shape, got {tuple(sr.shape)} and {tuple(gt.shape)}")


def l1(sr: Tensor, gt: Tensor) -> Tensor:
    """Compute mean |sr - gt| -> scalar."""
    same_shape(sr, gt)
    return (sr - gt).abs().mean()


def mse(sr: Tensor, gt: Tensor) -> Tensor:
    """Compute mean (sr - gt)^2 -> scalar."""
    same_shape(sr, gt)
    return (sr - gt).square().mean()


def charbonnier(sr: Tensor, gt: Tensor, eps: float = 1e-6) -> Tensor:
    """Compute mean sqrt((sr - gt)^2 + eps^2) -> scalar: L1 with a smooth minimum.

    Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed imaging", ICIP 1994; as
    a super-resolution loss in Lai et al., "Deep Laplacian Pyramid Networks", CVPR 2017, equation 3.
    """
    same_shape(sr, gt)
    # eps keeps the gradient of the root finite at 0.
    return ((sr - gt).square() + eps**2).sqrt().mean()


def huber(sr: Tensor, gt: Tensor, delta: float = 1.0) -> Tensor:
    """Compute the mean of d^2 / 2 where |d| = |sr - gt| < delta, else of delta * (|d| - delta / 2) -> scalar.

    Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35(1), 1964.
    """
    same_shape(sr, gt)
    distance = (sr - gt).abs()
    # Both branches have value delta^2 / 2 and slope delta where they meet.
    return torch.where(distance < delta, distance.square() / 2, delta * (distance - delta / 2)).mean()


@LOSSES.register
class L1Loss(nn.Module):
    """Mean absolute difference of two images (B, C, H, W) of any range -> scalar."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        return l1(sr, gt)


@LOSSES.register
class MSELoss(nn.Module):
    """Mean squared difference of two images (B, C, H, W) of any range -> scalar."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        return mse(sr, gt)


@LOSSES.register
class CharbonnierLoss(nn.Module):
    """Mean smooth absolute difference of two images (B, C, H, W) -> scalar; see :func:`charbonnier`.

    Args:
        eps: width of the smooth part and minimum of the loss [image range].
    """

    def __init__(self, *, eps: PositiveFloat = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        return charbonnier(sr, gt, self.eps)


@LOSSES.register
class HuberLoss(nn.Module):
    """Huber loss, quadratic for small and linear for large differences: two images (B, C, H, W) -> scalar.

    See :func:`huber`.

    Args:
        delta: difference at which the loss turns linear [image range].
    """

    def __init__(self, *, delta: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        return huber(sr, gt, self.delta)
