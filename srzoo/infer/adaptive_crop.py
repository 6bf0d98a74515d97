"""Adaptive cropping of IMDN's authors: four crops from the corners instead of a padded image.

Hui et al., "Lightweight Image Super-Resolution with Information Multi-distillation Network", ACM MM 2019,
arXiv:1909.11856, section 3.4. Written from the paper and the values of the released program.
"""

import torch
from torch import Tensor, nn

# The authors' shave [LQ pixels], and the multiple that crops are cut to.
SHAVE, MULTIPLE = 32, 4


class AdaptiveCrops(nn.Module):
    """`net` on an image whose sides are no multiples of 4, quadrant by quadrant: (B, C, H, W) -> (B, C, s*H, s*W).

    Each quadrant of the output comes from the crop at its corner, without blending; the crops pass the network as one
    batch. Images with sides of multiples of 4 pass whole. Not equal to the padded whole image: the crops at the bottom
    and right begin at any pixel, and channel attention averages over the crop.

    Args:
        net: the network.
        scale: magnification s.
        shave: pixels that each crop has beyond the half of the image, before its side is cut to a multiple of 4.
    """

    def __init__(self, net: nn.Module, *, scale: int, shave: int = SHAVE) -> None:
        super().__init__()
        self.net, self.scale, self.shave = net, scale, shave

    def forward(self, lq: Tensor) -> Tensor:
        height, width = lq.shape[-2:]
        if height % MULTIPLE == 0 and width % MULTIPLE == 0:
            return self.net(lq)
        rows, columns = _crop_side(height, self.shave), _crop_side(width, self.shave)
        corners = [
            lq[..., top : top + rows, left : left + columns]
            for top in (0, height - rows)
            for left in (0, width - columns)
        ]
        # (4 B, C, rows, columns) -> four of (B, C, s * rows, s * columns)
        top_left, top_right, bottom_left, bottom_right = self.net(torch.cat(corners)).chunk(4)
        # The upper half has height // 2 rows, the lower half the others; columns alike.
        upper, left = height // 2 * self.scale, width // 2 * self.scale
        lower, right = height * self.scale - upper, width * self.scale - left
        above = torch.cat([top_left[..., :upper, :left], top_right[..., :upper, -right:]], 3)
        below = torch.cat([bottom_left[..., -lower:, :left], bottom_right[..., -lower:, -right:]], 3)
        return torch.cat([above, below], 2)


def _crop_side(side: int, shave: int) -> int:
    """Return the side of the crops of an image: half of it and `shave` pixels, rounded down to a multiple of 4.

    Raises:
        ValueError: the image is smaller than that.
    """
    crop = side // 2 + shave
    crop -= crop % MULTIPLE
    if crop > side:
        raise ValueError(
            f"adaptive cropping needs sides of about 60 pixels or multiples of {MULTIPLE}, got {side}: a crop would "
            f"have {crop}; set val.tile_rule: exact"
        )
    return crop
