"""Tiles along one axis: the parts that a network sees, and the part of each output that is kept."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Span:
    """One tile along an axis [LQ pixels].

    Args:
        start, stop: the network sees the pixels [start, stop).
        first, last: its output is kept for [first, last).
    """

    start: int
    stop: int
    first: int
    last: int


def spans_of(size: int, *, tile: int, overlap: int, multiple: int = 1, flipped: bool = False) -> list[Span]:
    """Divide an axis into the fewest tiles of a length, and balance them.

    Every tile, with its margins, has the same length of at most `tile` + 2 `overlap`, except that the last one may be
    shorter. A tile at the border has a margin at one side only and keeps that much more. Each cut between n tiles costs
    2 `overlap` pixels, so that the network sees `size` + 2 (n - 1) `overlap` in all.

    Args:
        size: of the axis.
        tile: largest distance between cuts; rounded down to `multiple`, at least 1 `multiple`.
        overlap: margin of a tile beyond its cuts.
        multiple: tiles start at multiples of this.
        flipped: tiles start at multiples from the other end of the axis too.
    """
    if size <= tile + 2 * overlap:
        return [Span(0, size, 0, size)]
    tile = max(tile // multiple, 1) * multiple
    count = -(-(size - 2 * overlap) // tile)
    stride = -(-(size - 2 * overlap) // count)
    stride += -stride % multiple
    count = -(-(size - 2 * overlap) // stride)
    spans: list[Span] = []
    for number in range(count):
        start = number * stride
        stop = start + stride + 2 * overlap
        if flipped:
            stop += (size - stop) % multiple
        first = start + overlap if number else 0
        final = number == count - 1
        spans.append(Span(start, size if final else stop, first, size if final else start + stride + overlap))
    return spans


def fade_of(spans: Sequence[Span]) -> int:
    """Return the `fade` of tiles that are approximations: half of their margin, where no third tile reaches.

    The outer half is left out, because a network's padding spoils the edges of a tile (docs/tiling.md).
    """
    if len(spans) == 1:
        return 0
    stride = spans[1].start - spans[0].start
    return min(spans[1].first - spans[1].start, stride) // 2


def joined(parts: Iterable[Tensor], spans: Sequence[Span], *, fade: int, scale: int, dim: int) -> Iterator[Tensor]:
    """Yield an image slice by slice from the network's outputs for its tiles.

    Args:
        parts: output of each tile.
        spans: the tiles.
        fade: half the width over which one tile fades into the next, with weights that add up to 1; 0: tiles are cut
            [LQ pixels].
        scale: magnification.
        dim: the axis.
    """
    tail: Tensor | None = None  # end of the last part, over which the next one fades in
    width = 2 * fade * scale
    for span, part in zip(spans, parts, strict=True):
        final = span is spans[-1]
        begin = span.first - (fade if tail is not None else 0) - span.start
        end = span.last + (0 if final else fade) - span.start
        kept = part.narrow(dim, begin * scale, (end - begin) * scale)
        if tail is not None:
            yield torch.lerp(tail, kept.narrow(dim, 0, width), _ramp(width, dim, kept))
            kept = kept.narrow(dim, width, kept.shape[dim] - width)
        if fade and not final:
            # A copy, so that the rest of the part can be freed.
            tail = kept.narrow(dim, kept.shape[dim] - width, width).clone()
            kept = kept.narrow(dim, 0, kept.shape[dim] - width)
        if kept.shape[dim]:
            yield kept


def _ramp(width: int, dim: int, like: Tensor) -> Tensor:
    """Return weights that rise from 0 to 1 along an axis, shaped to multiply `like`."""
    weights = (torch.arange(width, device=like.device, dtype=like.dtype) + 0.5) / width
    return weights.view([-1 if axis == dim else 1 for axis in range(like.dim())])
