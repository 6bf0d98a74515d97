"""Losses that compare pixels one by one: mean over every element of (B, C, H, W)."""

from torch import Tensor, nn

from srzoo.registry import LOSSES, PositiveFloat


def _same_shape(sr: Tensor, gt: Tensor) -> None:
    """Refuse to broadcast: a loss over mismatched shapes is always a mistake."""
    if sr.shape != gt.shape:
        raise ValueError(f"sr and gt must have one shape, got {tuple(sr.shape)} and {tuple(gt.shape)}")


def l1(sr: Tensor, gt: Tensor) -> Tensor:
    """mean |sr - gt|."""
    _same_shape(sr, gt)
    return (sr - gt).abs().mean()


def mse(sr: Tensor, gt: Tensor) -> Tensor:
    """mean (sr - gt)^2."""
    _same_shape(sr, gt)
    return (sr - gt).square().mean()


def charbonnier(sr: Tensor, gt: Tensor, eps: float = 1e-6) -> Tensor:
    """mean sqrt((sr - gt)^2 + eps^2): L1 with a smooth minimum.

    Charbonnier et al., "Two deterministic half-quadratic regularization algorithms for computed imaging", ICIP 1994; as
    a super-resolution loss in Lai et al., "Deep Laplacian Pyramid Networks", CVPR 2017, equation 3.
    """
    _same_shape(sr, gt)
    return ((sr - gt).square() + eps**2).sqrt().mean()


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
        eps: width of the smooth part; the least value that the loss can have [image range].
    """

    def __init__(self, *, eps: PositiveFloat = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        return charbonnier(sr, gt, self.eps)
