"""Bicubic resampling that agrees with MATLAB's ``imresize``.

Kernel: R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 29(6), 1981, a = -1/2,
stretched by 1/scale when shrinking (antialiasing). Written from the definition. One pass per dimension.
"""

import functools
import math
from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from srzoo.ops.banded import BandedMatrix

Border = Literal["symmetric", "replicate"]

# Outputs per block and unit of scale: small enough that the blocks are not mostly zeros, large enough for efficient
# products (measured by scripts/benchmarks/resize.py).
_BLOCK = 16


def imresize(
    image: Tensor,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    *,
    antialias: bool = True,
    border: Border = "symmetric",
) -> Tensor:
    """Resize (..., H, W) bicubically to (..., ceil(scale*H), ceil(scale*W)) or to `size` = (height, width).

    Floating-point images (any range) are resampled differentiably, without rounding or clipping. uint8 images follow
    MATLAB: float64 arithmetic, rounding half up to uint8 after each of the two passes, the smaller factor first, rows
    first on a tie.

    Args:
        image: tensor (..., H, W), floating point or uint8, on any device.
        scale: factor of both dimensions; give either this or `size`.
        size: output (height, width); the factors are output / input.
        antialias: stretch the kernel when shrinking.
        border: "symmetric" mirrors with the edge pixel repeated (MATLAB today), "replicate" repeats the edge pixel
            (older MATLAB).

    Raises:
        ValueError: neither or both of `scale` and `size` are given, one is not positive, or the image has another
            integer type.
    """
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise ValueError(f"imresize: expected uint8 or a floating-point type, got {image.dtype}")
    if (scale is None) == (size is None):
        raise ValueError(f"imresize: give either scale or size, got scale={scale}, size={size}")
    height, width = image.shape[-2:]
    if scale is not None:
        if scale <= 0:
            raise ValueError(f"imresize: scale must be positive, got {scale}")
        targets = [(height, math.ceil(height * scale), scale), (width, math.ceil(width * scale), scale)]
    else:
        assert size is not None
        if min(size) < 1:
            raise ValueError(f"imresize: size must be positive, got {size}")
        targets = [(height, size[0], size[0] / height), (width, size[1], size[1] / width)]

    # MATLAB keeps uint8 between the passes: rounding twice reproduces the classic LR files bit for bit.
    rounded = image.dtype == torch.uint8
    result = image.double() if rounded else image
    # The smaller factor first, as in MATLAB; `sorted` is stable, so that rows come first on a tie.
    for axis in sorted((0, 1), key=lambda axis: targets[axis][2]):
        source, target, factor = targets[axis]
        if (source, factor) != (target, 1.0):
            result = _matrix(source, target, factor, antialias, border).apply(result, axis)
            if rounded:
                result = (result + 0.5).floor().clamp(0, 255)
    return result.to(image.dtype)


def imresize_bands(bands: Iterable[Tensor], source: tuple[int, int], size: tuple[int, int]) -> Iterator[Tensor]:
    """Resize a floating-point image that comes in bands of rows, as :func:`imresize` does up to rounding errors.

    Args:
        bands: (..., rows, W) from top to bottom.
        source: (height, width) of the image.
        size: output (height, width).

    Returns:
        iterator over bands (..., rows, width) of the output from top to bottom; their heights are arbitrary.
    """
    across, down = (
        None if old == new else _matrix(old, new, new / old, True, "symmetric")
        for old, new in ((source[1], size[1]), (source[0], size[0]))
    )
    narrowed = bands if across is None else (across.apply(band, 1) for band in bands)
    return iter(narrowed) if down is None else down.apply_to_bands(narrowed)


def _cubic(x: Tensor) -> Tensor:
    """Evaluate Keys' cubic kernel with a = -1/2; support [-2, 2]."""
    x = x.abs()
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


@functools.lru_cache(maxsize=256)
@torch.inference_mode(False)  # cached tensors must also work in training
def _matrix(source: int, target: int, factor: float, antialias: bool, border: Border) -> BandedMatrix:
    """Return the resampling matrix (target, source) of one axis."""
    stretch = factor if antialias and factor < 1 else 1.0
    support = 4.0 / stretch
    # Pixel centres: output k (from 0) lies at (k + 0.5) / factor - 0.5 of the input.
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) / factor - 0.5
    first = torch.floor(centre - support / 2)
    # Two more taps than the support, so that none is missed; those with weight 0 everywhere are dropped. (target, taps)
    index = first[:, None] + torch.arange(math.ceil(support) + 2, dtype=torch.float64)
    weight = stretch * _cubic(stretch * (centre[:, None] - index))
    weight = weight / weight.sum(1, keepdim=True)
    used = (weight != 0).any(0)
    index, weight = index[:, used].long(), weight[:, used]
    if border == "symmetric":
        # The mirrored image has period 2 * source.
        index = index % (2 * source)
        index = torch.where(index < source, index, 2 * source - 1 - index)
    else:
        index = index.clamp(0, source - 1)
    return BandedMatrix(index, weight, max(_BLOCK, round(_BLOCK * factor)))
