"""Near-duplicates: images that show the same picture, compressed again, resized or mirrored.

Candidates share a 16-bit band of their hashes, so that 100,000 images need no comparison of all pairs; they are
confirmed by their small pictures, and at last by the detail of the images themselves.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from srzoo.data.examine.perceptual import PICTURE, Likeness, are_flat, hashes_of
from srzoo.data.examine.region import luma_levels

# Number of differing bits, of 128, up to which hashes are alike.
_BITS = 20
# Correlation of small pictures from which they are alike, and their largest mean difference [levels].
_CORRELATION, _DIFFERENCE = 0.98, 8.0
# Largest ratio between the proportions of two images.
_PROPORTIONS = 1.04
# Side at which detail is compared [pixels]: coarse enough for a copy that lacks two rows and columns at the borders
# (Set5's head in Set14 correlates by 0.73).
_SIDE = 128
# Correlation from which detail is alike: JPEG of quality 10 keeps 0.86, reduction to a third 0.76.
_SAME_DETAIL = 0.6
_LEAST_DETAIL = 1.0  # standard deviation without which there is nothing to compare [levels]
# Neighbours in the order of a band that are compared: thousands of images share one only where they are plain.
_NEIGHBOURS = 500
_COUNTS = np.array([bin(value).count("1") for value in range(256)], np.uint8)


class LikelyCopy(NamedTuple):
    """Two images that may be one picture.

    Args:
        first: index.
        second: index, larger than `first`.
        mirrored: one of them is mirrored left-right.
        bits: number of bits in which their hashes differ, of 128.
    """

    first: int
    second: int
    mirrored: bool
    bits: int


def likely_copies(images: Sequence[Likeness]) -> list[LikelyCopy]:
    """Return the pairs of images whose small pictures are alike, each once, in order; flat images are left out."""
    pictures = np.array([image.picture for image in images], np.uint8).reshape(-1, PICTURE, PICTURE)  # (N, 32, 32)
    (kept,) = np.nonzero(~are_flat(pictures))
    pictures, count = pictures[kept], len(kept)
    if count < 2:
        return []
    proportions = np.array([image.width / image.height for image in images])[kept]
    # Mirrored pictures come second: 2N hashes, of which two mirrored ones are never compared.
    hashes = np.concatenate([hashes_of(pictures), hashes_of(pictures[:, :, ::-1])])  # (2N, 16)
    found: dict[tuple[int, int], LikelyCopy] = {}
    for one, other, bits in _alike(hashes):
        first, second, mirrored = one % count, other % count, (one >= count) != (other >= count)
        ratio = proportions[first] / proportions[second]
        fit = (first != second) & ((one < count) | (other < count))
        fit &= (ratio < _PROPORTIONS) & (ratio > 1 / _PROPORTIONS)
        fit[fit] = _look_alike(pictures[first[fit]], pictures[second[fit]], mirrored[fit])
        for a, b, turned, distance in zip(first[fit], second[fit], mirrored[fit], bits[fit], strict=True):
            pair = (int(kept[min(a, b)]), int(kept[max(a, b)]))
            known = found.get(pair)
            if known is None or distance < known.bits:
                found[pair] = LikelyCopy(*pair, bool(turned), int(distance))
    return [found[pair] for pair in sorted(found)]


def _alike(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (indices, indices, differing bits) of hashes (N, 16) that share a band and differ in few bits."""
    bands, halves = hashes.view(np.uint16), hashes.view(np.uint64)  # (N, 8) and (N, 2)
    for band in bands.T:
        # Hashes that share the band lie together, equal ones next to each other.
        order = np.lexsort((halves[:, 1], halves[:, 0], band))
        values = band[order]
        for apart in range(1, min(_NEIGHBOURS, len(values))):
            (places,) = np.nonzero(values[apart:] == values[:-apart])
            if not len(places):
                break
            one, other = order[places], order[places + apart]
            bits = _COUNTS[hashes[one] ^ hashes[other]].sum(1, dtype=np.int64)
            near = bits <= _BITS
            yield one[near], other[near], bits[near]


def _look_alike(first: np.ndarray, second: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Return where small pictures (N, 32, 32) are alike, the second ones mirrored where `mirrored` (N,) says so."""
    one = first.astype(np.float32)
    other = np.where(mirrored[:, None, None], second[:, :, ::-1], second).astype(np.float32)
    difference = np.abs(one - other).mean((1, 2))
    one, other = (values - values.mean((1, 2), keepdims=True) for values in (one, other))
    norms = np.sqrt(np.square(one).sum((1, 2)) * np.square(other).sum((1, 2)))
    correlation = (one * other).sum((1, 2)) / np.maximum(norms, 1e-6)
    return (difference <= _DIFFERENCE) & (correlation >= _CORRELATION)


def same_picture(first: np.ndarray, second: np.ndarray, mirrored: bool) -> float:
    """Return the correlation of the detail of two images (H, W, 3), from -1 to 1; 0 if one has too little."""
    side = min(_SIDE, *first.shape[:2], *second.shape[:2])
    planes = [_detail(image, side) for image in (first, second[:, ::-1] if mirrored else second)]
    if min(float(plane.std()) for plane in planes) < _LEAST_DETAIL:
        return 0.0
    return float(np.corrcoef(planes[0].ravel(), planes[1].ravel())[0, 1])


def is_same(correlation: float) -> bool:
    """Return True if the detail of two images is that of one picture."""
    return correlation >= _SAME_DETAIL


def _detail(image: np.ndarray, side: int) -> np.ndarray:
    """Return the fine structure of an image (H, W, 3) at side x side: luma without its coarse structure."""
    small = cv2.resize(luma_levels(image), (side, side), interpolation=cv2.INTER_AREA)
    return small - cv2.GaussianBlur(small, (0, 0), 2)
