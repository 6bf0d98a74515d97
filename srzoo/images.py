"""Reading and writing image files. The only module that knows the codec libraries.

Formats: PNG, JPEG, BMP, TIFF, WebP (8 or 16 bits; grey, palette and alpha included) and ``.npy`` (H, W, 3) arrays,
which are memory-mapped so that a crop reads only its own bytes. Pixels are RGB. JPEG orientation tags are applied.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from srzoo.atomic import write_atomic

# Pillow's limit guards against decompression bombs; here it reads headers, and pixels only of TIFF files with alpha.
Image.MAX_IMAGE_PIXELS = None

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy")

# Marks of a complete file; the other formats have none.
_LAST_BYTES = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}


@dataclass(frozen=True)
class Picture:
    """Decoded image: `rgb` (H, W, 3) uint8 or uint16; `alpha` (H, W) of the same type, or None."""

    rgb: np.ndarray
    alpha: np.ndarray | None = None


def read_image(path: Path) -> Picture:
    """Decode an image file to RGB; grey is repeated, palettes are resolved, alpha is returned separately.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the format is unknown, or the file is truncated or corrupt; the message names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"image {path} does not exist")
    if path.suffix.lower() == ".npy":
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: not a readable array ({error})") from error
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"{path}: expected a uint8 or uint16 array (H, W, 3), got {array.dtype} {array.shape}")
        return Picture(array)
    if path.suffix.lower() in (".tif", ".tiff"):
        picture = _tiff_with_alpha(path)
        if picture is not None:
            return picture
    encoded = np.fromfile(path, np.uint8)
    # IMREAD_UNCHANGED keeps alpha but ignores the orientation tag of camera JPEGs, which have no alpha.
    jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if jpeg else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(encoded, flags) if encoded.size else None
    except cv2.error as error:
        raise ValueError(f"{path}: cannot be decoded ({error})") from error
    if pixels is None:
        raise ValueError(f"{path}: cannot be decoded (truncated, corrupt or not an image)")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{path}: expected 8 or 16 bits per channel, got {pixels.dtype}")
    # OpenCV's channel order is BGR.
    if pixels.ndim == 2:
        return Picture(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB))
    if pixels.shape[2] == 4:
        return Picture(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), np.ascontiguousarray(pixels[:, :, 3]))
    return Picture(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))


def _tiff_with_alpha(path: Path) -> Picture | None:
    """Decode a TIFF file with alpha by Pillow, because OpenCV mixes it into the colours; None for other files."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("LA", "RGBA"):
                return None
            pixels = np.asarray(image.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError):
        return None
    return Picture(np.ascontiguousarray(pixels[:, :, :3]), np.ascontiguousarray(pixels[:, :, 3]))


def image_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) that :func:`read_image` would give, from the header.

    Raises:
        ValueError: the header cannot be read, or the end of the file is missing.
    """
    if path.suffix.lower() == ".npy":
        height, width = read_image(path).rgb.shape[:2]
        return height, width
    if path.exists() and not path.stat().st_size:
        raise ValueError(f"{path}: not a readable image (the file is empty)")
    try:
        with Image.open(path) as image:
            width, height = image.size
            mark = _LAST_BYTES.get(image.format or "")
            # Orientations 5 to 8 exchange rows and columns (EXIF tag 0x0112).
            transposed = image.format == "JPEG" and image.getexif().get(0x0112, 1) >= 5
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path}: not a readable image ({error})") from error
    if mark is not None:
        # Some programs append data after the mark, so that it is not always at the very end.
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            if mark not in file.read():
                raise ValueError(f"{path}: truncated (the end of the file is missing)")
    return (width, height) if transposed else (height, width)


def write_image(path: Path, rgb: np.ndarray) -> None:
    """Encode (H, W, 3) RGB uint8 or uint16 in the format of the suffix of `path`, written atomically.

    Raises:
        ValueError: the suffix is not a format that can be written.
        OSError: the file cannot be written.
    """
    encoded, buffer = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not encoded:
        raise ValueError(f"{path}: this codec library cannot write {path.suffix}")
    write_atomic(path, lambda file: file.write(buffer.tobytes()))


def to_tensor(rgb: np.ndarray) -> Tensor:
    """Convert (H, W, 3) uint8 or uint16, or float32 in [0, 1], to (3, H, W) float32 in [0, 1]."""
    chw = np.ascontiguousarray(rgb.transpose(2, 0, 1))  # (3, H, W)
    if chw.dtype == np.float32:
        return torch.from_numpy(chw)
    return torch.from_numpy(chw.astype(np.float32) / np.float32(np.iinfo(rgb.dtype).max))


def to_uint8(image: Tensor) -> np.ndarray:
    """Convert (3, H, W) in [0, 1] to (H, W, 3) uint8, clipped and rounded half to even, as BasicSR does."""
    levels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()  # (H, W, 3)


def jpeg_decoded(rgb: np.ndarray, quality: int, library: Literal["opencv", "pillow"] = "opencv") -> np.ndarray:
    """Compress an 8-bit RGB image (H, W, 3) by libjpeg at `quality`, 1 to 100, and decode it again.

    Builds of the two libraries may differ by a few levels where chroma is enlarged.
    """
    if library == "pillow":
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "JPEG", quality=quality)
        return np.array(Image.open(file).convert("RGB"))
    done, encoded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])
