"""A network applied tile by tile, for images too large for memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from srzoo.contract import NetworkContract
from srzoo.infer.adaptive_crop import SHAVE
from srzoo.infer.spans import Span, fade_of, joined, spans_of
from srzoo.ops.pad import crop, pad_to_multiple

TileRule = Literal["exact", "acs", "drct"]
TileSide = int | Literal["auto"]
Apply = Callable[[Tensor], Tensor]

# Margin of tiles where no margin makes them exact [LQ pixels]; that of the released option files of DRCT and HAT.
MARGIN = 32
# Pixels up to which tiles of a row are computed as one batch on a GPU, which small ones leave idle.
_BATCH_PIXELS = 2**18


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Tiles of any image, under the rule "exact".

    Args:
        tile: largest distance between cuts [LQ pixels].
        overlap: margin beyond the cuts [LQ pixels].
        multiple: tiles start at multiples of this.
        flipped: tiles start at multiples from the bottom and right too, as self-ensemble needs.
        blended: fade from one tile to the next instead of cutting; for networks whose tiles are approximations.
    """

    tile: int
    overlap: int
    multiple: int = 1
    flipped: bool = False
    blended: bool = False

    def spans(self, size: int) -> list[Span]:
        """Return the tiles of an axis."""
        return spans_of(size, tile=self.tile, overlap=self.overlap, multiple=self.multiple, flipped=self.flipped)

    def divides(self, height: int, width: int) -> bool:
        """Return True if an image of this size has more than one tile."""
        return max(height, width) > self.tile + 2 * self.overlap

    def join(self, parts: Iterable[Tensor], spans: Sequence[Span], scale: int, dim: int) -> Iterator[Tensor]:
        """Yield slices of an image from the outputs of the tiles of one axis."""
        yield from joined(parts, spans, fade=fade_of(spans) if self.blended else 0, scale=scale, dim=dim)


