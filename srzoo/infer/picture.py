"""An image file upscaled as a whole: colours by the network, alpha by interpolation, in the depth that it has."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from srzoo.images import FileLayout, Header, read_image, to_levels, to_tensor
from srzoo.images.rows import RowReader, open_rows
from srzoo.infer.upscale import Upscaler
from srzoo.ops.resize import imresize_bands

# Pixels that are converted at a time: more would only cost memory.
_CHUNK = 1 << 22


@dataclass
class OpenPicture:
    """An image whose rows can be read, from top to bottom.

    Args:
        size: (H, W) [pixels].
        pixels: (H, W, 3) uint8 or uint16; or a file whose rows are decoded when they are needed.
        alpha: (H, W) of the same type; None: opaque.
        grey: the three colours are equal.
    """

    size: tuple[int, int]
    pixels: np.ndarray | RowReader
    alpha: np.ndarray | None = None
    grey: bool = False

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Return rows (bottom - top, W, 3); a file must be asked for every row once, in order."""
        if not isinstance(self.pixels, np.ndarray):
            return self.pixels.read(bottom - top)
        return self.pixels[top:bottom]

    def close(self) -> None:
        """Close the file, if there is one."""
        if not isinstance(self.pixels, np.ndarray):
            self.pixels.close()


def open_picture(path: Path, header: Header, *, max_pixels: int, by_rows: bool) -> OpenPicture:
    """Open an image to be upscaled; colours of its transparent pixels are replaced, see :func:`bled`.

    Args:
        path: the file.
        header: of the file.
        max_pixels: limit of what is decoded.
        by_rows: decode rows when they are needed, where the file allows it: PNG or TIFF, opaque, not to be turned;
            other files are decoded whole.

    Raises:
        OSError, ValueError: as :func:`srzoo.images.read_image`.
    """
    if by_rows and not header.alpha and header.orientation == 1:
        reader = open_rows(path)
        if reader is not None:
            return OpenPicture(header.size, reader, grey=header.grey)
    picture = read_image(path, max_pixels)
    pixels = picture.rgb if picture.alpha is None else bled(picture.rgb, picture.alpha)
    return OpenPicture(header.size, pixels, picture.alpha, header.grey)


def output_size(size: tuple[int, int], magnification: float) -> tuple[int, int]:
    """Return (H, W) of an output: each side times the magnification, rounded (halves to even), at least 1."""
    return max(round(size[0] * magnification), 1), max(round(size[1] * magnification), 1)


def output_layout(header: Header, magnification: float, kind: str) -> FileLayout:
    """Return the layout of an output: grey, alpha and depth as in the input, without its tags."""
    channels = (1 if header.grey else 3) + header.alpha
    # No decoder reads grey with alpha of 16 bits from TIFF files without loss.
    if kind == "tiff" and channels == 2 and header.bits == 16:
        channels = 4
    return FileLayout(*output_size(header.size, magnification), channels, header.bits)


def upscaled_bands(
    upscaler: Upscaler, picture: OpenPicture, layout: FileLayout, *, in_strips: bool
) -> Iterator[np.ndarray]:
    """Upscale an image; yield bands (rows, W, C) of the output, uint8 or uint16, from top to bottom.

    The network enlarges the colours; if `layout` has another size than they have then, they are resized bicubically
    before they are rounded. Grey images go through networks for colours as three equal channels, whose luma is taken;
    colours go through networks for grey images one by one. Alpha is enlarged bicubically.

    Args:
        upscaler: the network.
        picture: of colours in 8 or 16 bits.
        layout: of the output.
        in_strips: memory holds a row of tiles at a time, not the whole output.
    """
    size = (layout.height, layout.width)
    height, width = picture.size
    bands = _colours(upscaler, picture, in_strips)
    enlarged = (height * upscaler.scale, width * upscaler.scale)
    if enlarged != size:
        bands = imresize_bands(bands, enlarged, size)
    levels = _levels(bands, layout)
    if picture.alpha is None:
        yield from levels
        return
    alpha = _levels(imresize_bands(_bands_of(picture.alpha), picture.size, size), FileLayout(*size, 1, layout.bits))
    taken = RowQueue(alpha)
    for band in levels:
        yield np.concatenate([band, taken.take(len(band))], 2)


