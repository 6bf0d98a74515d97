"""NumPy images as a network takes them, and its outputs as images of the same kind."""

import cv2
import numpy as np
from torch import Tensor

from srzoo import images


def to_tensor(image: np.ndarray, channels: int) -> Tensor:
    """Convert (H, W) or (H, W, C) of uint8, uint16 or floats in [0, 1] to (1, channels, H, W) float32 in [0, 1].

    Grey is repeated for a network of several channels.

    Raises:
        ValueError: another shape, type or range.
    """
    expected = f"expected an image (H, W, {channels}) or grey (H, W) of uint8, uint16 or floats in [0, 1]"
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{expected}, got {type(image).__name__}")
    if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] not in (1, channels)):
        hint = ": take alpha off and upscale it apart" if image.ndim == 3 and image.shape[2] in (2, 4) else ""
        raise ValueError(f"{expected}, got the shape {image.shape}{hint}")
    pixels = image[:, :, None] if image.ndim == 2 else image
    if pixels.dtype.kind == "f":
        pixels = pixels.astype(np.float32)
        refuse_range(pixels)
    elif pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{expected}, got {pixels.dtype}")
    tensor = images.to_tensor(pixels)[None]  # (1, C, H, W)
    return tensor.expand(-1, channels, -1, -1) if tensor.shape[1] != channels else tensor


def refuse_range(image: np.ndarray | Tensor) -> None:
    """Check that values are those of an image in [0, 1], apart from a little overshoot of an interpolation.

    Raises:
        ValueError: they go far beyond, or one is not a number.
    """
    if 0 in image.shape:
        return
    low, high = float(image.min()), float(image.max())
    # NaN fails both comparisons.
    if not (low >= -1 and high <= 2):
        raise ValueError(f"expected values in [0, 1], got {low:g} to {high:g}: divide 8-bit values by 255")


def from_tensor(sr: Tensor, like: np.ndarray) -> np.ndarray:
    """Convert an output (1, C, H, W) to an array of the type and number of dimensions of `like`; grey if that is."""
    image = sr[0]
    if like.dtype.kind == "f":
        pixels = image.permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, C)
    else:
        pixels = images.to_levels(image, 8 * like.dtype.itemsize)
    if pixels.shape[2] == 3 and (like.ndim == 2 or like.shape[2] == 1):
        # As Picture.grey: weights that add up to 1 keep grey values.
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
    return (pixels[:, :, 0] if like.ndim == 2 else pixels).astype(like.dtype, copy=False)