def sides_used(contract: NetworkContract, rule: TileRule, tile: TileSide, overlap: TileSide) -> tuple[TileSide, int]:
    """Return the tile and margin in use for the ones asked for, as described in :class:`srzoo.infer.upscale.Upscaler`.

    The rule "exact" rounds tiles down, and the margins of approximations up, to the multiples of the network.
    """
    multiple, radius = contract.multiple_of, contract.receptive_radius
    if overlap == "auto":
        overlap = SHAVE if rule == "acs" else MARGIN if radius is None or rule == "drct" else radius
        overlap += -overlap % multiple if rule == "drct" else 0
    if rule == "exact":
        # Margins that end on the grid need no padding inside the network.
        overlap += -overlap % multiple if radius is None else 0
        tile = tile if tile in ("auto", 0) else max(tile // multiple, 1) * multiple
    return tile, overlap


def approximation(name: str, contract: NetworkContract, overlap: int) -> str | None:
    """Say why tiles with this margin differ from the whole image; None if they do not."""
    radius = contract.receptive_radius
    if radius is not None and radius <= overlap:
        return None
    sees = "the whole image" if radius is None else f"{radius} pixels to each side"
    if radius is None and contract.unbounded_by:
        sees += f" ({contract.unbounded_by})"
    return f"each pixel of {name} sees {sees}"


def row_of_tiles(net: Apply, band: Tensor, layout: Layout, scale: int, *, batched: bool = False) -> Tensor:
    """Apply `net` to a band of an image tile by tile from left to right: (B, C, h, W) -> (B, C, scale*h, scale*W).

    Args:
        net: applied to each tile; may split it further.
        band: at most as high as a tile with its margins.
        layout: of the image.
        scale: magnification.
        batched: compute tiles of equal width together, as far as they are small.
    """
    spans = layout.spans(band.shape[3])
    outputs = _outputs(net, band, spans, _BATCH_PIXELS if batched else 0)
    return torch.cat(list(layout.join(outputs, spans, scale, 3)), 3)


def _outputs(net: Apply, band: Tensor, spans: list[Span], batch_pixels: int) -> Iterator[Tensor]:
    """Yield the output of each tile; tiles of equal width pass the network together, up to so many pixels."""
    rest = list(spans)
    while rest:
        width = rest[0].stop - rest[0].start
        most = batch_pixels // (band.shape[0] * band.shape[2] * width)
        count = 1
        while count < min(most, len(rest)) and rest[count].stop - rest[count].start == width:
            count += 1
        tiles = torch.cat([band[..., span.start : span.stop] for span in rest[:count]])  # (count * B, C, h, width)
        yield from net(tiles).chunk(count)
        rest = rest[count:]


def bands(row: Apply, read: Callable[[int, int], Tensor], height: int, layout: Layout, scale: int) -> Iterator[Tensor]:
    """Yield an image in bands of output rows from top to bottom, holding one row of tiles in memory.

    Args:
        row: band of the image -> its output.
        read: (top, bottom) -> rows [top, bottom) of the image (B, C, rows, W); asked for each row once, in order.
        height: of the image.
        layout: of the image.
        scale: magnification.
    """
    spans = layout.spans(height)
    yield from layout.join(_rows(row, read, spans), spans, scale, 2)


def _rows(row: Apply, read: Callable[[int, int], Tensor], spans: list[Span]) -> Iterator[Tensor]:
    """Yield the output of each row of tiles; rows of the image that two of them need are kept."""
    band, done = None, 0
    for number, span in enumerate(spans):
        new = read(done, span.stop)
        band = new if band is None else torch.cat([band, new], 2)
        done = span.stop
        yield row(band)
        if number + 1 < len(spans):
            # A copy, so that the rest of the band can be freed.
            band = band[:, :, spans[number + 1].start - span.start :].clone()


class PaddedTiles(nn.Module):
    """Tiles by the rule of DRCT's and HAT's programs: (B, C, H, W) -> (B, C, scale*H, scale*W).

    The image is mirrored at the bottom and right to multiples of the network's `multiple_of`. Tiles begin at multiples
    of `tile`, see `overlap` more pixels on each side up to the edge, and are cut without blending.

    Args:
        net: the network.
        multiple: `multiple_of` of the network, which must divide `tile` and `overlap`.
        tile: side of a tile without its margin; None: the whole image [LQ pixels].
        overlap: pixels added on each side of a tile [LQ pixels].
        scale: magnification.
    """

    def __init__(self, net: nn.Module, *, multiple: int, tile: int | None, overlap: int, scale: int) -> None:
        super().__init__()
        self.net, self.multiple = net, multiple
        self.tile, self.overlap, self.scale = tile, overlap, scale

    def forward(self, lq: Tensor) -> Tensor:
        height, width = lq.shape[-2:]
        padded = pad_to_multiple(lq, self.multiple)
        sides = [range(0, side, self.tile or side) for side in padded.shape[-2:]]
        rows = [torch.cat([self._piece(padded, top, left) for left in sides[1]], 3) for top in sides[0]]
        return crop(torch.cat(rows, 2), height * self.scale, width * self.scale)

    def _piece(self, lq: Tensor, top: int, left: int) -> Tensor:
        tile = self.tile or max(lq.shape[-2:])
        first = [max(place - self.overlap, 0) for place in (top, left)]
        sr = self.net(lq[..., first[0] : top + tile + self.overlap, first[1] : left + tile + self.overlap])
        y, x = ((place - start) * self.scale for place, start in zip((top, left), first, strict=True))
        # The last tile of a row or column may be smaller.
        height = min(tile, lq.shape[2] - top) * self.scale
        width = min(tile, lq.shape[3] - left) * self.scale
        return sr[..., y : y + height, x : x + width]


def refuse_other_tiles(
    name: str, contract: NetworkContract, rule: TileRule, tile: TileSide | None, overlap: TileSide
) -> None:
    """Check that tiles keep to the grid of a network wherever other tiles would give other values.

    Raises:
        ValueError: `tile` or `overlap` is no multiple of the network's `multiple_of`.
    """
    exact = rule == "exact" and contract.receptive_radius is not None
    multiple = contract.multiple_of
    if tile is None or tile == 0 or rule == "acs" or exact:
        return
    if any(side != "auto" and side % multiple for side in (tile, overlap)):
        raise ValueError(
            f"{name} works on multiples of {multiple} pixels: tile and overlap must be multiples "
            f"too, got {tile} and {overlap}"
        )
