"""Filtering each image of a batch with its own kernel.

On a CPU the kernel decides which of three methods is fastest. All of them equal a direct convolution up to float32
rounding errors relative to the kernel's sum.
"""

import functools
import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.pad import mirror_pad

# Kernel values below this share of the kernel's sum are lost in float32 rounding anyway.
_NEGLIGIBLE = 2.0**-26
# Largest radius at which direct convolution is fastest; outputs per product of the separable method; largest tile kept
# from a transform of 256 pixels. Measured by scripts/benchmarks/degradation_ops.py [pixels].
_DIRECT_RADIUS, _OUTPUTS, _TILE = 6, 16, 236

Algorithm = Literal["separable", "direct", "fft"]


class FilterMethod(NamedTuple):
    """Algorithm for applying a kernel, and the part of the kernel that matters.

    Args:
        algorithm: separable: columns, then rows, for kernels of rank 1 such as isotropic Gaussians; direct:
            convolution, for small kernels; fft: by Fourier transforms, for any kernel.
        radius: kernel values further from the centre are ignored [pixels].
    """

    algorithm: Algorithm
    radius: int


def filter2d(image: Tensor, kernels: Tensor, method: FilterMethod | None = None) -> Tensor:
    """Correlate each image with its kernel, borders mirrored: (B, C, H, W), (B or 1, k, k) -> (B, C, H, W).

    Args:
        image: any range.
        kernels: k odd, preferably float64.
        method: applied to all kernels; None: the choice of :func:`choose_methods` if it is the same algorithm for all
            kernels, else "fft".

    Raises:
        ValueError: k is even.
    """
    if kernels.shape[-1] % 2 == 0:
        raise ValueError(f"filter2d needs kernels with an odd side, got {kernels.shape[-1]}")
    if method is None:
        algorithms, radii = zip(*choose_methods(kernels, image.device), strict=True)
        method = FilterMethod(algorithms[0] if len(set(algorithms)) == 1 else "fft", max(radii))
    # Negative padding crops the kernels to the radius.
    kernels = F.pad(kernels, (method.radius - kernels.shape[-1] // 2,) * 4)
    return {"separable": _separable, "direct": _direct, "fft": _fft}[method.algorithm](image, kernels)


def choose_methods(kernels: Tensor, device: torch.device) -> list[FilterMethod]:
    """Return the fastest method for each of (N, k, k) on a device; on a GPU "fft", which takes all in one call."""
    side, magnitude = kernels.shape[-1], kernels.abs().flatten(1)  # (N, k * k)
    if device.type != "cpu":
        return [FilterMethod("fft", side // 2)] * len(kernels)
    negligible = _NEGLIGIBLE * magnitude.sum(1)
    # A kernel of rank 1 is the outer product of the column and the row through its peak.
    peak, each = magnitude.argmax(1), torch.arange(len(kernels), device=kernels.device)
    row, column = peak // side, peak % side
    # (N, k, 1) * (N, 1, k) / (N, 1, 1) -> (N, k, k)
    product = kernels[each, :, column, None] * kernels[each, row, None] / kernels[each, row, column, None, None]
    is_separable = (kernels - product).abs().sum((1, 2)) <= negligible
    # Sum the kernel over square rings around its centre, then count the outer rings that are negligible together.
    offsets = (torch.arange(side, device=kernels.device) - side // 2).abs()
    rings = magnitude.new_zeros(len(kernels), side // 2 + 1)
    rings.index_add_(1, torch.maximum(offsets[:, None], offsets).flatten(), magnitude)
    radii = (rings.flip(1).cumsum(1)[:, :-1] > negligible[:, None]).sum(1)
    return [
        FilterMethod("separable", radius)
        if separable
        else FilterMethod("direct", radius)
        if radius <= _DIRECT_RADIUS
        else FilterMethod("fft", side // 2)
        for separable, radius in zip(is_separable.tolist(), radii.tolist(), strict=True)
    ]


def _fft(image: Tensor, kernels: Tensor) -> Tensor:
    """Filter tiles by Fourier transforms, two tiles as one complex image, whose parts a real kernel keeps apart."""
    batch, channels, height, width = image.shape
    margin = kernels.shape[-1] - 1
    # An even number of tiles across, because they are paired.
    tiles_down, tiles_across = -(-height // _TILE), 2 * -(-width // (2 * _TILE))
    rows, columns = _fast_length(-(-height // tiles_down) + margin), _fast_length(-(-width // tiles_across) + margin)
    # The transform is periodic: the first `margin` outputs of a tile wrap around and are cut off.
    kept = (rows - margin, columns - margin)
    padded = mirror_pad(image, margin // 2, (tiles_down * kept[0] - height, tiles_across * kept[1] - width))
    tiles = padded.unfold(2, rows, kept[0]).unfold(3, columns, kept[1])  # (B, C, down, across, rows, columns)
    pairs = torch.complex(tiles[:, :, :, ::2], tiles[:, :, :, 1::2])  # (B, C, down, across / 2, rows, columns)
    # Along W first: only k of the `rows` rows of a padded kernel are not zero. (B or 1, rows, columns)
    spectra = torch.fft.fft(torch.fft.fft(kernels.to(image).flip(1, 2), n=columns), n=rows, dim=1)
    filtered = torch.fft.ifft2(torch.fft.fft2(pairs).mul_(spectra[:, None, None, None]))[..., margin:, margin:]
    # (B, C, down, across / 2, kept rows, kept columns, 2) -> (B, C, down, kept rows, across / 2, 2, kept columns)
    parts = torch.view_as_real(filtered).permute(0, 1, 2, 4, 3, 6, 5)
    joined = parts.reshape(batch, channels, tiles_down * kept[0], -1)  # (B, C, H + rest, W + rest)
    return joined[..., :height, :width]


def _direct(image: Tensor, kernels: Tensor) -> Tensor:
    """Convolve horizontal strips: grouped convolution is fastest with a multiple of 16 channels."""
    batch, channels, height, width = image.shape
    side = kernels.shape[-1]
    strips = 16 // math.gcd(16, batch * channels)
    rows = -(-height // strips)
    padded = mirror_pad(image, side // 2, (strips * rows - height, 0))
    parts = padded.unfold(2, rows + side - 1, rows).transpose(3, 4)  # (B, C, strips, rows + k - 1, W + k - 1)
    parts = parts.reshape(1, -1, rows + side - 1, padded.shape[-1])  # (1, B * C * strips, rows + k - 1, W + k - 1)
    groups = parts.shape[1]
    weight = kernels.to(image).repeat_interleave(groups // len(kernels), 0).unsqueeze(1)  # (B * C * strips, 1, k, k)
    filtered = F.conv2d(parts, weight, groups=groups)  # (1, B * C * strips, rows, W)
    return filtered.view(batch, channels, -1, width)[:, :, :height]


def _separable(image: Tensor, kernels: Tensor) -> Tensor:
    """Filter columns, then rows: products of one small banded matrix with all windows of a channel."""
    batch, channels, height, width = image.shape
    # H and W become multiples of _OUTPUTS: (B, C, H' + k - 1, W' + k - 1).
    padded = mirror_pad(image, kernels.shape[-1] // 2, (-height % _OUTPUTS, -width % _OUTPUTS))
    filtered = []
    for planes, kernel in zip(padded, kernels.expand(batch, -1, -1), strict=True):
        # The column through the peak, and the row through it divided by the peak, multiply to the kernel.
        row, column = divmod(int(kernel.abs().argmax()), len(kernel))
        vertical, horizontal = (
            _correlation_matrix(line).to(image) for line in (kernel[:, column], kernel[row] / kernel[row, column])
        )
        for plane in planes:
            # Overlapping windows are views, which bmm does not copy.
            windows = plane.unfold(0, vertical.shape[1], _OUTPUTS).transpose(1, 2)  # (count, seen, W' + k - 1)
            columns = torch.bmm(vertical.expand(len(windows), -1, -1), windows).flatten(0, 1)  # (H', W' + k - 1)
            windows = columns.unfold(1, horizontal.shape[1], _OUTPUTS).transpose(0, 1)  # (count, H', seen)
            rows = torch.bmm(windows, horizontal.T.expand(len(windows), -1, -1))  # (count, H', _OUTPUTS)
            filtered.append(rows.transpose(0, 1))  # (H', count, _OUTPUTS)
    joined = torch.stack(filtered).flatten(2)  # (B * C, H', W')
    return joined.unflatten(0, (batch, channels))[..., :height, :width]


def _correlation_matrix(line: Tensor) -> Tensor:
    """Return the matrix (_OUTPUTS, _OUTPUTS + k - 1) that correlates with k taps, each row shifted right by one."""
    length = _OUTPUTS + len(line) - 1
    # Rows one element too long, read with the right length: each starts one element later than the row above.
    band = line.new_zeros(_OUTPUTS, length + 1)
    band[:, : len(line)] = line
    return band.flatten()[: _OUTPUTS * length].view(_OUTPUTS, length)  # (_OUTPUTS, length)


@functools.cache
def _fast_length(length: int) -> int:
    """Return the next even length without prime factors above 7, for which transforms are faster."""
    length += length % 2
    rest = length
    for factor in (2, 3, 5, 7):
        while rest % factor == 0:
            rest //= factor
    return length if rest == 1 else _fast_length(length + 2)
