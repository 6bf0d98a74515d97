"""The kernel that an LQ file was made with: residual against GT reduced by each known one, in dB."""

import dataclasses
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from srzoo.data.examine.region import MARGIN, Region, levels
from srzoo.data.reduction import KERNELS, reduced

# Residual that stands for equal images [dB].
EXACT = 100.0
# A kernel explains a file from here on: double rounding, as in MATLAB, against single rounding is 53 to 56 dB; other
# kernels reach 50 on images without detail alone [dB].
EXPLAINED = 50.0
# By how much another kernel must explain a file better than the expected one [dB].
CLEARLY_BETTER = 6.0

_OPENCV: Mapping[str, int] = {
    "opencv-cubic": cv2.INTER_CUBIC,  # not antialiased, as opencv-linear
    "opencv-linear": cv2.INTER_LINEAR,
    "opencv-nearest": cv2.INTER_NEAREST,
    "opencv-lanczos": cv2.INTER_LANCZOS4,
}
# Kernel -> its description in messages.
NAMES: Mapping[str, str] = {
    "matlab": "MATLAB's bicubic",
    "matlab-legacy": "bicubic of older MATLAB releases (replicated border)",
    "pil": "Pillow's bicubic",
    "area": "block means (OpenCV's INTER_AREA)",
    "opencv-cubic": "OpenCV's INTER_CUBIC, which does not antialias",
    "opencv-linear": "OpenCV's INTER_LINEAR, which does not antialias",
    "opencv-nearest": "nearest neighbour, image[::scale, ::scale]",
    "opencv-lanczos": "OpenCV's INTER_LANCZOS4, which does not antialias",
}


def residuals(region: Region, scale: int, expected: str) -> dict[str, float]:
    """Return the residual of LQ against GT reduced by each known kernel [dB, peak 255], the expected one first.

    The others are left out if the expected one is exact. It is exact, too, for a tile cut from a larger LQ image, whose
    border no kernel can explain: it depends on pixels beyond the tile.
    """
    found = {expected: _residual(region, _reduction(expected), scale)}
    if found[expected] < EXACT:
        others = (name for name in (*KERNELS, *_OPENCV) if name != expected)
        found |= {name: _residual(region, _reduction(name), scale) for name in others}
        if max(found.values()) < EXACT and _is_exact_inside(region, _reduction(expected), scale):
            return {expected: EXACT}
    return found


def better_kernel(found: Mapping[str, float], expected: str) -> str | None:
    """Return the kernel that explains a file clearly better than the expected one; None if none does.

    A file that no kernel explains, such as that of a camera, has none.
    """
    best = max(found, key=lambda name: found[name])
    explains = found[best] >= EXPLAINED and found[best] >= found[expected] + CLEARLY_BETTER
    return best if explains else None


def _reduction(kernel: str) -> Callable[[np.ndarray, int], np.ndarray]:
    """Return the function (GT, scale) -> LQ of a known kernel."""
    for name in KERNELS:
        if name == kernel:
            return lambda image, scale: reduced(image, scale, name)
    return lambda image, scale: _by_opencv(image, scale, _OPENCV[kernel])


def _by_opencv(image: np.ndarray, scale: int, interpolation: int) -> np.ndarray:
    """Reduce (H, W, 3), whose sides are multiples of `scale`."""
    height, width = (side // scale for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=interpolation)


def _is_exact_inside(region: Region, reduction: Callable[[np.ndarray, int], np.ndarray], scale: int) -> bool:
    """Return True if LQ is reduced GT wherever no pixel beyond its border counts."""
    rows, columns = (slice(MARGIN, side - MARGIN) for side in region.lq.shape[:2])
    if min(region.lq.shape[:2]) <= 4 * MARGIN:  # a few equal pixels are no evidence
        return False
    return _residual(dataclasses.replace(region, inner=(rows, columns)), reduction, scale) == EXACT


def _residual(region: Region, reduction: Callable[[np.ndarray, int], np.ndarray], scale: int) -> float:
    """Return the PSNR between LQ and reduced GT over the inner part, at most EXACT [dB]."""
    difference = levels(region.lq)[region.inner] - levels(reduction(region.gt, scale))[region.inner]
    error = float(np.mean(np.square(difference), dtype=np.float64))
    return EXACT if error == 0 else min(EXACT, float(10 * np.log10(255**2 / error)))
