"""GT that was compressed as JPEG before: coefficients of its 8x8 blocks are multiples of JPEG's quantisation steps.

Steps show in the histogram of each coefficient as a comb, with blocks at the right places alone. Fan and de Queiroz,
"Identification of bitmap compression history: JPEG detection and quantizer estimation", IEEE TIP 12(2), 2003; here the
strength of the comb is the mean of cos(2 pi c / q), compared with that of blocks at other places.
"""

from typing import NamedTuple

import numpy as np

from srzoo.data.examine.region import centre

_SIDE = 320  # of the part that is examined [pixels]
# Coefficients (row, column) that are examined: the 14 lowest frequencies of the zigzag after the mean.
_COEFFICIENTS = (
    (0, 1),
    (1, 0),
    (2, 0),
    (1, 1),
    (0, 2),
    (0, 3),
    (1, 2),
    (2, 1),
    (3, 0),
    (4, 0),
    (3, 1),
    (2, 2),
    (1, 3),
    (0, 4),
)
# Their steps at quality 50, table K.1 of ITU-T T.81.
_STEPS_AT_50 = (11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24)
_STEPS = np.arange(2, 41)
_LEAST_SAMPLES = 60
_OTHER_PLACES = ((4, 4), (0, 4), (3, 5))
# Median strength over the coefficients from which an image was compressed: 0.02 to 0.13 in 40 images of Set5, Set14
# and BSD100 that were not or at quality 95 (whose steps are 1 and 2), 0.34 to 0.73 in four of Set14 that were and seem
# to be edited since, 0.58 and more at quality 90, 0.77 and more at 75.
COMPRESSED = 0.3

# Basis of the 8-point DCT, orthonormal: (frequency, place).
_DCT = np.cos((2 * np.arange(8)[None] + 1) * np.arange(8)[:, None] * np.pi / 16) * 0.5
_DCT[0] /= np.sqrt(2)
_DCT = _DCT.astype(np.float32)


class Compression(NamedTuple):
    """Traces of JPEG.

    Args:
        strength: median strength of the combs: 0 none, near 1 clear.
        quality: JPEG quality whose standard table is nearest to the steps found.
        step: median step of the coefficients [levels].
    """

    strength: float
    quality: int
    step: float

    @property
    def counts(self) -> bool:
        """True if the image was compressed."""
        return self.strength > COMPRESSED


def jpeg_traces(luma: np.ndarray) -> Compression | None:
    """Look for the 8x8 grid of JPEG, at the corner of the image or where edges of blocks are strongest.

    Args:
        luma: (H, W), levels from 0 to 255; None for images smaller than four blocks.
    """
    if min(luma.shape) < 40:
        return None
    plane = centre(luma, _SIDE)
    places = dict.fromkeys([(0, 0), (_edge_phase(plane.T), _edge_phase(plane))])
    return max((_at(plane, place) for place in places), key=lambda found: found.strength)


def _at(plane: np.ndarray, place: tuple[int, int]) -> Compression:
    """Examine the grid that begins at `place` (top, left)."""
    top, left = place
    excess = _combs(plane[top:, left:])  # (coefficients, steps)
    # Other places can only lower the strength, so that most images need none of them.
    if np.median(excess.max(1)) > COMPRESSED:
        others = [_combs(plane[top + y :, left + x :]) for y, x in _OTHER_PLACES]
        excess = excess - np.maximum.reduce([*others, np.zeros_like(excess)])
    strengths, steps = excess.max(1), _STEPS[excess.argmax(1)]
    return Compression(float(np.median(strengths)), _quality(steps, strengths), float(np.median(steps)))


def _combs(plane: np.ndarray) -> np.ndarray:
    """Return the strength of the comb of each coefficient and step: mean of cos(2 pi c / q) over |c| > 0.6 q."""
    height, width = (side // 8 for side in plane.shape)
    blocks = (
        plane[: height * 8, : width * 8].reshape(height, 8, width, 8).transpose(0, 2, 1, 3)
    )  # (rows, columns, 8, 8)
    coefficients = np.abs(_DCT @ blocks @ _DCT.T).reshape(-1, 8, 8)  # (blocks, 8, 8)
    strengths = np.zeros((len(_COEFFICIENTS), len(_STEPS)))
    for number, (row, column) in enumerate(_COEFFICIENTS):
        values = coefficients[:, row, column]
        for position, step in enumerate(_STEPS):
            # Zero is a multiple of every step, and small values would follow it.
            large = values[values > 0.6 * step]
            if len(large) >= _LEAST_SAMPLES:
                strengths[number, position] = np.cos(large * (2 * np.pi / step)).mean()
    return strengths


def _quality(steps: np.ndarray, strengths: np.ndarray) -> int:
    """Return the quality whose standard table is nearest to the steps, weighted by their strengths."""
    at_50 = np.array(_STEPS_AT_50)

    def distance(quality: int) -> float:
        percent = 5000 / quality if quality < 50 else 200 - 2 * quality
        table = np.maximum((at_50 * percent + 50) // 100, 1)
        return float((np.maximum(strengths, 0) * np.abs(np.log(steps / table))).sum())

    return min(range(98, 9, -1), key=distance)  # of equal tables, the highest quality


def _edge_phase(plane: np.ndarray) -> int:
    """Return the column, modulo 8, at which the blocks of (H, W) begin, by the strength of vertical edges."""
    # Strong edges belong to the picture.
    edges = np.minimum(np.abs(np.diff(plane, axis=1)), 20).mean(0)  # (W - 1,), between column x and x + 1
    excess = edges[1:-1] - (edges[:-2] + edges[2:]) / 2  # at columns 1, 2, ...
    count = len(excess) // 8 * 8
    phases = excess[:count].reshape(-1, 8).mean(0)  # (8,), of columns 1 to 8
    # An edge between x and x + 1 begins a block at x + 1.
    return (int(np.argmax(phases)) + 2) % 8
