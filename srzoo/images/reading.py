"""Decoding of image files: OpenCV for most, Pillow for the forms that OpenCV does not know."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from srzoo.images.header import Header
from srzoo.images.kinds import parse_header
from srzoo.images.messages import codec_messages
from srzoo.images.tags import ORIENTATION, read_directory

# Limit of `data.max_pixels` if nobody sets another [pixels].
MAX_PIXELS = 500_000_000


@dataclass(frozen=True)
class Picture:
    """Decoded image: `rgb` (H, W, 3) uint8 or uint16; `alpha` (H, W) of the same type, or None."""

    rgb: np.ndarray
    alpha: np.ndarray | None = None

    @property
    def grey(self) -> np.ndarray:
        """(H, W, 1) of the same type: luma of BT.601 with weights that add up to 1, so that grey images keep values."""
        return cv2.cvtColor(np.ascontiguousarray(self.rgb), cv2.COLOR_RGB2GRAY)[:, :, None]


def read_header(path: Path, max_pixels: int = MAX_PIXELS) -> Header:
    """Read the header of an image file; every file that :func:`read_image` refuses by its header is refused here too.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: not an image, truncated, samples that are not read, or more than `max_pixels`; names the file.
    """
    _refuse_missing(path)
    with path.open("rb") as file:
        return _checked_header(file, path, max_pixels)


def image_size(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the (height, width) that :func:`read_image` would give, from the header.

    Raises:
        FileNotFoundError, ValueError: as in :func:`read_header`.
    """
    return read_header(path, max_pixels).size


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode an image file to RGB; grey is repeated, palettes are resolved, alpha is returned separately.

    The orientation tag is applied. Float samples in [0, 1] (TIFF) are rounded to 16 bits. Of several pages or frames,
    the first is read. Arrays are memory-mapped.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the format is unknown, the file is truncated or damaged, or has more than `max_pixels`; the message
            names the file.
    """
    _refuse_missing(path)
    content = path.read_bytes()
    if header_of(content, path, max_pixels).kind == "NPY":
        return pixels_as_picture(np.load(path, mmap_mode="r", allow_pickle=False))
    return decode_image(content, path, max_pixels)


def header_of(content: bytes, path: Path, max_pixels: int = MAX_PIXELS) -> Header:
    """Read the header of an image file in memory; messages call it `path`.

    Raises:
        ValueError: as in :func:`read_header`.
    """
    return _checked_header(io.BytesIO(content), path, max_pixels)


def decode_image(content: bytes, path: Path, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode an image file in memory, as :func:`read_image` does; messages call it `path`.

    Raises:
        ValueError: as in :func:`read_image`.
    """
    header = header_of(content, path, max_pixels)
    if header.kind == "NPY":
        return pixels_as_picture(np.load(io.BytesIO(content), allow_pickle=False))
    if header.kind == "TIFF" and header.orientation != 1:
        content = _as_stored(content)
    try:
        with codec_messages(path):
            pixels = _decode_by_pillow(content) if header.by_pillow else _decode_by_opencv(content, header)
    except Exception as error:  # plugins of Pillow raise various errors of their libraries
        raise ValueError(f"{path}: cannot be decoded ({error})") from error
    if pixels.shape[:2] != (header.height, header.width):
        raise ValueError(f"{path}: cannot be decoded (its header and its pixels differ in size)")
    pixels = _turned(pixels, header.orientation)
    colours, alpha = pixels[:, :, :3], pixels[:, :, 3] if pixels.shape[2] == 4 else None
    return Picture(np.ascontiguousarray(colours), None if alpha is None else np.ascontiguousarray(alpha))


def pixels_as_picture(array: np.ndarray) -> Picture:
    """Return pixels (H, W, 3) or (H, W, 1) as a picture, without copying them: a memory map stays one."""
    return Picture(array if array.shape[2] == 3 else np.broadcast_to(array, (*array.shape[:2], 3)))  # (H, W, 3)


def _refuse_missing(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(f"{path}: not a readable image (it is a link to a missing file)")
    if not path.is_file():
        kind = "does not exist" if not path.exists() else "is a folder or a device, not a file"
        raise FileNotFoundError(f"image {path} {kind}")


def _checked_header(file: BinaryIO, path: Path, max_pixels: int) -> Header:
    try:
        header = parse_header(file)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    refuse_too_large(header, path, max_pixels)
    return header


def refuse_too_large(header: Header, path: Path, max_pixels: int) -> None:
    """Refuse an image of more than `max_pixels`.

    Raises:
        ValueError: it has more; names the image.
    """
    if header.height * header.width > max_pixels:
        raise ValueError(
            f"{path}: {header.height}x{header.width} are {header.height * header.width / 1e6:,.0f} million pixels, "
            f"more than data.max_pixels allows ({max_pixels / 1e6:,g} million): make it smaller, or raise the limit"
        )


def _decode_by_opencv(content: bytes, header: Header) -> np.ndarray:
    """Decode to (H, W, 3) RGB or (H, W, 4) RGBA, as stored.

    Raises:
        ValueError: truncated or corrupt.
    """
    flags = cv2.IMREAD_IGNORE_ORIENTATION
    # IMREAD_UNCHANGED keeps alpha and 16 bits, but would return a CMYK JPEG as it is.
    flags |= cv2.IMREAD_COLOR if header.kind == "JPEG" else cv2.IMREAD_UNCHANGED
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if pixels is None:
        raise ValueError("truncated or corrupt")
    if pixels.dtype == np.float32:
        pixels = _sixteen_bits(pixels)
    # OpenCV's channel order is BGR.
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _sixteen_bits(pixels: np.ndarray) -> np.ndarray:
    """Round floats in [0, 1] to 16 bits.

    Raises:
        ValueError: other values, whose white is unknown.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # NaN fails both comparisons
        raise ValueError(f"float samples from {low:g} to {high:g}; expected [0, 1]: divide by the value of white")
    return np.rint(pixels * 65535).astype(np.uint16)


def _decode_by_pillow(content: bytes) -> np.ndarray:
    """Decode to (H, W, 3) RGB or (H, W, 4) RGBA, as stored."""
    with Image.open(io.BytesIO(content)) as image:
        transparent = "A" in image.mode or "transparency" in image.info
        return np.asarray(image.convert("RGBA" if transparent else "RGB"))


def _as_stored(content: bytes) -> bytes:
    """Set the orientation tag of a TIFF file in memory to 1: decoders apply it to some TIFF files and not to others."""
    directory = read_directory(io.BytesIO(content), len(content))
    place = directory.tags[ORIENTATION].offset
    return content[:place] + struct.pack(directory.order + "H", 1) + content[place + 2 :]


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W, C) as stored to the picture as shown, by the meaning of the tag in TIFF 6.0 and Exif 2.32."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)  # (W, H, C)
    # After the transposition, 6 and 7 are mirrored left-right and 7 and 8 top-bottom.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
