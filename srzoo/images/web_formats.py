"""Headers of PNG, JPEG and WebP files, and that their end is there.

Written from PNG (W3C, 3rd edition), JPEG (ITU T.81), WebP (RFC 9649) and Exif 2.32.
"""

import io
import struct
from typing import BinaryIO

from srzoo.images.header import TRUNCATED, Header
from srzoo.images.tags import read_directory


def read_png(file: BinaryIO, size: int) -> Header:
    """Read the chunks of a PNG file up to its end."""
    position, alpha, orientation, has_more = 8, False, 1, False
    height = width = bits = colour = 0
    while True:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if position + 12 + length > size:
            raise ValueError(TRUNCATED)
        if name == b"IHDR":
            width, height, bits, colour = struct.unpack(">IIBB", file.read(10))
        elif name == b"tRNS":
            alpha = True
        elif name == b"eXIf":
            orientation = _exif_orientation(file.read(length))
        has_more |= name == b"acTL"
        if name == b"IEND":
            break
        position += 12 + length
    # Colour types: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
    alpha |= colour in (4, 6)
    return Header("PNG", height, width, max(bits, 8), colour in (0, 4), alpha, orientation, has_more)


def read_jpeg(file: BinaryIO, size: int) -> Header:
    """Read the segments of a JPEG file up to its pixels, and search those for their end."""
    position, orientation = 2, 1
    frame: tuple[int, int, int, int] | None = None
    while True:
        file.seek(position)
        mark, code = struct.unpack(">BB", file.read(2))
        if mark != 0xFF:
            raise ValueError("its JPEG markers are damaged")
        if code == 0xFF:  # a fill byte before a marker
            position += 1
            continue
        if code == 0x01 or 0xD0 <= code <= 0xD8:  # markers without content
            position += 2
            continue
        if code == 0xDA or code == 0xD9:  # start of the pixels, or an end without any
            break
        (length,) = struct.unpack(">H", file.read(2))
        # SOF0 to SOF15; C4, C8 and CC are other markers.
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            frame = struct.unpack(">BHHB", file.read(6))  # precision, height, width, components
        elif code == 0xE1 and orientation == 1:
            content = file.read(length - 2)
            orientation = _exif_orientation(content[6:]) if content[:6] == b"Exif\0\0" else 1
        position += 2 + length
    if frame is None:
        raise ValueError(TRUNCATED)
    bits, height, width, components = frame
    if bits != 8:
        raise ValueError(f"JPEG of {bits} bits per sample; expected 8: convert it to a 16-bit PNG")
    if not _has_end_marker(file, position, size):
        raise ValueError(TRUNCATED)
    return Header("JPEG", height, width, grey=components == 1, orientation=orientation)


def _has_end_marker(file: BinaryIO, position: int, size: int) -> bool:
    """Search the pixels of a JPEG file, which begin at `position`, for the end marker: within them FF D9 never occurs.

    Phones append films and second pictures, so that the marker may be far from the end.
    """
    start = max(position, size - 4096)  # usually it is at the very end
    file.seek(start)
    if b"\xff\xd9" in file.read():
        return True
    file.seek(position)
    last = b""
    while block := file.read(1 << 20):
        if b"\xff\xd9" in last + block:
            return True
        last = block[-1:]
    return False


def read_webp(file: BinaryIO, size: int) -> Header:
    """Read the chunks of a WebP file."""
    (length,) = struct.unpack("<I", file.read(8)[4:])
    if length + 8 > size:
        raise ValueError(TRUNCATED)
    position, end = 12, length + 8
    canvas: tuple[int, int] | None = None  # (H, W), of the whole file or else of its picture
    orientation, alpha, has_more = 1, False, False
    while position + 8 <= end:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        content = file.read(length if name == b"EXIF" else min(length, 16))
        if name == b"VP8X":
            alpha, has_more = bool(content[0] & 0x10), bool(content[0] & 0x02)
            canvas = (_uint24(content[7:]) + 1, _uint24(content[4:]) + 1)
        elif name == b"VP8 " and canvas is None:
            width, height = struct.unpack("<HH", content[6:10])
            canvas = (height & 0x3FFF, width & 0x3FFF)
        elif name == b"VP8L" and canvas is None:
            (packed,) = struct.unpack("<I", content[1:5])
            canvas = ((packed >> 14 & 0x3FFF) + 1, (packed & 0x3FFF) + 1)
            alpha = bool(packed >> 28 & 1)
        elif name == b"EXIF":
            orientation = _exif_orientation(content.removeprefix(b"Exif\0\0"))
        position += 8 + length + length % 2
    if canvas is None:
        raise ValueError(TRUNCATED)
    return Header("WebP", *canvas, alpha=alpha, orientation=orientation, has_more=has_more)


def _uint24(content: bytes) -> int:
    return int.from_bytes(content[:3], "little")


def _exif_orientation(block: bytes) -> int:
    try:
        return read_directory(io.BytesIO(block), len(block)).orientation
    except ValueError:  # pictures with damaged EXIF are shown as stored
        return 1
