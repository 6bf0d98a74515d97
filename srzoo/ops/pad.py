"""Padding: to a size that a network can take, or around what a filter sees."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Enlarge (B, C, H, W) at the bottom and right so that `multiple` divides H and W.

    Mirrors without repeating the edge where the image is large enough, else repeats the edge pixel.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not (bottom or right):
        return image
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode)


def mirrored(size: int, radius: int, beyond: int = 0) -> Tensor:
    """Where each pixel comes from when `radius` more are put at both ends: (size + 2 * radius + beyond,) indices.

    Mirrored without repeating the edge, as often as a small image needs.
    """
    index = torch.arange(-radius, size + radius + beyond)
    if size == 1:
        return torch.zeros_like(index)
    index = index % (2 * (size - 1))
    return torch.minimum(index, 2 * (size - 1) - index)


def mirror_pad(image: Tensor, radius: int, beyond: tuple[int, int] = (0, 0)) -> Tensor:
    """(B, C, H, W) with `radius` more pixels on each side, mirrored without repeating the edge; any size.

    Args:
        image: any range.
        radius: pixels on each side.
        beyond: further rows at the bottom and columns at the right.
    """
    bottom, right = (radius + more for more in beyond)
    if image.shape[-2] > bottom and image.shape[-1] > right:
        return F.pad(image, (radius, right, radius, bottom), mode="reflect")
    for dim, more in zip((2, 3), beyond, strict=True):
        image = image.index_select(dim, mirrored(image.shape[dim], radius, more).to(image.device))
    return image
