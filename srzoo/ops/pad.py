"""Padding to a multiple of a size, or by the radius of a filter."""

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad (B, C, H, W) at the bottom and right until H and W are divisible by `multiple`; :func:`crop` undoes it.

    Pads as :func:`mirror_or_repeat` does, at the bottom and right.
    """
    height, width = image.shape[-2:]
    if _symbolic(height) or _symbolic(width):
        # -height % multiple, in a form that torch.export can reason about.
        targets = [(side + multiple - 1) // multiple * multiple for side in (height, width)]
        return _pad_by_index(image, (0, 0), (targets[0], targets[1]))
    bottom, right = -height % multiple, -width % multiple
    return mirror_or_repeat(image, (0, right, 0, bottom)) if bottom or right else image


def mirror_or_repeat(image: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """Pad (B, C, H, W) by margins (left, right, top, bottom).

    Mirrors without repeating the edge pixel where the image is larger than every margin of its axis, else repeats the
    edge pixel on all sides. Works with symbolic sizes too.
    """
    left, right, top, bottom = margins
    height, width = image.shape[-2:]
    if _symbolic(height) or _symbolic(width):
        return _pad_by_index(image, (top, left), (height + bottom, width + right))
    fits = max(top, bottom) < height and max(left, right) < width
    return F.pad(image, margins, mode="reflect" if fits else "replicate")


def crop(image: Tensor, height: int, width: int) -> Tensor:
    """Cut (B, C, H, W) at the bottom and right to (B, C, height, width)."""
    if _symbolic(height) or _symbolic(width):
        # torch.export cannot prove that a slice ends inside a padded image; negative padding needs no proof.
        return F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]))
    # No slice where there is nothing to cut: its fixed end would cut larger images in a traced graph.
    return image if image.shape[-2:] == (height, width) else image[..., :height, :width]


def _symbolic(side: int) -> bool:
    """Return True for a side that varies, in a graph that torch.export or torch.jit.trace records."""
    strict_export = torch.compiler.is_dynamo_compiling() and torch.compiler.is_exporting()  # hides symbols behind int
    return strict_export or not isinstance(side, int)


def _pad_by_index(image: Tensor, before: tuple[int, int], ends: tuple[int, int]) -> Tensor:
    """Pad by gathering rows and columns, a form of :func:`mirror_or_repeat` without branches on the size.

    Args:
        image: (B, C, H, W).
        before: rows added at the top and columns at the left.
        ends: position after the last row and the last column, counted from the image's first.
    """
    indices, fits = [], []
    for dim, start, end in zip((-2, -1), before, ends, strict=True):
        size = image.shape[dim]
        index = torch.arange(-start, end, device=image.device)
        mirrored_index = torch.minimum(index.abs(), 2 * (size - 1) - index)
        # Negative where a margin has at least as many pixels as the image, at the start or at the end.
        fits.append(torch.minimum(index + size - 1, 2 * (size - 1) - index).amin(0) >= 0)
        # ONNX has no clamp to a symbolic bound.
        indices.append((mirrored_index, torch.minimum(index.clamp_min(0), 0 * index + size - 1)))
    for dim, (mirrored_index, nearest) in zip((-2, -1), indices, strict=True):
        image = image.index_select(dim, torch.where(fits[0] & fits[1], mirrored_index, nearest))
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
