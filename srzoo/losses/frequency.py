"""Losses in the frequency domain."""

import torch
from torch import Tensor, nn

from srzoo.losses.pixel import l1, same_shape
from srzoo.ops.filter import gaussian_blur
from srzoo.registry import LOSSES, PositiveFloat, PositiveInt


def fft_l1(sr: Tensor, gt: Tensor) -> Tensor:
    """Compute the mean absolute difference of the real and imaginary parts of the 2-D Fourier transforms -> scalar.

    Cho et al., "Rethinking Coarse-to-Fine Approach in Single Image Deblurring", ICCV 2021, arXiv:2108.05054, eq. 5.
    """
    same_shape(sr, gt)
    # The half spectrum suffices for real images.
    difference = torch.view_as_real(torch.fft.rfft2(sr) - torch.fft.rfft2(gt))  # (B, C, H, W // 2 + 1, 2)
    return difference.abs().mean()


@LOSSES.register
class FFTLoss(nn.Module):
    """L1 distance of the Fourier transforms of two images (B, C, H, W) -> scalar; see :func:`fft_l1`."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        return fft_l1(sr, gt)


def high_frequencies(image: Tensor, kernel_size: int, sigma: float) -> Tensor:
    """Subtract the Gaussian blur of an image, borders mirrored: (B, C, H, W) -> the same."""
    return image - gaussian_blur(image, kernel_size, sigma)


@LOSSES.register
class HighFrequencyLoss(nn.Module):
    """L1 distance of the high-frequency parts of two images (B, C, H, W) -> scalar.

    RT4KSR's auxiliary loss: Zamfir, Conde, Timofte, "Towards Real-Time 4K Image Super-Resolution", CVPRW 2023.

    Args:
        kernel_size: side of the Gaussian, odd [pixels].
        sigma: standard deviation of the Gaussian [pixels].
    """

    def __init__(self, *, kernel_size: PositiveInt = 5, sigma: PositiveFloat = 1.0) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        self.kernel_size, self.sigma = kernel_size, sigma

    def forward(self, sr: Tensor, gt: Tensor) -> Tensor:
        same_shape(sr, gt)
        return l1(*(high_frequencies(image, self.kernel_size, self.sigma) for image in (sr, gt)))
