"""Perceptual hashes: 128 bits that stay nearly the same when an image is compressed or resized.

Half of the bits are signs of low DCT coefficients against their median (pHash: Zauner, "Implementation and
benchmarking of perceptual image hash functions", 2010), half are signs of horizontal differences (dHash).
"""

from dataclasses import dataclass

import cv2
import numpy as np

# Side of the grey picture that hashes are made from [pixels].
PICTURE = 32
# Standard deviation below which a picture has nothing to compare [levels]: sky, walls.
_FLAT = 6.0
_BASIS = np.cos((2 * np.arange(PICTURE)[None] + 1) * np.arange(8)[:, None] * np.pi / (2 * PICTURE))  # (8, 32)
# Share of column x in the n-th ninth of the width: (9, 32).
_NINTHS = np.clip(
    np.minimum(np.arange(9)[:, None] + 1, (np.arange(PICTURE)[None] + 1) * 9 / PICTURE)
    - np.maximum(np.arange(9)[:, None], np.arange(PICTURE)[None] * 9 / PICTURE),
    0,
    None,
)
_CHUNK = 4096  # pictures that are hashed at a time, for memory


@dataclass(frozen=True)
class Likeness:
    """A small picture of an image, for comparison.

    Args:
        picture: (32, 32) uint8, grey, the whole image whatever its proportions.
        height: of the image [pixels].
        width: of the image [pixels].
    """

    picture: np.ndarray
    height: int
    width: int


def likeness_of(rgb: np.ndarray) -> Likeness:
    """Reduce (H, W, 3) uint8 or uint16 to a small grey picture."""
    height, width = rgb.shape[:2]
    small = cv2.resize(np.ascontiguousarray(rgb), (PICTURE, PICTURE), interpolation=cv2.INTER_AREA)
    eight = (np.asarray(small) // 256).astype(np.uint8) if rgb.dtype == np.uint16 else small
    return Likeness(cv2.cvtColor(eight, cv2.COLOR_RGB2GRAY), height, width)


def are_flat(pictures: np.ndarray) -> np.ndarray:
    """Return True for pictures (N, 32, 32) without any structure to distinguish images by: (N,) bool."""
    flat = np.empty(len(pictures), bool)
    for start in range(0, len(pictures), _CHUNK):
        part = pictures[start : start + _CHUNK].astype(np.float32)
        flat[start : start + _CHUNK] = part.std((1, 2)) < _FLAT
    return flat


def hashes_of(pictures: np.ndarray) -> np.ndarray:
    """Return the hashes of pictures (N, 32, 32) uint8: (N, 16) uint8, 8 bytes of pHash, then 8 bytes of dHash."""
    parts = [_hashes_of(pictures[start : start + _CHUNK]) for start in range(0, len(pictures), _CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, 16), np.uint8)


def _hashes_of(pictures: np.ndarray) -> np.ndarray:
    values = pictures.astype(np.float32)
    low = (_BASIS @ values @ _BASIS.T).reshape(-1, 64)  # (N, 64)
    signs = low > np.median(low[:, 1:], axis=1, keepdims=True)
    signs[:, 0] = False  # the mean brightness is no structure
    # Means of 4 rows, and of 32 / 9 columns: nine columns have eight differences.
    cells = values.reshape(-1, 8, PICTURE // 8, PICTURE).mean(2) @ _NINTHS.T  # (N, 8, 9)
    rising = (np.diff(cells, axis=2) > 0).reshape(-1, 64)  # (N, 64)
    return np.packbits(np.concatenate([signs, rising], 1), axis=1)  # (N, 16)
