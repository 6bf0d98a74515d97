"""A network applied to an image piece by piece, for images that do not fit into memory whole."""

import torch
from torch import Tensor, nn

from srzoo.contract import contract_of


class TiledNet(nn.Module):
    """`net` on tiles of (B, C, H, W), each with some of its surroundings, which are cut off again.

    With an overlap of the network's `receptive_radius` or more the result is that of the whole image. Networks that see
    everything (global pooling, shifted windows) come close to it; the overlap says how close.

    Args:
        net: the network; sizes that it works on (`multiple_of`) must divide `tile` and `overlap`.
        tile: side of what a tile contributes [LQ pixels].
        overlap: surroundings on each side, where the image has them [LQ pixels].
        scale: magnification.
    """

    def __init__(self, net: nn.Module, *, tile: int, overlap: int, scale: int) -> None:
        super().__init__()
        multiple = contract_of(net).multiple_of
        if tile % multiple or overlap % multiple:
            raise ValueError(
                f"{type(net).__name__} works on multiples of {multiple} pixels: tiles and overlaps must be some too, "
                f"got {tile} and {overlap}"
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
