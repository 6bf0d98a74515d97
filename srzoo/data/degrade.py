"""The eight test degradations of Reflash Dropout: folders of LQ files made from GT files, the same for everyone.

Kong et al., "Reflash Dropout in Image Super-Resolution", CVPR 2022, arXiv:2112.12089, section 4.1: at x4, {clean,
blur2} x bicubic x {none, noise20, jpeg50, noise20 then jpeg50}. Every step works on 8-bit images: Gaussian blur 21x21
with sigma 2, bicubic reduction, Gaussian noise of standard deviation 20, JPEG of quality 50. The steps are those of the
authors' program, bit for bit without noise; theirs is not seeded, the noise of an image here depends on its name alone.
Files are PNG. (Degradations during training are stages: srzoo/degradations.)
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from srzoo.data.folders import search
from srzoo.data.listing import Fault, UnusedImagesError
from srzoo.data.reduction import reduced
from srzoo.data.storage import read_image
from srzoo.images import jpeg_decoded, write_image
from srzoo.keys import file_of

KINDS = tuple(
    f"{blur}bicubic{after}" for blur in ("", "blur2_") for after in ("", "_noise20", "_jpeg50", "_noise20_jpeg50")
)


# Programs that reduce, round and compress: the authors', with Pillow's filter; and that of MATLAB's LR files.
Kernel = Literal["pillow", "matlab"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)


def degraded(gt: np.ndarray, kind: str, scale: int, seed: int, kernel: Kernel = "pillow") -> np.ndarray:
    """Degrade one image: 8-bit RGB (H, W, 3) -> (H / scale, W / scale, 3).

    Args:
        gt: image, cropped to multiples of `scale`.
        kind: one of :data:`KINDS`.
        scale: factor of the reduction.
        seed: of the noise.
        kernel: pillow: Pillow's bicubic filter and JPEG, noisy values truncated to 8 bits, as the authors do; matlab:
            MATLAB's bicubic filter, noisy values rounded, OpenCV's JPEG.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown degradation {kind!r}; known: {', '.join(KINDS)}")
    image = cv2.GaussianBlur(gt, (21, 21), 2) if kind.startswith("blur2") else gt
    lq = reduced(image, scale, "pil" if kernel == "pillow" else "matlab")
    if "noise20" in kind:
        noise = np.random.Generator(np.random.Philox(seed)).normal(0, 20, lq.shape)
        noisy = np.clip(lq + noise, 0, 255)
        lq = (np.floor(noisy) if kernel == "pillow" else np.rint(noisy)).astype(np.uint8)
    if "jpeg50" in kind:
        lq = jpeg_decoded(np.ascontiguousarray(lq), 50, "pillow" if kernel == "pillow" else "opencv")
    return np.ascontiguousarray(lq)


def degrade_folder(
    gt: Path, out: Path, kinds: tuple[str, ...], scale: int, kernel: Kernel = "pillow"
) -> Iterator[Path]:
    """Write out/<kind>/<name>.png for every image of a folder, and yield each path once it is written.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: an unknown kind; a file that exists.
        UnusedImagesError: images that are damaged, have not 8 bits or are smaller than `scale`; the others are done.
    """
    # All requests are checked before the first file is written.
    images = [(image.path, image.key) for image in search(gt).images]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"unknown degradation {', '.join(unknown)}; known: all, {', '.join(KINDS)}")
    targets = {(key, kind): file_of(out / kind, key, ".png") for _, key in images for kind in kinds}
    existing = [str(path) for path in targets.values() if path.exists()]
    if existing:
        raise ValueError(f"{len(existing)} files exist, {existing[0]} first: choose another folder, or remove them")
    faults: list[Fault] = []
    for file, key in images:
        try:
            image = _readable(file, scale)
        except (ValueError, OSError) as error:
            faults.append(Fault(file, str(error).removeprefix(f"{file}: ")))
            continue
        for kind in kinds:
            path = targets[key, kind]
            write_image(path, degraded(image, kind, scale, zlib.crc32(os.fsencode(key)), kernel))
            yield path
    if faults:
        raise UnusedImagesError(faults)


def _readable(file: Path, scale: int) -> np.ndarray:
    """Read an 8-bit image and crop it to multiples of `scale`: (H, W, 3).

    Raises:
        ValueError: damaged, of other depth, or smaller than `scale`.
    """
    image = read_image(file).rgb
    height, width = (side - side % scale for side in image.shape[:2])
    if image.dtype != np.uint8 or not height or not width:
        raise ValueError(
            f"{file}: expected an 8-bit image of at least {scale}x{scale}, got {image.dtype} "
            f"{image.shape[0]}x{image.shape[1]}"
        )
    return image[:height, :width]
