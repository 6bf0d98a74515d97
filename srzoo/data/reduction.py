"""Reduction of GT to LQ by the kernels with which datasets are published: MATLAB's bicubic, Pillow's, area."""

from typing import Literal, get_args

import cv2
import numpy as np
import torch
from PIL import Image

from srzoo.ops.resize import imresize

Kernel = Literal["matlab", "matlab-legacy", "pil", "area"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)


def reduced(image: np.ndarray, scale: int, kernel: Kernel = "matlab") -> np.ndarray:
    """Reduce (H, W, C) uint8 or uint16 to (H / scale, W / scale, C) of the same type; channels are independent.

    Args:
        image: its sides are multiples of `scale`.
        scale: factor of the reduction.
        kernel: matlab: ``imresize`` (bicubic, antialiased, symmetric border; uint8 is rounded after each pass, as in
            MATLAB, uint16 once); matlab-legacy: the same with the replicated border of older releases; pil: Pillow's
            bicubic filter, antialiased too; area: means of scale x scale blocks, by OpenCV.
    """
    height, width = (side // scale for side in image.shape[:2])
    if kernel == "area":
        small = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_AREA)
        return small.reshape(height, width, image.shape[2])  # OpenCV drops a single channel
    if kernel == "pil":
        planes = [_pillow(image[:, :, channel], width, height) for channel in range(image.shape[2])]
        return np.stack(planes, 2)  # (h, w, C)
    border = "symmetric" if kernel == "matlab" else "replicate"
    chw = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))  # (C, H, W)
    if image.dtype == np.uint8:
        return imresize(chw, 1 / scale, border=border).numpy().transpose(1, 2, 0)  # (h, w, C)
    # No rounding between the two passes; for 16 bits the difference is far below one 8-bit level.
    small = imresize(chw.double(), 1 / scale, border=border).numpy().transpose(1, 2, 0)  # (h, w, C)
    return small.clip(0, np.iinfo(image.dtype).max).round().astype(image.dtype)


def _pillow(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    """Reduce (H, W): Pillow filters bands separately, except for alpha, by which it would weight the colours."""
    if plane.dtype == np.uint8:
        return np.array(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
    # Pillow has no bicubic filter for 16 bits: its 32-bit floats are filtered alike, and rounded once.
    exact = Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(exact).clip(0, np.iinfo(plane.dtype).max).round().astype(plane.dtype)