def bled(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give transparent pixels the colour of the nearest visible one: (H, W, 3), (H, W) -> (H, W, 3).

    Most programs leave black or a key colour there, which a network or a filter would mix into the visible border.
    """
    hidden = alpha == 0
    if hidden.all() or not hidden.any():
        return colours
    # Label of the nearest visible pixel; labels are numbers from 1.
    _, labels = cv2.distanceTransformWithLabels(hidden.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    palette = np.zeros((int(labels.max()) + 1, 3), colours.dtype)
    palette[labels[~hidden]] = colours[~hidden]
    filled = colours.copy()
    filled[hidden] = palette[labels[hidden]]
    return filled


def _colours(upscaler: Upscaler, picture: OpenPicture, in_strips: bool) -> Iterator[Tensor]:
    """Yield bands (1, C, rows, scale * W) of the network's output; C is 1 or 3."""
    channels = upscaler.num_in_ch
    if channels not in (1, 3):
        raise ValueError(f"{upscaler.kind} takes images of {channels} channels; expected a network for grey or RGB")
    height, width = picture.size
    if not in_strips:
        tensor = to_tensor(picture.rows(0, height))  # (3, H, W)
        if channels == 3:
            yield upscaler(tensor[None])
        elif picture.grey:
            yield upscaler(tensor[None, :1])
        else:
            yield upscaler(tensor[:, None]).transpose(0, 1)  # (3, 1, H, W) -> (1, 3, H, W)
    elif channels == 3 or picture.grey:
        yield from upscaler.strips(height, width, lambda top, bottom: _read(picture, top, bottom, slice(channels)))
    else:
        each = [
            upscaler.strips(height, width, lambda top, bottom, c=c: _read(picture, top, bottom, slice(c, c + 1)))
            for c in range(3)
        ]
        for planes in zip(*each, strict=True):
            yield torch.cat(planes, 1)  # (1, 3, rows, W)


def _read(picture: OpenPicture, top: int, bottom: int, channels: slice) -> Tensor:
    return to_tensor(picture.rows(top, bottom)[:, :, channels])[None]  # (1, C, rows, W)


def _levels(bands: Iterable[Tensor], layout: FileLayout) -> Iterator[np.ndarray]:
    """Round bands (1, C, rows, W) to (rows, W, 1) or (rows, W, 3) of the layout's depth."""
    grey = layout.channels <= 2
    for band in bands:
        for part in band[0].split(max(_CHUNK // layout.width, 1), 1):
            if grey and len(part) == 3:
                # The weights of BT.601 add up to 1: equal channels keep their value.
                part = (part * part.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)
            yield to_levels(part, layout.bits)


def _bands_of(plane: np.ndarray) -> Iterator[Tensor]:
    """Yield bands (1, 1, rows, W) of a plane (H, W), in [0, 1]."""
    rows = max(_CHUNK // plane.shape[1], 1)
    for top in range(0, len(plane), rows):
        yield to_tensor(plane[top : top + rows, :, None])[None]


class RowQueue:
    """Rows that come in bands, taken in other portions.

    Args:
        bands: (rows, W, C) from top to bottom.
    """

    def __init__(self, bands: Iterable[np.ndarray]) -> None:
        self._bands = iter(bands)
        self._waiting: list[np.ndarray] = []

    def take(self, rows: int) -> np.ndarray:
        """Return the next rows."""
        while sum(map(len, self._waiting)) < rows:
            self._waiting.append(next(self._bands))
        joined = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting = [joined[rows:]]
        return joined[:rows]
