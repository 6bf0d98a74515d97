"""Reduction of GT to LQ by the kernels with which datasets are published: MATLAB's bicubic, Pillow's, area."""

import functools
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from PIL import Image

from srzoo.ops.resize import imresize

Kernel = Literal["matlab", "matlab-legacy", "pil", "area"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
# Scales whose bicubic weights are multiples of 1/4096: sums of their products with 8-bit levels have at most 22 bits,
# which float32 holds without any rounding, in whatever order they are added.
_EXACT = (2, 4)


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
    if image.dtype == np.uint8 and scale in _EXACT:
        return _reduced_exactly(image, scale, "symmetric" if kernel == "matlab" else "edge")
    border = "symmetric" if kernel == "matlab" else "replicate"
    chw = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))  # (C, H, W)
    if image.dtype == np.uint8:
        return imresize(chw, 1 / scale, border=border).numpy().transpose(1, 2, 0)  # (h, w, C)
    # No rounding between the two passes; for 16 bits the difference is far below one 8-bit level.
    small = imresize(chw.double(), 1 / scale, border=border).numpy().transpose(1, 2, 0)  # (h, w, C)
    return small.clip(0, np.iinfo(image.dtype).max).round().astype(image.dtype)


def _reduced_exactly(image: np.ndarray, scale: int, border: Literal["symmetric", "edge"]) -> np.ndarray:
    """Reduce (H, W, C) uint8 as ``imresize`` does, in half the time, for a scale of :data:`_EXACT`.

    All outputs have the same 4 * scale weights: input is cut into blocks of `scale` pixels, and an output is the sum
    over four neighbouring blocks.
    """
    weights = _weights(scale)  # (4, scale)
    (height, width, channels), reach = image.shape, 3 * scale // 2
    height, width = height // scale, width // scale
    padded = np.pad(image, ((reach, reach), (0, 0), (0, 0)), border)
    blocks = padded.reshape(height + 3, scale, -1).astype(np.float32)  # (h + 3, scale, W * C)
    products = np.matmul(weights, blocks)  # (h + 3, 4, W * C)
    small = _levels([products[part : height + part, part] for part in range(4)])  # (h, W * C)
    padded = np.pad(small.reshape(height, -1, channels), ((0, 0), (reach, reach), (0, 0)), border)
    blocks = padded.reshape(-1, scale * channels).astype(np.float32)  # (h * (w + 3), scale * C)
    # Weights of a pixel's channels, which are not mixed: (4, scale * C, C).
    apart = (weights[:, :, None, None] * np.eye(channels, dtype=np.float32)).reshape(4, -1, channels)
    products = np.matmul(blocks, apart).reshape(4, height, -1)  # (4, h, (w + 3) * C)
    row = width * channels
    small = _levels([products[part, :, part * channels : row + part * channels] for part in range(4)])  # (h, w * C)
    return small.reshape(height, width, channels)


def _levels(products: list[np.ndarray]) -> np.ndarray:
    """Add the products of four neighbouring blocks and round half up to uint8."""
    total = products[0] + products[1]
    total += products[2]
    total += products[3]
    total += np.float32(0.5)
    return np.clip(total, 0, 255, out=total).astype(np.uint8)  # which cuts fractions off


@functools.cache
def _weights(scale: int) -> np.ndarray:
    """Return the weights (4, scale) float32 of Keys' cubic kernel, a = -1/2, stretched by an even scale."""
    x = np.abs((np.arange(4 * scale) + 0.5) / scale - 2)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return (np.where(x <= 1, near, far) / scale).reshape(4, scale).astype(np.float32)


def _pillow(plane: np.ndarray, width: int, height: int) -> np.ndarray:
    """Reduce (H, W): Pillow filters bands separately, except for alpha, by which it would weight the colours."""
    if plane.dtype == np.uint8:
        return np.array(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
    # Pillow has no bicubic filter for 16 bits: its 32-bit floats are filtered alike, and rounded once.
    exact = Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(exact).clip(0, np.iinfo(plane.dtype).max).round().astype(plane.dtype)
