"""Padding to a multiple of a size, or by the radius of a filter."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad (B, C, H, W) at the bottom and right until H and W are divisible by `multiple`.

    Mirrors without repeating the edge pixel where the image is large enough, else repeats the edge pixel.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not (bottom or right):
        return image
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode)


def mirrored(size: int, radius: int, beyond: int = 0) -> Tensor:
    """Return the source index of each pixel of a mirrored axis: (size + 2 * radius + beyond,).

    Mirrors without repeating the edge pixel, several times if `size` is smaller than the padding.

    Args:
        size: pixels of the axis.
        radius: pixels added at both ends.
        beyond: further pixels at the end.
    """
    index = torch.arange(-radius, size + radius + beyond)
    if size == 1:
        return torch.zeros_like(index)
    index = index % (2 * (size - 1))
    return torch.minimum(index, 2 * (size - 1) - index)


def mirror_pad(image: Tensor, radius: int, beyond: tuple[int, int] = (0, 0)) -> Tensor:
    """Pad (B, C, H, W) of any size by mirroring without repeating the edge pixel.

    Args:
        image: any range.
        radius: pixels added on each side.
        beyond: further rows at the bottom and columns at the right.
    """
    bottom, right = (radius + more for more in beyond)
    if image.shape[-2] > bottom and image.shape[-1] > right:
        return F.pad(image, (radius, right, radius, bottom), mode="reflect")
    for dim, more in zip((2, 3), beyond, strict=True):
        image = image.index_select(dim, mirrored(image.shape[dim], radius, more).to(image.device))
    return image
