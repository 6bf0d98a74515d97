"""Windows of an image as an order of its pixels, plain and shifted by half a window.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, arXiv:2103.14030.
Features are kept as rows, one per pixel, in the order of the plain windows: (B * H * W, C). All that works on single
pixels (norms, 1x1 convolutions, MLPs) needs no other layout, and attention in plain windows is a view. For shifted
windows rows are permuted once there and once back; windows that the cyclic shift wraps around are put last, by kind, so
that each kind shares one small mask whatever the image's size.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

P = ParamSpec("P")
T = TypeVar("T")


def to_windows(image: Tensor, window: int) -> Tensor:
    """(B, C, H, W) -> rows (B * H * W, C) in the order of windows; `window` divides H and W."""
    batch, channels, height, width = image.shape
    tiles = image.view(batch, channels, height // window, window, width // window, window)
    return tiles.permute(0, 2, 4, 3, 5, 1).reshape(-1, channels)


def from_windows(rows: Tensor, window: int, size: tuple[int, int, int]) -> Tensor:
    """The inverse of :func:`to_windows` for an image of size (B, H, W)."""
    batch, height, width = size
    tiles = rows.view(batch, height // window, width // window, window, window, -1)
    return tiles.permute(0, 5, 1, 3, 2, 4).reshape(batch, -1, height, width)


def _remembered(maxsize: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Keep the newest tables, as ordinary tensors: one first asked for by inference must serve training later."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.lru_cache(maxsize)
        def table(*args: P.args, **kwargs: P.kwargs) -> T:
            with torch.inference_mode(False):
                return function(*args, **kwargs)

        @functools.wraps(function)
        def remembered(*args: P.args, **kwargs: P.kwargs) -> T:
            # A compiler traces the tables into its graph; what a dispatch mode makes of them is for it alone.
            traced = torch.compiler.is_compiling() or _get_current_dispatch_mode()
            return function(*args, **kwargs) if traced else table(*args, **kwargs)

        return remembered

    return decorate


@dataclass(frozen=True)
class ShiftedOrder:
    """How rows in the order of plain windows become rows of shifted windows.

    Args:
        there: row numbers, (B * H * W,).
        back: the inverse permutation.
        counts: windows that lie inside, at the right edge, at the bottom edge and in the corner; in this order.
    """

    there: Tensor
    back: Tensor
    counts: tuple[int, int, int, int]


@_remembered(maxsize=4)
def shifted_order(size: tuple[int, int, int], window: int, device: torch.device) -> ShiftedOrder:
    """The order of windows shifted cyclically by half a window, for images (B, H, W)."""
    batch, height, width = size
    shift = window // 2
    rows = torch.arange(batch * height * width, device=device).view(batch * height * width, 1)
    image = from_windows(rows, window, size).roll((-shift, -shift), (2, 3))
    windows = to_windows(image, window).view(batch, height // window, width // window, window**2)
    kinds = (
        windows[:, :-1, :-1],
        windows[:, :-1, -1:],
        windows[:, -1:, :-1],
        windows[:, -1:, -1:],
    )
    there = torch.cat([kind.reshape(-1) for kind in kinds])
    back = torch.empty_like(there).scatter_(0, there, torch.arange(len(there), device=device))
    down, across = height // window - 1, width // window - 1
    return ShiftedOrder(there, back, (batch * down * across, batch * down, batch * across, batch))


class Permute(torch.autograd.Function):
    """rows[there], whose gradient is g[back]: a gather both ways, where autograd alone would scatter and add."""

    @staticmethod
    def forward(rows: Tensor, there: Tensor, back: Tensor) -> Tensor:
        del back
        return rows.index_select(0, there)

    @staticmethod
    def setup_context(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        del output
        ctx.save_for_backward(inputs[1], inputs[2])

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        there, back = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        return Permute.apply(grads[0], back, there), None, None


@_remembered(maxsize=8)
def relative_position_index(window: int, device: torch.device) -> Tensor:
    """For each pair of pixels of a window, its row in a table of (2 * window - 1)**2 offsets: (window**4,)."""
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    place = (y * (2 * window - 1) + x).flatten()
    centre = 2 * window * (window - 1)
    return (place[:, None] - place[None, :] + centre).flatten().to(device)


@_remembered(maxsize=8)
def edge_masks(window: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """What to add to attention in shifted windows of the four kinds, (4, 1, window**2, window**2).

    -100 between pixels that only the cyclic shift brought together, else 0.
    """
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    below, beyond = (y >= window - window // 2).flatten(), (x >= window - window // 2).flatten()
    apart_y, apart_x = below[:, None] != below[None, :], beyond[:, None] != beyond[None, :]
    apart = torch.stack([torch.zeros_like(apart_y), apart_x, apart_y, apart_y | apart_x])
    return (-100.0 * apart[:, None]).to(device, dtype)
