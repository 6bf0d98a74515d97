"""Protocols: named conventions for preparing two images before they are compared.

The conventions of the five systems and of MATLAB scripts differ in colour, rounding and border, so that a PSNR means
nothing without its protocol. Sources: docs/protocols.md.
"""

from dataclasses import asdict, dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from srzoo.ops.color import BT601, luma

ProtocolName = Literal[
    "basicsr-y",
    "basicsr-rgb",
    "matlab-y",
    "imdn-y",
    "imdn-as-y",
    "imdn-as-rgb",
    "rt4ksr",
    "rt4ksr-rgb",
    "rt4ksr-fixed",
    "d2c-y",
    "reflash-rgb",
]

# Luma weights of D2C-SR's authors (over 256 instead of 255), and of RT4KSR's, who apply the BGR order to RGB images.
_D2C_WEIGHTS = (65.738 * 255 / 256, 129.057 * 255 / 256, 25.064 * 255 / 256)
_SWAPPED = (BT601[2], BT601[1], BT601[0])


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Convention for comparing `sr` with `gt`.

    Args:
        name: label in results.
        color: compare the three RGB channels or the luma.
        round_rgb: round both images to 8 bits first (half to even), as if they had been saved.
        round_y: round the luma to whole levels (half up).
        crop_border: pixels cropped on each side; None: equal to the scale [SR pixels].
        luma_weights: weights of R, G and B for values in [0, 255].
        luma_offset: added to the luma; cancels in PSNR, but not in SSIM.
        ssim_padding: SSIM windows inside the image only ("valid"), or over an image padded with zeros ("zero").
    """

    name: str
    color: Literal["rgb", "y"] = "y"
    round_rgb: bool = True
    round_y: bool = False
    crop_border: int | None = None
    luma_weights: tuple[float, float, float] = BT601
    luma_offset: float = 16.0
    ssim_padding: Literal["valid", "zero"] = "valid"

    def prepare(self, sr: Tensor, gt: Tensor, scale: int) -> tuple[Tensor, Tensor]:
        """Convert (B, 3, H, W) in [0, 1] to (B, C, h, w) float64 in [0, 255], C = 3 or 1, borders cropped.

        Raises:
            ValueError: the shapes differ, or nothing is left inside the border.
        """
        if sr.shape != gt.shape or sr.ndim != 4 or sr.shape[1] != 3:
            raise ValueError(f"expected two images (B, 3, H, W) of one shape, got {_shape(sr)} and {_shape(gt)}")
        border = self.border(scale)
        if min(sr.shape[-2:]) <= 2 * border:
            raise ValueError(f"an image of {_shape(sr)} has nothing inside a border of {border} pixels ({self.name})")
        sr, gt = self._levels(sr), self._levels(gt)
        if self.color == "y":
            sr, gt = self._luma(sr), self._luma(gt)
        if border:  # a slice up to -0 would be empty
            sr, gt = (image[..., border:-border, border:-border] for image in (sr, gt))
        return sr, gt

    def border(self, scale: int) -> int:
        """Return the number of pixels cropped on each side."""
        return scale if self.crop_border is None else self.crop_border

    def describe(self, scale: int) -> dict[str, object]:
        """Return all settings of the protocol for result files."""
        return asdict(self) | {"crop_border": self.border(scale), "data_range": 255, "average": "mean over images"}

    def _levels(self, image: Tensor) -> Tensor:
        """Clip and scale [0, 1] to [0, 255] float64, rounded if the protocol says so."""
        # Scale in the image's precision, as writers of 8-bit files do: float64 would round some values differently.
        levels = image.clamp(0, 1) * 255
        return (levels.round() if self.round_rgb else levels).to(torch.float64)

    def _luma(self, image: Tensor) -> Tensor:
        """Convert (B, 3, H, W) in [0, 255] to luma, (B, 1, H, W)."""
        y = luma(image, self.luma_weights, self.luma_offset)
        return (y + 0.5).floor() if self.round_y else y


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(name="basicsr-y"),
        Protocol(name="basicsr-rgb", color="rgb"),
        Protocol(name="matlab-y", round_y=True),
        Protocol(name="imdn-y", round_y=True),
        Protocol(name="imdn-as-y", round_y=True, crop_border=0),
        Protocol(name="imdn-as-rgb", color="rgb", crop_border=0),
        Protocol(name="rt4ksr", crop_border=0, luma_weights=_SWAPPED),
        Protocol(name="rt4ksr-rgb", color="rgb", crop_border=0),
        Protocol(name="rt4ksr-fixed", crop_border=0),
        Protocol(name="d2c-y", round_rgb=False, luma_weights=_D2C_WEIGHTS, luma_offset=0.0, ssim_padding="zero"),
        Protocol(name="reflash-rgb", color="rgb", crop_border=4),
    )
}
assert set(PROTOCOLS) == set(get_args(ProtocolName))


def _shape(image: Tensor) -> str:
    """Write a shape as in 1x3x8x8."""
    return "x".join(map(str, image.shape))
