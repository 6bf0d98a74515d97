"""Pictures of a report: small ones for an overview, and pixels without loss within the size of the file.

Pixels are stored as WebP without loss, so that the page can compute the PSNR of any crop exactly.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from srzoo.images import decode_image, encode_image, encode_webp
from srzoo.ops.resize import imresize

# Longer side of small pictures, and of the longest whole picture that browsers draw well [pixels].
_THUMBNAIL, _LONGEST = 112, 4096
# Side of the crop that is shown first [pixels].
_FIRST_CROP = 64
# Smallest window worth looking at [pixels].
LEAST_WINDOW = 64
# Colours of an amount from none to full: dark violet, blue, green, yellow; their lightness rises throughout, so that
# readers without red-green vision can order them. The page's script draws with the same ones.
SCALE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))

# Top, left, height and width [pixels].
Area = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pictured:
    """One image of a dataset, by bicubic interpolation, by each network, and as GT.

    Args:
        key: name of the image.
        size: (height, width) of the whole image [pixels].
        window: the part of it that `pixels` hold.
        pixels: source -> WebP file without loss.
        thumbnail: JPEG file of the whole GT.
        grey: the three channels are equal, as the network has one.
        start: the crop of `pixels` that is shown first, where errors are largest.
    """

    key: str
    size: tuple[int, int]
    window: Area
    pixels: Mapping[str, bytes]
    thumbnail: bytes
    grey: bool
    start: Area = (0, 0, 0, 0)

    @property
    def num_bytes(self) -> int:
        """Size in the page [bytes]."""
        return sum(_in_base64(content) for content in (*self.pixels.values(), self.thumbnail))


def pictured(key: str, images: Mapping[str, np.ndarray], gt: str) -> Pictured:
    """Encode an image of all sources, (H, W, C) uint8 each, C = 3 or 1; `gt` is the name of GT among them."""
    height, width, channels = images[gt].shape
    rgb = {name: np.repeat(image, 3, 2) if channels == 1 else image for name, image in images.items()}
    factor = min(1.0, _THUMBNAIL / max(height, width))
    small = (max(1, round(height * factor)), max(1, round(width * factor)))
    chw = torch.from_numpy(np.ascontiguousarray(rgb[gt].transpose(2, 0, 1)))  # (3, H, W)
    thumbnail = imresize(chw, size=small).permute(1, 2, 0).numpy()  # (h, w, 3)
    whole = Pictured(key, (height, width), (0, 0, height, width), {}, encode_image(thumbnail, ".jpg"), channels == 1)
    side = min(_LONGEST, max(height, width))
    return _windowed(whole, rgb, gt, side)


def _windowed(image: Pictured, rgb: Mapping[str, np.ndarray], gt: str, side: int) -> Pictured:
    """Return an image whose pixels are those of `rgb` in a window of at most side x side."""
    top, left, height, width = _worst_window(rgb, gt, side)
    cut = {name: _cut(each, (top, left, height, width)) for name, each in rgb.items()}
    return dataclasses.replace(
        image,
        window=(image.window[0] + top, image.window[1] + left, height, width),
        pixels={name: encode_webp(each) for name, each in cut.items()},
        start=_worst_window(cut, gt, _FIRST_CROP),
    )


def fitted(images: Sequence[Pictured], gt: str, budget: int) -> list[Pictured]:
    """Return the images within a size in the page: as they are, or cut to equal windows.

    A window lies where the networks' errors are largest.

    Args:
        images: of all datasets.
        gt: name of GT among the sources.
        budget: size of all of them [bytes].

    Raises:
        ValueError: windows of LEAST_WINDOW pixels are too large too.
    """
    side = max((max(image.window[2:]) for image in images), default=0)
    fit = list(images)
    while sum(image.num_bytes for image in fit) > budget:
        if side <= LEAST_WINDOW:
            total = sum(image.num_bytes for image in fit)
            raise ValueError(
                f"{len(fit)} images, even cut to {side}x{side} pixels, take {total / 1e6:.1f} MB of the page, and "
                f"{max(0, budget) / 1e6:.1f} MB are left: choose fewer (--images) or allow more (--max-size)"
            )
        side = max(LEAST_WINDOW, min(side - 1, _side_within(images, budget, side)))
        fit = [_narrowed(image, gt, side) for image in images]
    return fit


def _side_within(images: Sequence[Pictured], budget: int, side: int) -> int:
    """Estimate the largest window below `side` at which all images fit, from their bytes per pixel."""
    fixed = sum(_in_base64(image.thumbnail) for image in images)
    densities = [((image.num_bytes - _in_base64(image.thumbnail)) / _area(image), image) for image in images]
    # A twentieth less: windows lie where there is most detail.
    for smaller in range(side - 1, LEAST_WINDOW, -8):
        needed = sum(density * min(smaller, image.window[2]) * min(smaller, image.window[3])
                     for density, image in densities)  # fmt: skip
        if fixed + needed < 0.95 * budget:
            return smaller
    return LEAST_WINDOW


def _in_base64(content: bytes) -> int:
    """Return the length of a file in base64, four characters for three bytes."""
    return 4 * -(-len(content) // 3)


def _area(image: Pictured) -> int:
    return image.window[2] * image.window[3]


def _narrowed(image: Pictured, gt: str, side: int) -> Pictured:
    """Return an image cut to a window of at most side x side pixels."""
    if max(image.window[2:]) <= side:
        return image
    rgb = {name: decode_image(content, Path(name)).rgb for name, content in image.pixels.items()}
    return _windowed(image, rgb, gt, side)


def _cut(image: np.ndarray, area: Area) -> np.ndarray:
    top, left, height, width = area
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def _worst_window(images: Mapping[str, np.ndarray], gt: str, side: int) -> Area:
    """Return the window of at most side x side pixels with the largest sum of errors over all sources."""
    height, width = images[gt].shape[:2]
    tall, wide = min(side, height), min(side, width)
    if (tall, wide) == (height, width):
        return 0, 0, height, width
    error = np.zeros((height, width))
    for name, image in images.items():
        if name != gt:
            error += np.abs(image.astype(np.int16) - images[gt]).sum(2)
    sums = np.pad(error, ((1, 0), (1, 0))).cumsum(0).cumsum(1)  # (H + 1, W + 1): sums above and to the left
    windows = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    top, left = divmod(int(windows.argmax()), windows.shape[1])
    return top, left, tall, wide


def in_colours(amount: np.ndarray) -> np.ndarray:
    """Draw amounts (H, W) in [0, 1] in the colours of SCALE, more opaque where there is more: (H, W, 4) uint8."""
    at = np.clip(np.nan_to_num(amount), 0, 1)
    positions = np.linspace(0, 1, len(SCALE))
    channels = [np.interp(at, positions, [colour[channel] for colour in SCALE]) for channel in range(3)]
    # The root shows faint amounts, of which maps of attribution are full.
    channels.append(255 * np.sqrt(at))
    return np.stack(channels, 2).round().astype(np.uint8)


def window_sentence(images: Sequence[Pictured]) -> str:
    """Say in words how much of the images the page holds."""
    cut = sum(image.window[2:] != image.size for image in images)
    if not cut:
        return "Pictures are whole, without loss."
    side = max(max(image.window[2:]) for image in images)
    return (
        f"{cut} of {len(images)} pictures are cut to windows of at most {side}x{side} pixels, where errors are "
        "largest, to keep the page within --max-size; their pixels are without loss."
    )
