"""Padding to a multiple of a size, or by the radius of a filter."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad (B, C, H, W) at the bottom and right until H and W are divisible by `multiple`; :func:`crop` undoes it.

    Mirrors without repeating the edge pixel where the image is large enough, else repeats the edge pixel. Works with
    symbolic sizes of at least `multiple` too.
    """
    height, width = image.shape[-2:]
    if _symbolic(height) or _symbolic(width):
        return _pad_symbolic(image, multiple)
    bottom, right = -height % multiple, -width % multiple
    if not (bottom or right):
        return image
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode)


def crop(image: Tensor, height: int, width: int) -> Tensor:
    """Cut (B, C, H, W) at the bottom and right to (B, C, height, width)."""
    if _symbolic(height) or _symbolic(width):
        # torch.export cannot prove that a slice ends inside a padded image; negative padding needs no proof.
        return F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]))
    return image[..., :height, :width]


def _symbolic(side: int) -> bool:
    """Return True for a side that varies, in a graph that torch.export or torch.jit.trace records."""
    strict_export = torch.compiler.is_dynamo_compiling() and torch.compiler.is_exporting()  # hides symbols behind int
    return strict_export or not isinstance(side, int)


def _pad_symbolic(image: Tensor, multiple: int) -> Tensor:
    """Mirror by index, a form of :func:`pad_to_multiple` without branches on the size.

    Raises:
        ValueError: a side is shorter than `multiple`, where padding would repeat the edge instead.
    """
    for dim in (-2, -1):
        size = image.shape[dim]
        if size < multiple:
            raise ValueError(f"with sizes that vary, sides of at least {multiple} pixels are needed, got {size}")
        index = torch.arange((size + multiple - 1) // multiple * multiple, device=image.device)
        image = image.index_select(dim, torch.minimum(index, 2 * (size - 1) - index))
    return image


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
