"""Images written band by band: PNG and TIFF of any size, JPEG and WebP from memory."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from srzoo.atomic import write_atomic
from srzoo.images.layout import FileLayout
from srzoo.images.png import PNGWriter
from srzoo.images.tiff_writer import TIFFWriter


@dataclass(frozen=True)
class FileFormat:
    """Image format that results are written in.

    Args:
        name: as users call it.
        suffixes: of its files; the first is that of files written.
        max_side: longest side [pixels].
        deep: holds 16 bits.
        alpha: holds an alpha channel.
    """

    name: str
    suffixes: tuple[str, ...]
    max_side: int
    deep: bool = True
    alpha: bool = True

    def faults(self, layout: FileLayout) -> list[str]:
        """List everything about an image that a file of this format cannot hold."""
        faults: list[str] = []
        if max(layout.height, layout.width) > self.max_side:
            faults.append(f"{layout.width}x{layout.height} pixels (at most {self.max_side:,} on a side)")
        if layout.alpha and not self.alpha:
            faults.append("alpha")
        if layout.bits == 16 and not self.deep:
            faults.append("16 bits")
        return faults


FORMATS = {
    "png": FileFormat("PNG", (".png",), 2**31 - 1),
    "jpg": FileFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), 65_535, deep=False, alpha=False),
    "webp": FileFormat("WebP", (".webp",), 16_383, deep=False),
    "tiff": FileFormat("TIFF", (".tiff", ".tif"), 2**31 - 1),
}

_JPEG_QUALITY = 95


def write_bands(path: Path, kind: str, layout: FileLayout, bands: Iterable[np.ndarray]) -> None:
    """Write an image from bands of rows; the file appears whole or not at all, also if `bands` raises an error.

    PNG and TIFF are compressed without loss as the bands come. JPEG (quality 95, chroma in full resolution) and WebP
    (without loss) are put together in memory first.

    Args:
        path: target; missing folders are created.
        kind: key of :data:`FORMATS`.
        layout: of the image; the format can hold it.
        bands: (rows, W, C) uint8 or uint16 from top to bottom.

    Raises:
        OSError: the file cannot be written.
    """

    def write(file: BinaryIO) -> None:
        if kind in ("jpg", "webp"):
            _write_by_pillow(file, kind, layout, np.concatenate(list(bands)))
            return
        writer = (PNGWriter if kind == "png" else TIFFWriter)(file, layout)
        height = 0
        for band in bands:
            height += len(band)
            writer.write(band)
        assert height == layout.height
        writer.finish()

    write_atomic(path, write)


def _write_by_pillow(file: BinaryIO, kind: str, layout: FileLayout, pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels[:, :, 0] if layout.channels == 1 else pixels)  # LA for two channels
    tags = {} if layout.profile is None else {"icc_profile": layout.profile}
    # Encoded in memory: Pillow hides a full disk behind errors of its own.
    encoded = io.BytesIO()
    if kind == "jpg":
        dpi = {} if layout.dpi is None else {"dpi": layout.dpi}
        image.save(encoded, "JPEG", quality=_JPEG_QUALITY, subsampling=0, **tags, **dpi)
    else:
        # `exact` keeps the colours of transparent pixels.
        image.save(encoded, "WEBP", lossless=True, exact=True, **tags)
    file.write(encoded.getbuffer())
