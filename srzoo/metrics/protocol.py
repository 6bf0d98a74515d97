"""Protocols: named conventions for preparing two images before they are compared.

The conventions of the five systems and of MATLAB scripts differ in colour, rounding and border, so that a PSNR means
nothing without its protocol. Sources: docs/protocols.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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
    "d2c-y-fixed",
    "reflash-rgb",
]

# Luma weights of D2C-SR's authors (over 256 instead of 255), meant for R, G and B. Their images are BGR, so that the
# first weight meets blue. RT4KSR's authors apply the order of BGR to RGB images.
_D2C_WEIGHTS = (65.738 * 255 / 256, 129.057 * 255 / 256, 25.064 * 255 / 256)
_D2C_BGR = (_D2C_WEIGHTS[2], _D2C_WEIGHTS[1], _D2C_WEIGHTS[0])
_SWAPPED = (BT601[2], BT601[1], BT601[0])
# Pixels that are converted at once on a CPU: they stay in a core's cache.
_STRIP = 32 * 1024
# Pairs that `prepare` has converted inside `shared_preparation`: their images, protocol, ... -> the converted pair.
_PREPARED: ContextVar[dict[tuple[object, ...], tuple[Tensor, Tensor]] | None] = ContextVar("prepared", default=None)


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
        ssim_raw: SSIM of whole images with their values as they are; neither cropped, clipped nor rounded.
    """

    name: str
    color: Literal["rgb", "y"] = "y"
    round_rgb: bool = True
    round_y: bool = False
    crop_border: int | None = None
    luma_weights: tuple[float, float, float] = BT601
    luma_offset: float = 16.0
    ssim_padding: Literal["valid", "zero"] = "valid"
    ssim_raw: bool = False

    def prepare(self, sr: Tensor, gt: Tensor, scale: int, *, raw: bool = False) -> tuple[Tensor, Tensor]:
        """Convert (B, 3, H, W) in [0, 1] to (B, C, h, w) float64 in [0, 255], C = 3 or 1, borders cropped.

        Images of one channel, (B, 1, H, W), are compared in that channel, without luma.

        Args:
            sr: image to score.
            gt: ground truth.
            scale: magnification, the border of most protocols [SR pixels].
            raw: keep borders and values as they are, see `ssim_raw`.

        Raises:
            ValueError: the shapes differ, or nothing is left inside the border.
        """
        if sr.shape != gt.shape or sr.ndim != 4 or sr.shape[1] not in (1, 3):
            raise ValueError(
                f"expected two images (B, 3, H, W) or (B, 1, H, W) of one shape, got {_shape(sr)} and {_shape(gt)}"
            )
        border = 0 if raw else self.border(scale)
        known, asked = _PREPARED.get(), (sr, gt, self, border, raw)
        if known is not None and asked in known:
            return known[asked]
        if min(sr.shape[-2:]) <= 2 * border:
            raise ValueError(f"an image of {_shape(sr)} has nothing inside a border of {border} pixels ({self.name})")
        pair = self._convert(sr, border, raw), self._convert(gt, border, raw)
        if known is not None:
            known[asked] = pair
        return pair

    def border(self, scale: int) -> int:
        """Return the number of pixels cropped on each side."""
        return scale if self.crop_border is None else self.crop_border

    def describe(self, scale: int) -> dict[str, object]:
        """Return all settings of the protocol for result files."""
        return asdict(self) | {"crop_border": self.border(scale), "data_range": 255, "average": "mean over images"}

    def _convert(self, image: Tensor, border: int, raw: bool) -> Tensor:
        """Crop one image and convert its pixels, on a CPU a strip of rows at a time."""
        height, width = image.shape[-2:]
        image = image[..., border : height - border, border : width - border]
        to_luma = self.color == "y" and image.shape[1] == 3
        converted = image.new_empty(
            (len(image), 1 if to_luma else image.shape[1], *image.shape[2:]), dtype=torch.double
        )
        rows = max(1, _STRIP // width) if image.device.type == "cpu" else height
        for strip, target in zip(image.split(rows, 2), converted.split(rows, 2), strict=True):
            levels = self._levels(strip, raw)
            target.copy_(self._luma(levels) if to_luma else levels)
        return converted

    def _levels(self, image: Tensor, raw: bool) -> Tensor:
        """Scale [0, 1] to [0, 255] float64, clipped unless `raw`, rounded if the protocol says so."""
        # Scale in the image's precision, as writers of 8-bit files do: float64 would round some values differently.
        levels = (image if raw else image.clamp(0, 1)) * 255
        return (levels.round_() if self.round_rgb and not raw else levels).to(torch.float64)

    def _luma(self, image: Tensor) -> Tensor:
        """Convert (B, 3, H, W) in [0, 255] to luma, (B, 1, H, W)."""
        y = luma(image, self.luma_weights, self.luma_offset)
        return (y + 0.5).floor() if self.round_y else y


@contextmanager
def shared_preparation() -> Iterator[None]:
    """Let the metrics called inside share what a protocol prepares, so that PSNR and SSIM convert a pair once.

    The images must not change meanwhile: they are recognised by identity, not by value.
    """
    token = _PREPARED.set({})
    try:
        yield
    finally:
        _PREPARED.reset(token)


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
        Protocol(
            name="d2c-y",
            round_rgb=False,
            luma_weights=_D2C_BGR,
            luma_offset=0.0,
            ssim_padding="zero",
            ssim_raw=True,
        ),
        Protocol(name="d2c-y-fixed", round_rgb=False, luma_weights=_D2C_WEIGHTS, luma_offset=0.0, ssim_padding="zero"),
        Protocol(name="reflash-rgb", color="rgb", crop_border=4),
    )
}
assert set(PROTOCOLS) == set(get_args(ProtocolName))


def _shape(image: Tensor) -> str:
    """Write a shape as in 1x3x8x8."""
    return "x".join(map(str, image.shape))
