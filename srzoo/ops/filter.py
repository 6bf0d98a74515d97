"""Filters over images, channel by channel."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.pad import mirror_pad


def gaussian_kernel(size: int, sigma: float) -> Tensor:
    """Samples of a Gaussian at the integers around 0, summing to 1: (size,) float64."""
    x = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    kernel = torch.exp(-x.square() / (2 * sigma**2))
    return kernel / kernel.sum()


def gaussian_blur(image: Tensor, size: int, sigma: float) -> Tensor:
    """Blur (B, C, H, W) with a size x size Gaussian; the border is mirrored, on images too small for that repeated.

    Args:
        image: any range.
        size: odd side of the kernel [pixels].
        sigma: standard deviation [pixels].
    """
    radius, channels = size // 2, image.shape[1]
    kernel = gaussian_kernel(size, sigma).to(image)
    mode = "reflect" if min(image.shape[-2:]) > radius else "replicate"
    padded = F.pad(image, (radius,) * 4, mode=mode)
    rows = F.conv2d(padded, kernel.view(1, 1, size, 1).expand(channels, 1, size, 1), groups=channels)
    return F.conv2d(rows, kernel.view(1, 1, 1, size).expand(channels, 1, 1, size), groups=channels)


def filter2d(image: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each image with a kernel of its own, the border mirrored: (B, C, H, W), (B or 1, k, k) -> (B, C, H, W).

    By way of the spectrum: with the kernels of 21x21 of blind super-resolution that takes a third of the time of a
    convolution (scripts/benchmarks/degradations.py). Rounding errors are those of float32 times the kernel's sum.

    Raises:
        ValueError: the kernels' side is even.
    """
    side = kernels.shape[-1]
    if side % 2 == 0:
        raise ValueError(f"filter2d needs kernels with an odd side, got {side}")
    padded = mirror_pad(image, side // 2)
    # The transform is periodic: what runs over its edge lands where the result is cut off.
    lengths = [_fast_length(length) for length in padded.shape[-2:]]
    # Rows first: of the kernels, few have any.
    rows = torch.fft.rfft(kernels.to(image).flip(1, 2), n=lengths[1])
    spectrum = torch.fft.fft(rows, n=lengths[0], dim=1).unsqueeze(1)
    filtered = torch.fft.irfft2(torch.fft.rfft2(padded, s=lengths).mul_(spectrum), s=lengths)
    height, width = image.shape[-2:]
    return filtered[..., side - 1 : side - 1 + height, side - 1 : side - 1 + width]


@functools.cache
def _fast_length(length: int) -> int:
    """The next even number without factors above 7: transforms of such lengths are faster."""
    length += length % 2
    rest = length
    for factor in (2, 3, 5, 7):
        while rest % factor == 0:
            rest //= factor
    return length if rest == 1 else _fast_length(length + 2)
