"""Images as they are kept: grey stays grey, alpha, 16 bits and colour profiles stay."""

from pathlib import Path

import numpy as np

from srzoo.data.storage import profile_of, read_header, read_image
from srzoo.images import Header


def num_channels(header: Header) -> int:
    """Return the number of channels of :func:`read_pixels`: 1 for grey, 3 for RGB, 4 with alpha."""
    return 4 if header.alpha else 1 if header.grey else 3


def num_bytes(header: Header) -> int:
    """Return the size of one pixel without compression [bytes]."""
    return num_channels(header) * (header.bits // 8)


def read_pixels(path: Path) -> tuple[np.ndarray, bytes | None]:
    """Decode an image to (H, W, C) uint8 or uint16, C as in :func:`num_channels`, and return its colour profile too.

    Raises:
        FileNotFoundError, ValueError: as in :func:`srzoo.data.storage.read_image`.
    """
    channels = num_channels(read_header(path))
    picture = read_image(path)
    if channels == 4 and picture.alpha is not None:
        pixels = np.dstack([picture.rgb, picture.alpha])  # (H, W, 4)
    else:
        pixels = picture.rgb[:, :, :1] if channels == 1 else picture.rgb  # grey is repeated in RGB
    return pixels, profile_of(path, 1 if channels == 1 else 3)
