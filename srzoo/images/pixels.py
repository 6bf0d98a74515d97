"""Encoding of image files, and the way between pixels and tensors."""

import io
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from srzoo.atomic import write_atomic
from srzoo.images.profiles import with_profile


def write_image(path: Path, pixels: np.ndarray, profile: bytes | None = None) -> None:
    """Encode grey, RGB or RGBA pixels in the format of the suffix of `path`, written atomically.

    Args:
        path: target file.
        pixels: (H, W, C) uint8 or uint16, C = 1, 3 or 4.
        profile: ICC profile of a PNG file.

    Raises:
        ValueError: the suffix is not a format that can be written.
        OSError: the file cannot be written.
    """
    try:
        content = encode_image(pixels, path.suffix, profile=profile)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    write_atomic(path, lambda file: file.write(content))


def encode_image(pixels: np.ndarray, suffix: str, *, lossless: bool = False, profile: bytes | None = None) -> bytes:
    """Encode grey, RGB or RGBA pixels in the format of a suffix.

    Args:
        pixels: (H, W, C) uint8 or uint16, C = 1, 3 or 4.
        suffix: of the format, such as ".png".
        lossless: choose the lossless form of WebP.
        profile: ICC profile for PNG; None: none.

    Raises:
        ValueError: it is not a format that can be written.
    """
    # OpenCV's channel order is BGR.
    bgr = pixels if pixels.shape[2] == 1 else pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    # Qualities above 100 select WebP's lossless form.
    settings = [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" and lossless else []
    try:
        encoded, buffer = cv2.imencode(suffix, np.ascontiguousarray(bgr), settings)
    except cv2.error as error:
        raise ValueError(f"this codec library cannot write {suffix}") from error
    assert encoded
    return buffer.tobytes() if profile is None else with_profile(buffer.tobytes(), profile)


def encode_webp(rgb: np.ndarray) -> bytes:
    """Encode 8-bit RGB pixels (H, W, 3) as WebP without loss: a tenth larger than by :func:`encode_image`, at 10 times
    its speed.
    """
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "WEBP", lossless=True, method=0, quality=0)
    return file.getvalue()


def to_tensor(rgb: np.ndarray) -> Tensor:
    """Convert (H, W, C) uint8 or uint16, or float32 in [0, 1], to (C, H, W) float32 in [0, 1]."""
    chw = np.ascontiguousarray(rgb.transpose(2, 0, 1))  # (C, H, W)
    if chw.dtype == np.float32:
        return torch.from_numpy(chw)
    return torch.from_numpy(chw.astype(np.float32) / np.float32(np.iinfo(rgb.dtype).max))


def to_uint8(image: Tensor) -> np.ndarray:
    """Convert (C, H, W) in [0, 1] to (H, W, C) uint8, clipped and rounded half to even, as BasicSR does."""
    return to_levels(image, 8)


def to_levels(image: Tensor, bits: int) -> np.ndarray:
    """Convert (C, H, W) in [0, 1] to (H, W, C) levels of 8 or 16 bits, clipped and rounded half to even."""
    levels = (image.detach().float().clamp(0, 1) * (2**bits - 1)).round()
    pixels = levels.permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, C)
    return pixels.astype(np.uint8 if bits == 8 else np.uint16)


def jpeg_decoded(rgb: np.ndarray, quality: int, library: Literal["opencv", "pillow"] = "opencv") -> np.ndarray:
    """Compress an 8-bit RGB or grey image (H, W, C) by libjpeg at `quality`, 1 to 100, and decode it again.

    Builds of the two libraries may differ by a few levels where chroma is enlarged.
    """
    grey = rgb.shape[2] == 1
    if library == "pillow":
        file = io.BytesIO()
        Image.fromarray(rgb[..., 0] if grey else rgb).save(file, "JPEG", quality=quality)
        decoded = np.array(Image.open(file).convert("L" if grey else "RGB"))
        return decoded[..., None] if grey else decoded
    # OpenCV's channel order is BGR.
    done, encoded = cv2.imencode(".jpg", rgb if grey else rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    decoded = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded[..., None] if grey else np.ascontiguousarray(decoded[..., ::-1])
