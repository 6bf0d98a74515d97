"""Crops as levels: 8-bit pixels on the way to the device, where they become numbers in [0, 1] and are flipped.

A batch of levels is a quarter of the size of one of float32, and its conversion is the device's work, not a worker's.
"""

import mmap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

# Entry of a batch of levels that its other tensors are to be flipped by.
FLIPS = "flips"
# Left-right, top-bottom, transpose: flips in this order.
Orientation = tuple[bool, bool, bool]
_WHITE = 255.0


class Crop(NamedTuple):
    """A training crop before conversion and flips.

    Args:
        images: by name (H, W, C) uint8 or uint16, or float32 in [0, 1].
        flips: (3,) bool: left-right, top-bottom, transpose, to be done in this order.
        key: of the pair.
        skipped: image that this one replaces, "" for none; None: replacements are not allowed.
    """

    images: Mapping[str, np.ndarray]
    flips: np.ndarray
    key: str
    skipped: str | None = None

    def alone(self) -> "Crop":
        """Return the crop without the image around it, which it would keep in memory; mapped files are left alone."""
        images = {name: image if _is_mapped(image) else image.copy() for name, image in self.images.items()}
        return self._replace(images=images)


def _is_mapped(image: np.ndarray) -> bool:
    owner: object = image
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    return isinstance(owner, (np.memmap, mmap.mmap))


def collate_crops(crops: Sequence[Crop]) -> dict[str, object]:
    """Stack crops: by name (B, H, W, C) uint8, or float32 unless all have 8 bits; "flips": (B, 3) uint8; "key"."""
    batch: dict[str, object] = {name: _stacked([crop.images[name] for crop in crops]) for name in crops[0].images}
    batch[FLIPS] = torch.from_numpy(np.stack([crop.flips for crop in crops]).astype(np.uint8))
    batch["key"] = [crop.key for crop in crops]
    if crops[0].skipped is not None:
        batch["skipped"] = [crop.skipped for crop in crops]
    return batch


def _stacked(images: Sequence[np.ndarray]) -> Tensor:
    if any(image.dtype != np.uint8 for image in images):
        images = [_normalised_here(image) for image in images]
    stack = torch.from_numpy(np.empty((len(images), *images[0].shape), images[0].dtype))  # (B, H, W, C)
    if get_worker_info() is not None:
        # Written to memory that the main process reads, pixels are copied once.
        stack = torch.empty_like(stack).share_memory_()
    # Assignment by NumPy: torch would warn of maps that cannot be written to.
    array = stack.numpy()
    for number, image in enumerate(images):
        array[number] = image
    return stack


def finished(batch: Mapping[str, object]) -> dict[str, object]:
    """Convert a batch of levels to (B, C, H, W) float32 in [0, 1], flipped, on its device; others pass unchanged."""
    flips = batch.get(FLIPS)
    if not isinstance(flips, Tensor):
        return dict(batch)
    orientations = [(bool(h), bool(v), bool(t)) for h, v, t in flips.tolist()]
    return {
        name: _converted(value, orientations) if isinstance(value, Tensor) else value
        for name, value in batch.items()
        if name != FLIPS
    }


def _converted(images: Tensor, orientations: Sequence[Orientation]) -> Tensor:
    """Convert (B, H, W, C) levels, or float32 in [0, 1], to flipped (B, C, H, W) float32 in [0, 1]."""
    if images.device.type == "cpu":
        return _converted_one_by_one(images, orientations)
    return converted_together(images, orientations)


def converted_together(images: Tensor, orientations: Sequence[Orientation]) -> Tensor:
    """Convert as :func:`_converted` does, in few operations on the whole batch, for GPUs."""
    planes = _flipped(images, orientations).permute(0, 3, 1, 2).contiguous()  # (B, C, H, W)
    if planes.dtype == torch.float32:
        return planes
    # By a tensor on the device: CUDA multiplies by the rounded reciprocal of a plain number.
    return planes.to(torch.float32) / torch.tensor(_WHITE, device=planes.device)


def _converted_one_by_one(images: Tensor, orientations: Sequence[Orientation]) -> Tensor:
    """Convert as :func:`_converted` does, image by image, which is five times as fast on a CPU."""
    batch, height, width, channels = images.shape
    result = np.empty((batch, channels, height, width), np.float32)
    for number, (image, (horizontal, vertical, transpose)) in enumerate(zip(images.numpy(), orientations, strict=True)):
        image = image[:, ::-1] if horizontal else image
        image = image[::-1] if vertical else image
        planes = image.transpose(2, 1, 0) if transpose else image.transpose(2, 0, 1)  # (C, H, W)
        result[number] = np.ascontiguousarray(planes)  # bytes are put in order faster than floats
    if images.dtype != torch.float32:
        result /= np.float32(_WHITE)
    return torch.from_numpy(result)


def _normalised_here(image: np.ndarray) -> np.ndarray:
    """Convert an image of any depth to float32 in [0, 1]."""
    if image.dtype == np.float32:
        return image
    return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)


def _flipped(images: Tensor, orientations: Sequence[Orientation]) -> Tensor:
    """Flip (B, H, W, C) left-right, top-bottom, and transpose it, in this order; equal orientations together."""
    result = torch.empty_like(images)
    for orientation in set(orientations):
        horizontal, vertical, transpose = orientation
        members = [number for number, other in enumerate(orientations) if other == orientation]
        part = images[members].flip([2] * horizontal + [1] * vertical)
        result[members] = part.transpose(1, 2) if transpose else part  # (b, W, H, C), with W = H
    return result
