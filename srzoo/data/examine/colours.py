"""Order of the colour channels: the one in which LQ and GT of a pair agree."""

from itertools import permutations
from typing import NamedTuple

import numpy as np

# A swapped order must fit better by this [dB]: in swapped pairs of Set5 and Set14 it fits 40 dB better, and in pairs of
# cameras as they are, no other order fits better than theirs.
_CLEAR_GAIN = 3.0
# Mean difference of channels above which an image is coloured [levels].
_COLOURED = 4.0
# Residual below which all orders are as good as equal: an image that is nearly grey [levels squared].
_EQUAL = 4.0


class ChannelOrder(NamedTuple):
    """Order of LQ's channels that fits GT best.

    Args:
        order: of the channels as they are stored, "RGB" or, if swapped, "BGR" and so on.
        gain: by which it fits better than RGB [dB].
        lq_grey: LQ has no colour and GT does.
        gt_grey: GT has no colour and LQ does.
    """

    order: str
    gain: float
    lq_grey: bool
    gt_grey: bool


def channel_order(lq: np.ndarray, reduced: np.ndarray) -> ChannelOrder:
    """Find the channel order of LQ.

    Args:
        lq: (h, w, 3), levels from 0 to 255.
        reduced: (h, w, 3), GT reduced to the size of LQ.
    """
    colour, gt_colour = _colour(lq), _colour(reduced)
    lq_grey, gt_grey = colour == 0 and gt_colour > _COLOURED, gt_colour == 0 and colour > _COLOURED
    if lq_grey or gt_grey:
        return ChannelOrder("RGB", 0.0, lq_grey, gt_grey)
    # Error of each stored channel against each channel of GT, (3, 3).
    errors = np.array(
        [[np.mean(np.square(lq[..., i] - reduced[..., j]), dtype=np.float64) for j in range(3)] for i in range(3)]
    )
    # `order[j]` is the stored channel that holds colour j.
    sums = {order: float(np.mean([errors[order[j], j] for j in range(3)])) for order in permutations(range(3))}
    plain = sums[0, 1, 2]
    best = min(sums, key=lambda order: sums[order])
    gain = 10 * np.log10(max(plain, 1e-2) / max(sums[best], 1e-2))
    if plain < _EQUAL or gain < _CLEAR_GAIN:
        return ChannelOrder("RGB", 0.0, False, False)
    return ChannelOrder("".join("RGB"[best.index(channel)] for channel in range(3)), float(gain), False, False)


def in_order(pixels: np.ndarray, order: str) -> np.ndarray:
    """Return pixels (H, W, 3), stored in `order`, as RGB."""
    return pixels if order == "RGB" else np.ascontiguousarray(pixels[..., [order.index(name) for name in "RGB"]])


def _colour(image: np.ndarray) -> float:
    """Return the mean difference between the largest and the smallest channel [levels]."""
    return float((image.max(2) - image.min(2)).mean())
