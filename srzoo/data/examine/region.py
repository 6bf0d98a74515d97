"""The part of a pair that is examined: large enough to measure on, small enough for a quick look at many images."""

from dataclasses import dataclass

import numpy as np

# Longest side of the part that is examined [GT pixels].
SIDE = 768
# LQ pixels at a cut that depend on GT pixels beyond it: the antialiased cubic kernel reaches 2; one is spare.
MARGIN = 3
# BT.601 for levels from 0 to 255.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Region:
    """Corresponding parts of LQ and GT.

    Args:
        lq: (h, w, 3) uint8 or uint16.
        gt: (scale*h, scale*w, 3) uint8 or uint16.
        inner: rows and columns of `lq` that depend on `gt` alone, not on pixels beyond a cut.
    """

    lq: np.ndarray
    gt: np.ndarray
    inner: tuple[slice, slice]


def region_of(lq: np.ndarray, gt: np.ndarray, scale: int) -> Region | None:
    """Cut a region from LQ (h, w, 3) and GT (H, W, 3): at the left border, in the middle of the height.

    Kernels differ most at the borders of an image, so one border is part of it. GT that is larger than scale times LQ
    is cut at the bottom and right first, as datasets do. None if GT is smaller than that.
    """
    height, width = lq.shape[:2]
    if gt.shape[0] < height * scale or gt.shape[1] < width * scale:
        return None
    side = max(SIDE // scale, 1)
    rows, columns = min(height, side), min(width, side)
    top = (height - rows) // 2
    above = MARGIN if top > 0 else 0
    below = MARGIN if top + rows < height else 0
    right = MARGIN if columns < width else 0
    inner = slice(above, rows - below), slice(0, columns - right)
    part = lq[top : top + rows, :columns]
    gt_part = gt[top * scale : (top + rows) * scale, : columns * scale]
    return Region(np.ascontiguousarray(part), np.ascontiguousarray(gt_part), inner)


def levels(pixels: np.ndarray) -> np.ndarray:
    """Convert uint8 or uint16 to float32 levels from 0 to 255."""
    values = pixels.astype(np.float32)
    return values / 257 if pixels.dtype == np.uint16 else values


def luma_levels(rgb: np.ndarray) -> np.ndarray:
    """Convert (H, W, 3) uint8 or uint16 to luma (H, W), float32 from 0 to 255."""
    return levels(rgb) @ _LUMA  # (H, W)


def centre(image: np.ndarray, side: int, multiple: int = 8) -> np.ndarray:
    """Cut the middle of (H, W) or (H, W, C), at most side x side; it begins at a multiple of `multiple`."""
    top, left = (max(0, (length - side) // 2) // multiple * multiple for length in image.shape[:2])
    return image[top : top + side, left : left + side]
