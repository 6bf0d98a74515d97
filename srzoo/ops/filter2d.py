"""Filtering each image with a kernel of its own.

What a kernel is decides the quickest of three ways on a CPU. All give what a convolution gives, but for rounding errors
of float32 times the kernel's sum.
"""

import functools
import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.pad import mirror_pad

# What is this small beside a kernel's sum is lost in the rounding of float32.
_NEGLIGIBLE = 2.0**-26
# Largest radius for which a convolution is quickest, outputs in a product with lines, and the most that a tile keeps of
# a transform of 256 [pixels]; measured by scripts/benchmarks/degradation_ops.py.
_DIRECT, _LINES, _TILE = 6, 16, 236

Form = Literal["lines", "direct", "spectrum"]


class Way(NamedTuple):
    """How to apply a kernel.

    Args:
        form: lines: columns, then rows, for a kernel that is the product of two lines, as isotropic Gaussians are;
            direct: a convolution, for small kernels; spectrum: by Fourier transforms, for any.
        radius: how far from its centre it is looked at [pixels].
    """

    form: Form
    radius: int


def filter2d(image: Tensor, kernels: Tensor, way: Way | None = None) -> Tensor:
    """Correlate each image with a kernel of its own, the border mirrored: (B, C, H, W), (B or 1, k, k) -> (B, C, H, W).

    Args:
        image: any range.
        kernels: with an odd side, best in float64.
        way: for all of them; None: what :func:`filter_ways` says if it says one form, else by the spectrum.

    Raises:
        ValueError: the kernels' side is even.
    """
    if kernels.shape[-1] % 2 == 0:
        raise ValueError(f"filter2d needs kernels with an odd side, got {kernels.shape[-1]}")
    if way is None:
        forms, radii = zip(*filter_ways(kernels, image.device), strict=True)
        way = Way(forms[0] if len(set(forms)) == 1 else "spectrum", max(radii))
    kernels = F.pad(kernels, (way.radius - kernels.shape[-1] // 2,) * 4)
    return {"lines": _by_lines, "direct": _directly, "spectrum": _by_spectrum}[way.form](image, kernels)


def filter_ways(kernels: Tensor, device: torch.device) -> list[Way]:
    """The quickest way for each of (N, k, k) with images on a device: on a GPU the one that takes all in one call."""
    side, strength = kernels.shape[-1], kernels.abs().flatten(1)
    if device.type != "cpu":
        return [Way("spectrum", side // 2)] * len(kernels)
    negligible = _NEGLIGIBLE * strength.sum(1)
    # A product of two lines is that of the lines through its peak.
    peak, each = strength.argmax(1), torch.arange(len(kernels), device=kernels.device)
    row, column = peak // side, peak % side
    product = kernels[each, :, column, None] * kernels[each, row, None] / kernels[each, row, column, None, None]
    is_product = (kernels - product).abs().sum((1, 2)) <= negligible
    # The kernel by rings around its centre, from the outermost: those before something counts are left out.
    offsets = (torch.arange(side, device=kernels.device) - side // 2).abs()
    rings = strength.new_zeros(len(kernels), side // 2 + 1)
    rings.index_add_(1, torch.maximum(offsets[:, None], offsets).flatten(), strength)
    radii = (rings.flip(1).cumsum(1)[:, :-1] > negligible[:, None]).sum(1)
    return [
        Way("lines", radius) if lines else Way("direct", radius) if radius <= _DIRECT else Way("spectrum", side // 2)
        for lines, radius in zip(is_product.tolist(), radii.tolist(), strict=True)
    ]


def _by_spectrum(image: Tensor, kernels: Tensor) -> Tensor:
    """In tiles, two of which are transformed as one complex image, which a real kernel does not mix."""
    batch, channels, height, width = image.shape
    beyond = kernels.shape[-1] - 1
    down, across = -(-height // _TILE), 2 * -(-width // (2 * _TILE))
    # The transform is periodic: what runs over the edge of a tile lands where it is cut off.
    rows, columns = _fast_length(-(-height // down) + beyond), _fast_length(-(-width // across) + beyond)
    kept = (rows - beyond, columns - beyond)
    padded = mirror_pad(image, beyond // 2, (down * kept[0] - height, across * kept[1] - width))
    tiles = padded.unfold(2, rows, kept[0]).unfold(3, columns, kept[1])
    pairs = torch.complex(tiles[:, :, :, ::2], tiles[:, :, :, 1::2])
    # Rows first: of the kernels, few have any.
    spectra = torch.fft.fft(torch.fft.fft(kernels.to(image).flip(1, 2), n=columns), n=rows, dim=1)
    filtered = torch.fft.ifft2(torch.fft.fft2(pairs).mul_(spectra[:, None, None, None]))[..., beyond:, beyond:]
    # (B, C, down, pairs across, rows, columns, which of the pair)
    joined = torch.view_as_real(filtered).permute(0, 1, 2, 4, 3, 6, 5).reshape(batch, channels, down * kept[0], -1)
    return joined[..., :height, :width]


def _directly(image: Tensor, kernels: Tensor) -> Tensor:
    """In strips: a convolution channel by channel is at its best with a multiple of 16 channels."""
    batch, channels, height, width = image.shape
    side = kernels.shape[-1]
    strips = 16 // math.gcd(16, batch * channels)
    rows = -(-height // strips)
    padded = mirror_pad(image, side // 2, (strips * rows - height, 0))
    parts = padded.unfold(2, rows + side - 1, rows).transpose(3, 4).reshape(1, -1, rows + side - 1, padded.shape[-1])
    groups = parts.shape[1]
    weight = kernels.to(image).repeat_interleave(groups // len(kernels), 0).unsqueeze(1)
    return F.conv2d(parts, weight, groups=groups).view(batch, channels, -1, width)[:, :, :height]


def _by_lines(image: Tensor, kernels: Tensor) -> Tensor:
    """By the lines through each kernel's peak, as products of one small banded matrix with all windows of a channel."""
    batch, channels, height, width = image.shape
    padded = mirror_pad(image, kernels.shape[-1] // 2, (-height % _LINES, -width % _LINES))
    filtered = []
    for planes, kernel in zip(padded, kernels.expand(batch, -1, -1), strict=True):
        row, column = divmod(int(kernel.abs().argmax()), len(kernel))
        down, across = (_band(line).to(image) for line in (kernel[:, column], kernel[row] / kernel[row, column]))
        for plane in planes:
            # Windows overlap, as views, which bmm does not copy: (count, seen, W), then (count, H, seen).
            windows = plane.unfold(0, down.shape[1], _LINES).transpose(1, 2)
            columns = torch.bmm(down.expand(len(windows), -1, -1), windows).flatten(0, 1)
            windows = columns.unfold(1, across.shape[1], _LINES).transpose(0, 1)
            filtered.append(torch.bmm(windows, across.T.expand(len(windows), -1, -1)).transpose(0, 1))
    return torch.stack(filtered).flatten(2).unflatten(0, (batch, channels))[..., :height, :width]


def _band(line: Tensor) -> Tensor:
    """What correlates `_LINES` outputs with a line of k: (_LINES, _LINES + k - 1), in each row one further right."""
    length = _LINES + len(line) - 1
    band = line.new_zeros(_LINES, length + 1)
    band[:, : len(line)] = line
    return band.flatten()[: _LINES * length].view(_LINES, length)


@functools.cache
def _fast_length(length: int) -> int:
    """The next even number without factors above 7: transforms of such lengths are faster."""
    length += length % 2
    rest = length
    for factor in (2, 3, 5, 7):
        while rest % factor == 0:
            rest //= factor
    return length if rest == 1 else _fast_length(length + 2)
