"""Windows of an image, plain and cyclically shifted, with features kept as rows.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, arXiv:2103.14030.
Rows are pixels, (B * H * W, C): norms, 1x1 convolutions and MLPs work on them in any order, and attention needs those
of a window side by side. The fast form keeps rows in the order of the plain windows, so that only shifted windows
permute them; the plain form (layers/plain.py) keeps them in raster order and permutes them for both.

A cyclic shift brings together pixels from opposite edges of the image in the last row and the last column of windows.
:func:`edge_masks` keeps them apart. The fast form sorts shifted windows by the kind of mask that they need, so that
four small masks serve images of any size.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from srzoo.layers.plain import in_exporter, in_plain_form

P = ParamSpec("P")
T = TypeVar("T")
Extent = int | Tensor


def to_rows(image: Tensor, window: int) -> Tensor:
    """Cut (B, C, H, W) into rows (B * H * W, C), in the order of the module's docstring; `window` divides H and W."""
    if in_plain_form():
        return image.permute(0, 2, 3, 1).flatten(0, 2)  # (B * H * W, C)
    batch, channels, height, width = image.shape
    tiles = image.view(batch, channels, height // window, window, width // window, window)
    # Shape now (B, C, H/w, w, W/w, w).
    return tiles.permute(0, 2, 4, 3, 5, 1).flatten(0, 4)  # (B, H/w, W/w, w, w, C) -> (B * H * W, C)


def from_rows(rows: Tensor, window: int, size: tuple[int, int, int]) -> Tensor:
    """Join rows (B * H * W, C) into (B, C, H, W), the inverse of :func:`to_rows`; `size` is (B, H, W)."""
    batch, height, width = size
    if in_plain_form():
        return rows.view(batch, height, width, rows.shape[1]).permute(0, 3, 1, 2).contiguous()  # (B, C, H, W)
    tiles = rows.view(batch, height // window, width // window, window, window, rows.shape[1])
    # Shape now (B, H/w, W/w, w, w, C).
    if rows.device.type == "cpu" and not torch.is_grad_enabled():
        # Channels-last: convolutions on a CPU need not reorder it. Training keeps its layout, and so its rounding.
        image = tiles.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, rows.shape[1])  # (B, H, W, C)
        return image.permute(0, 3, 1, 2)  # (B, C, H, W)
    tiles = tiles.permute(0, 5, 1, 3, 2, 4)  # (B, C, H/w, w, W/w, w)
    return tiles.reshape(batch, rows.shape[1], height, width)  # (B, C, H, W)


def rows_linear(rows: Tensor, layer: nn.Linear | nn.Conv2d, window: int) -> Tensor:
    """Apply a linear layer or 1x1 convolution to the channels of each row: (R, num_in) -> (R, num_out).

    In the plain form the layer is called. Otherwise only its weights are used: on a CPU in a channels-last convolution
    over the windows, which is faster there than a matrix product.
    """
    if in_plain_form():
        if isinstance(layer, nn.Linear):
            return layer(rows)
        return layer(rows.mT[None, ..., None])[0, ..., 0].mT  # as an image (1, num_in, R, 1) -> (R, num_out)
    return rows_product(rows, layer.weight.flatten(1), layer.bias, window)


def rows_product(rows: Tensor, weight: Tensor, bias: Tensor | None, window: int) -> Tensor:
    """Return rows @ weight^T + bias, (R, num_in) -> (R, num_out), in the fast form of :func:`rows_linear`."""
    if rows.device.type != "cpu" or torch.compiler.is_compiling():
        return F.linear(rows, weight, bias)
    # On one thread PyTorch uses a slower routine for 1x1 convolutions of fewer than 16 images: then each row of pixels
    # in a window is an image. Training keeps its layout, and so its rounding.
    few = 1 < len(rows) // window**2 < 16 and not torch.is_grad_enabled()
    height = 1 if few else window
    tiles = rows.view(-1, height, window, rows.shape[1]).permute(0, 3, 1, 2)  # (R / (height * w), num_in, height, w)
    out = F.conv2d(tiles, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).flatten(0, 2)  # (R, num_out)


def _cached(maxsize: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Cache the latest tables as ordinary tensors: a table first computed in inference mode must serve training too."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.lru_cache(maxsize)
        def cached(*args: P.args, **kwargs: P.kwargs) -> T:
            with torch.inference_mode(False):
                return function(*args, **kwargs)

        @functools.wraps(function)
        def table(*args: P.args, **kwargs: P.kwargs) -> T:
            # Tables made while tracing belong to that trace: fake tensors and symbolic sizes must not be cached.
            tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
            traced = torch.compiler.is_compiling() or tracing or _get_current_dispatch_mode()
            return function(*args, **kwargs) if traced else cached(*args, **kwargs)

        return table

    return decorate


@dataclass(frozen=True)
class Windows:
    """Windows of an image of one size, as a permutation of its rows, and their attention masks.

    Args:
        order: index of the row for each pixel of each window, (windows * N,) with N = window**2; None: rows already are
            in this order.
        inverse: index in `order` of each row, (B * H * W,).
        masks: added to attention scores, (K, 1, N, N); None: nothing is.
        counts: number of windows of each of K kinds, which come in this order; None: in the plain form, where `masks`
            has one entry per window.
    """

    order: Tensor | None
    inverse: Tensor | None
    masks: Tensor | None
    counts: tuple[int, ...] | None

    def partition(self, rows: Tensor) -> Tensor:
        """Return rows (B * H * W, C) in the order of the windows: (windows * N, C)."""
        return rows if self.order is None or self.inverse is None else _permute(rows, self.order, self.inverse)

    def merge(self, rows: Tensor) -> Tensor:
        """Undo :meth:`partition`: (windows * N, C) -> (B * H * W, C)."""
        return rows if self.order is None or self.inverse is None else _permute(rows, self.inverse, self.order)


def plain_and_shifted_windows(
    size: tuple[int, int, int], window: int, device: torch.device, dtype: torch.dtype
) -> tuple[Windows, Windows]:
    """Return the windows of images (B, H, W), in place and shifted by half a window; `dtype` is that of the masks."""
    if not in_plain_form():
        return _fast_windows(size, window, device, dtype)
    down, across = size[1] // window, size[2] // window
    # One spare window, whose attention nobody reads: torch.export treats dimensions that can be 1 as a case apart.
    spare = 1 if in_exporter() else 0
    number = torch.arange(size[0] * down * across + spare, device=device)
    # As tensors: ONNX knows quotients and remainders of tensors only, not those by a symbolic number.
    batch, height, width = (0 * number[0] + extent for extent in size)
    kinds = _window_kinds(number, height // window, width // window)
    masks = edge_masks(window, device, dtype).index_select(0, kinds)
    orders = [_window_pixels(number, (batch, height, width), window, shift) for shift in (0, window // 2)]
    inverses = [_inverse(order, size[0] * size[1] * size[2]) for order in orders]
    return Windows(orders[0], inverses[0], None, None), Windows(orders[1], inverses[1], masks, None)


@_cached(maxsize=4)
def _fast_windows(
    size: tuple[int, int, int], window: int, device: torch.device, dtype: torch.dtype
) -> tuple[Windows, Windows]:
    batch, down, across = size[0], size[1] // window, size[2] // window
    number = torch.arange(batch * down * across, device=device)
    by_kind = _window_kinds(number, down, across).argsort(stable=True)
    # Pixels of the shifted windows, then their rows: the rows themselves are in the order of the plain windows.
    pixels = _window_pixels(by_kind, size, window, window // 2)
    row_of_pixel = _inverse(_window_pixels(number, size, window, 0), batch * size[1] * size[2])
    order = row_of_pixel[pixels]
    counts = tuple(batch * count for count in ((down - 1) * (across - 1), down - 1, across - 1, 1))
    masks = edge_masks(window, device, dtype)
    return (
        Windows(None, None, None, (batch * down * across,)),
        Windows(order, _inverse(order, len(order)), masks, counts),
    )


def _window_pixels(number: Tensor, size: tuple[Extent, Extent, Extent], window: int, shift: int) -> Tensor:
    """Return the raster index of each pixel of some windows: (len(number) * window**2,).

    Args:
        number: windows, counted in raster order over (B, H / window, W / window); from B * H * W / window**2 on, any
            valid index is returned.
        size: of the images (B, H, W); tensors in the plain form.
        window: side of a window [pixels].
        shift: how far down and to the right windows are moved, cyclically [pixels].
    """
    batch, height, width = size
    down, across = height // window, width // window
    position = torch.arange(window**2, device=number.device)  # inside a window, in raster order
    y = (number // across % down * window)[:, None] + position // window + shift  # (windows, window**2)
    x = (number % across * window)[:, None] + position % window + shift
    image = (number // (down * across)).clamp_max(batch - 1)[:, None]
    return ((image * height + y % height) * width + x % width).flatten()


def _window_kinds(number: Tensor, down: Extent, across: Extent) -> Tensor:
    """Return the kind of shifted windows, counted in raster order over (B, down, across), for :func:`edge_masks`."""
    last_row, last_column = number // across % down == down - 1, number % across == across - 1
    return 2 * last_row.long() + last_column.long()


@_cached(maxsize=8)
def edge_masks(window: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the attention masks of the four kinds of shifted windows: (4, 1, window**2, window**2).

    Kind 0: interior, 1: last column, 2: last row, 3: the corner of both. -100 between pixels from opposite edges of the
    image, which only the cyclic shift brought together; 0 elsewhere.
    """
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    # Pixels that wrapped around: below the bottom edge, beyond the right edge.
    below, beyond = (y >= window - window // 2).flatten(), (x >= window - window // 2).flatten()  # (window**2,)
    # Exclusive or: torch.compile's code for comparisons of booleans fails.
    apart_y, apart_x = below[:, None] ^ below[None, :], beyond[:, None] ^ beyond[None, :]  # (window**2, window**2)
    apart = torch.stack([torch.zeros_like(apart_y), apart_x, apart_y, apart_y | apart_x])
    return (-100.0 * apart[:, None]).to(device, dtype)


def edge_masks_of_image(window: int, side: int) -> Tensor:
    """Return the masks of all shifted windows of a square image, in raster order: (windows, window**2, window**2).

    `side` is that of the image [windows].
    """
    cpu = torch.device("cpu")
    return edge_masks(window, cpu, torch.float32)[_window_kinds(torch.arange(side**2), side, side), 0]


def _inverse(order: Tensor, length: int) -> Tensor:
    """Return the index of each of 0 to length - 1 in the first `length` entries of `order`, a permutation."""
    first = order[:length]
    return torch.empty_like(first).scatter_(0, first, torch.arange(length, device=order.device))


def _permute(rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    return rows.index_select(0, order) if in_plain_form() else Permute.apply(rows, order, inverse)


class Permute(torch.autograd.Function):
    """Rows in another order: rows[order], with gradient grad[inverse], where autograd alone would scatter and add."""

    @staticmethod
    def forward(rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        del inverse
        return rows.index_select(0, order)

    @staticmethod
    def setup_context(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        del output
        ctx.save_for_backward(inputs[1], inputs[2])

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        order, inverse = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        return Permute.apply(grads[0], inverse, order), None, None


@_cached(maxsize=8)
def relative_position_index(window: int, device: torch.device) -> Tensor:
    """Return the row of the bias table for each pair of pixels of a window: (window**4,).

    The table has one row for each of the (2 * window - 1)**2 offsets between two pixels of a window.
    """
    y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    position = (y * (2 * window - 1) + x).flatten()  # (window**2,)
    centre = 2 * window * (window - 1)  # the row of offset (0, 0)
    return (position[:, None] - position[None, :] + centre).flatten().to(device)
