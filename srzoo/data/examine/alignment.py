"""Shift between LQ and GT by phase correlation, to a fraction of a pixel.

Kuglin and Hines, "The phase correlation image alignment method", Int. Conf. on Cybernetics and Society 1975; the peak
is refined by evaluating the inverse transform on ever finer grids around it, as in Guizar-Sicairos et al., "Efficient
subpixel image registration algorithms", Optics Letters 33(2), 2008. Written from the papers.
"""

from typing import NamedTuple

import cv2
import numpy as np

# Standard deviation of detail below which an image is too flat to measure on [levels].
_FLAT = 1.0
# Bands of frequencies, low to high, the finest first: pairs of cameras agree in coarse structure alone [cycles per
# pixel]. With each, the smallest shift that counts [LQ pixels]: coarse structure is placed less precisely; LQ with
# blur, noise and JPEG of quality 50 measured up to 0.15 in the second band.
_BANDS = ((0.02, 0.3, 0.0), (0.01, 0.12, 0.25), (0.01, 0.06, 0.5))
# Peak from which a band is fine enough; 1: LQ is GT, moved.
_CLEAR = 0.5
# Largest shift that is looked for [LQ pixels].
_REACH = 8
_STEPS = (0.5, 0.1, 0.02, 0.004)  # of the refinement [LQ pixels]
# Smallest shift that counts [GT pixels]. Over Set5, Set14 and 30 of BSD100 at x2, x3 and x4, planted shifts of 0.25 to
# 2.3 are found within 0.03, and LQ made by other antialiased kernels measures below 0.07. The three pairs of RealSR_x1
# measure 0.01 to 0.12, at peaks of 0.78 to 0.87 in the second band.
LEAST_SHIFT = 0.2
# What a peak below 1 adds to it [LQ pixels]: JPEG of quality 30 measured up to 0.15 at a peak of 0.75, cubic without
# antialiasing up to 0.13 at 0.6; `image[::2, ::2]`, a real shift, 0.25 at 0.75.
_DOUBT = 0.8


class Shift(NamedTuple):
    """Shift of LQ against GT: positive if its content lies further down and right.

    Args:
        down: [GT pixels].
        right: [GT pixels].
        peak: height of the correlation peak; 1 if LQ is GT, moved.
        least: shift that the method cannot tell from none at this peak [GT pixels].
    """

    down: float
    right: float
    peak: float
    least: float

    @property
    def counts(self) -> bool:
        """True if it is larger than the error of the method."""
        return self.peak >= _CLEAR and max(abs(self.down), abs(self.right)) > self.least


def shift_between(lq: np.ndarray, reduced: np.ndarray, scale: int) -> Shift | None:
    """Measure the shift of LQ against GT at the size of LQ; None if one of them is too flat or too small.

    Args:
        lq: luma (h, w), levels from 0 to 255.
        reduced: luma (h, w) of GT reduced to the size of LQ.
        scale: GT pixels per LQ pixel.
    """
    height, width = lq.shape
    if min(height, width) < 4 * _REACH:
        return None
    # Without coarse structure, whose jumps from border to border would correlate at zero shift.
    planes = [
        plane.astype(np.float64) - cv2.GaussianBlur(plane.astype(np.float64), (0, 0), 4) for plane in (lq, reduced)
    ]
    if min(float(plane.std()) for plane in planes) < _FLAT:
        return None
    window = np.outer(np.hanning(height), np.hanning(width))
    first, second = (np.fft.fft2(plane * window) for plane in planes)
    cross = first * np.conj(second)  # (h, w)
    cross /= np.maximum(np.abs(cross), 1e-12)
    y, x = np.fft.fftfreq(height), np.fft.fftfreq(width)
    radius = np.hypot(y[:, None], x[None])
    best = Shift(0.0, 0.0, 0.0, 0.0)
    for low, high, least in _BANDS:
        mask = (radius > low) & (radius < high)
        if mask.sum() < 200:  # too few waves for a peak
            break
        down, right, peak = _peak(np.where(mask, cross, 0), y, x, int(mask.sum()))
        if peak > best.peak:
            error = max(LEAST_SHIFT, least * scale, _DOUBT * (1 - peak) * scale)
            best = Shift(down * scale, right * scale, peak, error)
        if peak >= _CLEAR:
            break
    return best


def _peak(cross: np.ndarray, y: np.ndarray, x: np.ndarray, count: int) -> tuple[float, float, float]:
    """Return place (down, right) and height of the peak of a normalised cross spectrum (h, w) [pixels].

    Args:
        cross: of modulus 1 in its band, 0 elsewhere.
        y: frequencies of the rows [cycles per pixel].
        x: frequencies of the columns.
        count: number of frequencies in the band.
    """
    surface = np.fft.ifft2(cross).real
    rows, columns = np.rint(y * len(y)), np.rint(x * len(x))  # shifts that the entries stand for
    near = (np.abs(rows)[:, None] <= _REACH) & (np.abs(columns)[None] <= _REACH)
    row, column = np.unravel_index(np.argmax(np.where(near, surface, -np.inf)), surface.shape)
    down, right, height = float(rows[row]), float(columns[column]), 0.0
    offsets = np.arange(-10, 11) / 2
    for step in _STEPS:
        grid_y, grid_x = down + step * offsets, right + step * offsets
        # The inverse transform at the points of the grid alone, (21, h) @ (h, w) @ (w, 21).
        waves_y, waves_x = np.exp(2j * np.pi * np.outer(grid_y, y)), np.exp(2j * np.pi * np.outer(x, grid_x))
        values = np.real(waves_y @ cross @ waves_x) / count  # (21, 21)
        row, column = np.unravel_index(np.argmax(values), values.shape)
        down, right, height = float(grid_y[row]), float(grid_x[column]), float(values[row, column])
    return down, right, height
