"""Enlarging of training images that are smaller than a crop, as three programs do it."""

import math
from typing import Literal

import cv2
import numpy as np

# False: refuse small images; True: as "bicubic".
Enlarge = bool | Literal["bicubic", "each_side", "reflect"]


def enlarged(image: np.ndarray, least: int, scale: int, rule: Enlarge) -> np.ndarray:
    """Enlarge (H, W, C) so that both sides measure at least `least`; larger images are returned as they are.

    Args:
        image: uint8 or uint16.
        least: side of the training crop.
        scale: magnification, to whose multiples "each_side" crops first.
        rule: "bicubic" keeps the proportions; "each_side" enlarges each side separately, bilinearly and without
            rounding, as the ImageNet datasets of HAT and DRCT do (200x440 becomes 256x440); "reflect" mirrors the image
            at the bottom and right without repeating the edge, as Real-ESRGAN's dataset does.

    Returns:
        the enlarged image; from "each_side" float32 in [0, 1].
    """
    height, width = image.shape[:2]
    if not rule or min(height, width) >= least:
        return image
    if rule == "reflect":
        border = (0, max(0, least - height), 0, max(0, least - width))
        return _with_channels(cv2.copyMakeBorder(image, *border, cv2.BORDER_REFLECT_101))
    if rule == "each_side":
        height, width = height - height % scale, width - width % scale
        values = image[:height, :width].astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
        size = (max(width, least), max(height, least))
        return _with_channels(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR))
    # Rounded up, so that the longer side never falls short of a crop either.
    factor = least / min(height, width)
    size = (math.ceil(width * factor), math.ceil(height * factor))
    return _with_channels(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))


def _with_channels(image: np.ndarray) -> np.ndarray:
    """Return (H, W, C), of which OpenCV drops C = 1."""
    return np.ascontiguousarray(image).reshape(*image.shape[:2], -1)
