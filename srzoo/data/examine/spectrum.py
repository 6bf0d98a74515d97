"""GT that was enlarged: its spectrum ends at a fraction of Nyquist, in rows and columns alike.

Photographs fall off smoothly: sharpness differs from place to place, so the blocks with the most detail decide. An
enlarged image has a cliff at the Nyquist frequency of the image that it was enlarged from.
"""

from typing import NamedTuple

import numpy as np

from srzoo.data.examine.region import centre

_BLOCK = 64  # side of the blocks that are transformed [pixels]
_SIDE = 512  # of the part that is examined [pixels]
_SHARPEST = 4  # one in so many blocks is used, and at least as many
_LEAST_BLOCKS = 9  # that an image must have
# Frequencies across, up to which spectra are averaged [cycles per block]: below the cliff of an enlargement by 4.
_NEAR = 8
# (End of a range of places [cycles per block], height from which a cliff counts there [dB]). Largest over a third of
# BSDS400 and BSD100, Set14, Set5 and RealSR_x1: 10.6, 10.2, 9.4, 8.3 and 7.1 in the five ranges (15.5 in the first for
# small tiles of sky); none of all 500 images of BSDS400 and BSD100 is nearer to the threshold than 2 dB. Smallest over
# 14 images enlarged by OpenCV's cubic filter: 10.2 (x1.5, last range), 15.6 (x2), 17.3 (x3) and 22.2 (x4); by its
# Lanczos filter 15.8 and more. The linear filter is found from x2 on. A Gaussian blur of sigma 1 counts too: it leaves
# no fine detail either.
_HEIGHTS = ((10, 18.0), (14, 15.0), (27, 12.0), (29, 10.0), (31, 8.5))
# Cliffs of known factors, measured for cubic and Lanczos filters [cycles per block] -> factor.
_PLACES = (9.0, 12.7, 16.0, 20.0, 27.0, 30.0)
_FACTORS = (4.0, 3.0, 2.5, 2.0, 1.5, 1.3)
_USUAL = (1.5, 2.0, 3.0, 4.0)


class Cliff(NamedTuple):
    """The steepest fall of a spectrum.

    Args:
        place: fraction of Nyquist, above which there is next to nothing.
        height: [dB].
        least: height that counts at this place [dB].
        factor: by which an image with such a spectrum was enlarged, about.
    """

    place: float
    height: float
    least: float
    factor: float

    @property
    def counts(self) -> bool:
        """True if photographs have no such fall."""
        return self.height > self.least


def spectral_cliff(luma: np.ndarray) -> Cliff | None:
    """Find the steepest fall that the spectra of rows and columns share; None for images too small or too flat.

    Args:
        luma: (H, W), levels from 0 to 255.
    """
    blocks = _blocks(centre(luma, _SIDE))
    if len(blocks) < _LEAST_BLOCKS:
        return None
    blocks = blocks - blocks.mean((1, 2), keepdims=True)
    detail = np.abs(np.diff(blocks, axis=1)).mean((1, 2)) + np.abs(np.diff(blocks, axis=2)).mean((1, 2))
    sharpest = np.argsort(detail)[-max(_SHARPEST, len(blocks) // _SHARPEST) :]
    if detail[sharpest[-1]] < 1:  # one level: nothing but rounding
        return None
    window = np.outer(np.hanning(_BLOCK), np.hanning(_BLOCK))
    power = np.square(np.abs(np.fft.fft2(blocks[sharpest] * window))).mean(0) / np.square(window).sum()
    falls = [_falls(_profile(power, axis)) for axis in (0, 1)]
    # A fall counts where both axes have it, two bins further or nearer included.
    shared = {
        place: min(max(fall[near] for near in range(place - 2, place + 3) if near in fall) for fall in falls)
        for place in falls[0]
        if place >= 8
    }
    place = max(shared, key=lambda place: shared[place] - _least(place))
    around = [near for near in falls[0] if abs(near - place) <= 4]
    exact = max(around, key=lambda near: falls[0][near] + falls[1][near])
    return Cliff(exact / (_BLOCK // 2), shared[place], _least(place), _factor(exact))


def _blocks(plane: np.ndarray) -> np.ndarray:
    """Cut (H, W) into half-overlapping blocks: (N, _BLOCK, _BLOCK)."""
    tops, lefts = (range(0, length - _BLOCK + 1, _BLOCK // 2) for length in plane.shape)
    blocks = [plane[top : top + _BLOCK, left : left + _BLOCK] for top in tops for left in lefts]
    return np.stack(blocks) if blocks else np.empty((0, _BLOCK, _BLOCK))


def _profile(power: np.ndarray, axis: int) -> np.ndarray:
    """Average a power spectrum (_BLOCK, _BLOCK) over the low frequencies of an axis: (_BLOCK / 2 + 1,) [dB]."""
    near = np.flatnonzero(np.abs(np.rint(np.fft.fftfreq(_BLOCK, 1 / _BLOCK))) <= _NEAR)
    part = np.take(power, near, axis) + 1e-3
    # Means of decibels: periodic textures have few frequencies, which would decide means of power.
    return (10 * np.log10(part)).mean(axis)[: _BLOCK // 2 + 1]


def _falls(decibels: np.ndarray) -> dict[int, float]:
    """Return how far a spectrum falls around each place: mean of three bins before it minus three after [dB]."""
    return {
        place: float(decibels[place - 4 : place - 1].mean() - decibels[place + 2 : place + 5].mean())
        for place in range(6, 31)
    }


def _least(place: int) -> float:
    return next(height for end, height in _HEIGHTS if place < end)


def _factor(place: float) -> float:
    """Return the factor of an enlargement by the place of its cliff; the nearest usual one within 16 %."""
    factor = float(np.interp(place, _PLACES, _FACTORS))
    near = min(_USUAL, key=lambda usual: abs(usual - factor))
    return near if abs(near / factor - 1) < 0.16 else round(factor, 1)
