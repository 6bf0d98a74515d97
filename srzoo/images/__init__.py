"""Reading and writing image files. The only package that knows the codec libraries.

A file's content decides its kind, never its suffix; ``kinds.py`` is the one place where it is decided. PNG, JPEG, TIFF,
WebP, BMP, GIF, PNM, JPEG 2000 and AVIF are read with 8 or 16 bits (grey, palette, CMYK and alpha included; floats in
TIFF files as 16 bits), and arrays in ``.npy`` files, which are memory-mapped so that a crop reads only its own bytes.
Pixels are RGB, turned as the orientation tag says. PNG and TIFF are written, and plain PNG read, in bands of rows too.
"""

from srzoo.images.header import Header
from srzoo.images.kinds import EXTENSIONS
from srzoo.images.layout import FileLayout
from srzoo.images.messages import console_lock
from srzoo.images.pixels import encode_image, encode_webp, jpeg_decoded, to_levels, to_tensor, to_uint8, write_image
from srzoo.images.profiles import colour_profile, resolution
from srzoo.images.reading import (
    MAX_PIXELS,
    Picture,
    decode_image,
    header_of,
    image_size,
    pixels_as_picture,
    read_header,
    read_image,
    refuse_too_large,
)
from srzoo.images.versions import codec_versions
from srzoo.images.writing import FORMATS, FileFormat, write_bands

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "MAX_PIXELS",
    "FileFormat",
    "FileLayout",
    "Header",
    "Picture",
    "codec_versions",
    "colour_profile",
    "console_lock",
    "decode_image",
    "encode_image",
    "encode_webp",
    "header_of",
    "image_size",
    "jpeg_decoded",
    "pixels_as_picture",
    "read_header",
    "read_image",
    "refuse_too_large",
    "resolution",
    "to_levels",
    "to_tensor",
    "to_uint8",
    "write_bands",
    "write_image",
]
