"""Decoding of a band of rows, from a small image file in memory made of these rows."""

from pathlib import Path

import cv2
import numpy as np

from srzoo.images.messages import codec_messages


def decode_band(path: Path, content: bytes | memoryview, size: tuple[int, int]) -> np.ndarray:
    """Decode a small file to (rows, W, 3) RGB; grey is repeated.

    Args:
        path: the file that the rows come from.
        content: a PNG or TIFF file with grey or RGB rows.
        size: its (rows, W).

    Raises:
        ValueError: the rows are damaged; names the file.
    """
    try:
        with codec_messages(path):
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except (ValueError, cv2.error) as error:
        raise ValueError(f"{path}: cannot be decoded ({error})") from error
    if pixels is None or pixels.shape[:2] != size:
        raise ValueError(f"{path}: cannot be decoded (damaged rows)")
    # OpenCV's channel order is BGR.
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB)
