"""ICC profiles: which colours the values of an image stand for."""

import struct
import zlib
from pathlib import Path

from PIL import Image


def colour_profile(path: Path, num_channels: int) -> bytes | None:
    """Return the ICC profile of a file, if it has one for images of 1 or 3 colour channels."""
    try:
        with Image.open(path) as image:
            profile = image.info.get("icc_profile")
    except Exception:  # Pillow does not know this kind of file, or its plugin failed: there is no profile to keep
        return None
    # Bytes 16 to 19 of a profile name its colour space (ICC.1:2010, 7.2.6); CMYK does not fit what was read as RGB.
    expected = b"GRAY" if num_channels == 1 else b"RGB "
    return profile if isinstance(profile, bytes) and profile[16:20] == expected else None


def resolution(path: Path) -> tuple[float, float] | None:
    """Return the resolution (horizontal, vertical) that a file states as stored, if it does [pixels per inch]."""
    try:
        with Image.open(path) as image:
            horizontal, vertical = (float(value) for value in image.info["dpi"])
    except Exception:  # there is none, or Pillow does not know this kind of file
        return None
    # Both are written as 32-bit numbers; NaN fails the comparison.
    return (horizontal, vertical) if all(1 <= value < 1e6 for value in (horizontal, vertical)) else None


def profile_content(profile: bytes) -> bytes:
    """Return the content of a PNG's iCCP chunk (W3C, 3rd edition, 11.3.2.3)."""
    return b"ICC profile\0\0" + zlib.compress(profile)


def with_profile(png: bytes, profile: bytes) -> bytes:
    """Add an iCCP chunk to a PNG file, between the header and everything else."""
    content = b"iCCP" + profile_content(profile)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    end_of_header = 8 + 25  # signature and IHDR
    return png[:end_of_header] + chunk + png[end_of_header:]
