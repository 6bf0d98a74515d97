"""Kind of an image file: decided here, by content, for the whole program."""

import io
import re
import struct
from typing import BinaryIO

from srzoo.images.header import TRUNCATED, Header
from srzoo.images.other_formats import read_avif, read_bmp, read_gif, read_jpeg2000, read_npy, read_pnm
from srzoo.images.tiff import read_tiff
from srzoo.images.web_formats import read_jpeg, read_png, read_webp

# Suffixes of the files that a folder is searched for; which kind a file is does not depend on them.
EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pbm"),
    *(".pnm", ".jp2", ".j2k", ".avif", ".npy"),
)

# Beginnings of the files that are read: reader of the header.
_READ = (
    (rb"\x89PNG\r\n\x1a\n", read_png),
    (rb"\xff\xd8\xff", read_jpeg),
    (rb"RIFF....WEBP", read_webp),
    (rb"II[*+]\0|MM\0[*+]", read_tiff),
    (rb"BM", read_bmp),
    (rb"GIF8[79]a", read_gif),
    (rb"P[1-6]\s", read_pnm),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", read_jpeg2000),
    (rb"....ftypavi[fs]", read_avif),
    (rb"\x93NUMPY", read_npy),
)
# Beginnings of files that are not: their name, for the message.
_REFUSED = (
    (rb"....ftyp(hei|hev|mif1|msf1)", "HEIC"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
    (rb"8BPS", "Photoshop"),
    (rb"v/1\x01", "OpenEXR"),
    (rb"#\?RADIANCE|#\?RGBE", "Radiance HDR"),
    (rb"P[Ff7]\s", "PFM or PAM"),
    (rb"%PDF", "PDF"),
    (rb"PK\x03\x04", "ZIP"),
    (rb"\s*(?i:<!doctype|<html|<\?xml|<svg)", "a web page or SVG"),
    (rb"version https://git-lfs", "a pointer of Git LFS: fetch the file with `git lfs pull`"),
)


def parse_header(file: BinaryIO) -> Header:
    """Read the header of an open image file, and see that its end is there.

    Raises:
        ValueError: not an image, truncated, or samples that are not read (32-bit floats, for example).
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(32)
    file.seek(0)
    for pattern, reader in _READ:
        if re.match(pattern, start, re.DOTALL):
            try:
                header = reader(file, size)
            except (struct.error, IndexError) as error:
                raise ValueError(TRUNCATED) from error
            if header.height < 1 or header.width < 1:
                raise ValueError(f"not a readable image (its header says {header.height}x{header.width})")
            return header
    for pattern, name in _REFUSED:
        if re.match(pattern, start, re.DOTALL):
            raise ValueError(f"not a readable image (its content is {name})")
    raise ValueError("not a readable image (" + ("unknown content" if start else "the file is empty") + ")")
