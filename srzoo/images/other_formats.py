"""Headers of BMP, PNM, JPEG 2000, GIF, AVIF and NumPy files.

Written from Microsoft's documentation of BMP, netpbm's of PNM, and ITU T.800 (JPEG 2000). Pillow reads GIF and AVIF.
"""

import re
import struct
from typing import BinaryIO

import numpy as np
from PIL import Image

from srzoo.images.header import TRUNCATED, Header
from srzoo.images.tags import ORIENTATION

# Pillow's limit against decompression bombs is replaced by `data.max_pixels`, which is checked before decoding.
Image.MAX_IMAGE_PIXELS = None


def read_bmp(file: BinaryIO, size: int) -> Header:
    """Read the header of a BMP file."""
    start = file.read(138)
    (length,) = struct.unpack_from("<I", start, 14)
    if length == 12:  # the first version, with sizes of 16 bits
        width, height, _, bits = struct.unpack_from("<HHHH", start, 18)
        packing = 0
    else:
        width, height, _, bits, packing = struct.unpack_from("<iiHHI", start, 18)
    if length not in (12, 40, 52, 56, 64, 108, 124):
        raise ValueError("not a readable image (unknown content)")  # a text may begin with "BM" too
    # Rows of whole 4 bytes; packing 0 and 3 are plain pixels, others are compressed.
    stored = (width * bits + 31) // 32 * 4 * abs(height)
    if packing in (0, 3) and struct.unpack_from("<I", start, 10)[0] + stored > size:
        raise ValueError(TRUNCATED)
    alpha = bits == 32 and length >= 56 and packing == 3 and struct.unpack_from("<I", start, 66)[0] != 0
    return Header("BMP", abs(height), width, alpha=alpha)  # a negative height means rows from the top


def read_pnm(file: BinaryIO, size: int) -> Header:
    """Read the header of a PBM, PGM or PPM file."""
    del size
    number = rb"(?:\s|#[^\n]*\n)+(\d+)"
    start = file.read(4096)
    plain = start[1:2] in b"14"  # bitmaps have no largest value
    found = re.match(rb"P[1-6]" + number * (2 if plain else 3), start)
    if found is None:
        raise ValueError(TRUNCATED)
    largest = 1 if plain else int(found[3])
    if largest > 255 and largest != 65535:
        raise ValueError(f"PNM with values up to {largest}; expected 255 or 65535: convert it to PNG")
    bits = 16 if largest == 65535 else 8
    return Header("PNM", int(found[2]), int(found[1]), bits, grey=start[1:2] in b"1245")


def read_jpeg2000(file: BinaryIO, size: int) -> Header:
    """Read the header of a JPEG 2000 file or code stream."""
    content = file.read(1 << 20)
    start = content.find(b"\xff\x4f\xff\x51")  # SOC and SIZ, the beginning of the code stream
    if start < 0:
        raise ValueError(TRUNCATED)
    right, bottom, left, top = struct.unpack_from(">IIII", content, start + 8)
    (channels,) = struct.unpack_from(">H", content, start + 40)
    bits = {content[start + 42 + 3 * channel] + 1 for channel in range(channels)}
    if bits == {8}:
        return read_by_pillow(file, size, "JPEG 2000")
    # OpenCV alone keeps 16 bits, and takes four channels for RGB with alpha.
    if bits != {16} or channels not in (1, 3):
        raise ValueError(
            f"JPEG 2000 of {channels} channels of {'/'.join(map(str, sorted(bits)))} bits; expected 8 bits, or grey or "
            "RGB of 16: convert it to PNG"
        )
    return Header("JPEG 2000", bottom - top, right - left, 16, channels == 1)


def read_gif(file: BinaryIO, size: int) -> Header:
    """Read the header of a GIF file."""
    return read_by_pillow(file, size, "GIF")


def read_avif(file: BinaryIO, size: int) -> Header:
    """Read the header of an AVIF file."""
    depths = re.search(rb"pixi....(.)(.*)", file.read(1 << 16), re.DOTALL)  # number of channels, bits of each
    if depths is not None and set(depths[2][: depths[1][0]]) - {8}:
        raise ValueError("AVIF of more than 8 bits, which no decoder here reads without loss: convert it to PNG")
    return read_by_pillow(file, size, "AVIF")


def read_by_pillow(file: BinaryIO, size: int, kind: str) -> Header:
    """Let Pillow read the header of a file that it decodes too."""
    del size
    file.seek(0)
    try:
        with Image.open(file) as image:
            width, height = image.size
            return Header(
                kind,
                height,
                width,
                grey=image.mode in ("1", "L", "LA"),
                alpha="A" in image.mode or "transparency" in image.info,
                # The tag of a GIF file would lie behind its pixels.
                orientation=1 if kind == "GIF" else image.getexif().get(ORIENTATION, 1),
                has_more=getattr(image, "is_animated", False),
                by_pillow=True,
            )
    except Exception as error:  # plugins of Pillow raise various errors of their libraries
        raise ValueError(f"not a readable image ({error})") from error


def read_npy(file: BinaryIO, size: int) -> Header:
    """Read the header of an array of pixels that NumPy saved."""
    try:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
    except (ValueError, EOFError) as error:
        raise ValueError(f"not a readable array ({error})") from error
    if len(shape) != 3 or shape[2] not in (1, 3) or dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected a uint8 or uint16 array (H, W, 3) or (H, W, 1), got {dtype} {shape}")
    if file.tell() + dtype.itemsize * shape[0] * shape[1] * shape[2] > size:
        raise ValueError(TRUNCATED)
    return Header("NPY", shape[0], shape[1], 8 * dtype.itemsize, shape[2] == 1)
