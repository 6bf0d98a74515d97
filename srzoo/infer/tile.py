"""A network applied tile by tile, for images too large for memory."""

from typing import Literal

import torch
from torch import Tensor, nn

from srzoo.contract import contract_of
from srzoo.infer.adaptive_crop import AdaptiveCrops
from srzoo.ops.pad import crop, pad_to_multiple

TileRule = Literal["exact", "acs", "drct"]


def tiled(net: nn.Module, *, rule: TileRule, tile: int | None, overlap: int, scale: int) -> nn.Module:
    """Return `net` as it is applied to images under a rule; `net` itself without tiles under "exact".

    Args:
        net: the network.
        rule: exact: :class:`TiledNet`; acs: :class:`AdaptiveCrops`; drct: :class:`PaddedTiles`.
        tile: side of a tile without its overlap; None: whole images [LQ pixels].
        overlap: pixels added on each side of a tile [LQ pixels].
        scale: magnification.

    Raises:
        ValueError: the network cannot take such tiles.
    """
    if rule == "acs":
        return AdaptiveCrops(net, scale=scale)
    if tile is None:
        return net
    kind = PaddedTiles if rule == "drct" else TiledNet
    return kind(net, tile=tile, overlap=overlap, scale=scale)


class TiledNet(nn.Module):
    """`net` on overlapping tiles: (B, C, H, W) -> (B, C, scale*H, scale*W). The overlap is cropped from each output.

    With an overlap of at least the network's `receptive_radius` the result equals that of the whole image. For networks
    with unbounded radius (global pooling, shifted windows) it is an approximation, which improves with the overlap.

    Args:
        net: the network; its `multiple_of` must divide `tile` and `overlap`.
        tile: side of a tile without its overlap [LQ pixels].
        overlap: pixels added on each side of a tile, up to the image's edge [LQ pixels].
        scale: magnification.
    """

    def __init__(self, net: nn.Module, *, tile: int, overlap: int, scale: int) -> None:
        super().__init__()
        multiple = contract_of(net).multiple_of
        if tile % multiple or overlap % multiple:
            raise ValueError(
                f"{type(net).__name__} works on multiples of {multiple} pixels: tile and overlap must be multiples "
                f"too, got {tile} and {overlap}"
            )
        self.net = net
        self.tile, self.overlap, self.scale = tile, overlap, scale

    def forward(self, lq: Tensor) -> Tensor:
        rows = [
            torch.cat([self._piece(lq, top, left) for left in range(0, lq.shape[3], self.tile)], 3)
            for top in range(0, lq.shape[2], self.tile)
        ]
        return torch.cat(rows, 2)

    def _piece(self, lq: Tensor, top: int, left: int) -> Tensor:
        first = [max(place - self.overlap, 0) for place in (top, left)]
        sr = self.net(lq[..., first[0] : top + self.tile + self.overlap, first[1] : left + self.tile + self.overlap])
        y, x = ((place - start) * self.scale for place, start in zip((top, left), first, strict=True))
        # The last tile of a row or column may be smaller.
        height = min(self.tile, lq.shape[2] - top) * self.scale
        width = min(self.tile, lq.shape[3] - left) * self.scale
        return sr[..., y : y + height, x : x + width]


class PaddedTiles(TiledNet):
    """Tiles of an image that is mirrored at the bottom and right to multiples of the network's `multiple_of` first.

    The rule of DRCT's and HAT's programs. :class:`TiledNet` lets the network pad the last tiles by itself, with equal
    results, except where such a tile with its margin is too small to be mirrored. Arguments as there.
    """

    def __init__(self, net: nn.Module, *, tile: int, overlap: int, scale: int) -> None:
        super().__init__(net, tile=tile, overlap=overlap, scale=scale)
        self.multiple = contract_of(net).multiple_of

    def forward(self, lq: Tensor) -> Tensor:
        height, width = (side * self.scale for side in lq.shape[-2:])
        return crop(super().forward(pad_to_multiple(lq, self.multiple)), height, width)
