"""LR files made from GT: OUT/LRbicx2/NAMEx2.png, the layout of the classic benchmark sets and of the option files."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from srzoo.data.folders import search
from srzoo.data.listing import Fault
from srzoo.data.prepare.jobs import Made, Preparation, Target
from srzoo.data.prepare.pictures import num_bytes, read_pixels
from srzoo.data.reduction import Kernel, reduced
from srzoo.data.storage import read_header
from srzoo.keys import file_of


def lr_folder(scale: int, kernel: Kernel) -> str:
    """Return the folder of LR files below the output folder: kernels do not mix."""
    return f"LR{'bic' if kernel == 'matlab' else kernel}x{scale}"


def lr_jobs(gt: Path, out: Path, scales: Sequence[int], kernel: Kernel) -> tuple[list[Preparation], list[Fault]]:
    """Return a job for each GT image and scale, and the images that cannot be used.

    GT is cropped at the bottom and right to a multiple of the scale first, as datasets do. PNG files keep grey, alpha,
    16 bits and colour profiles.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: a scale below 2, or output inside the input folder.
    """
    if min(scales, default=0) < 2:
        raise ValueError(f"expected scales of 2 or more, got {', '.join(map(str, scales)) or 'none'}")
    refuse_output_inside(gt, out)
    jobs: list[Preparation] = []
    faults: list[Fault] = []
    for image in search(gt).images:
        try:
            header = read_header(image.path)
            height, width = header.size
            if min(height, width) < max(scales):
                raise ValueError(f"smaller than the scale {max(scales)}: {height}x{width}")
        except (ValueError, OSError) as error:
            faults.append(Fault(image.path, str(error).removeprefix(f"{image.path}: ")))
            continue
        for scale in scales:
            folder = lr_folder(scale, kernel)
            name = file_of(Path(folder), f"{image.key}x{scale}", ".png")
            target = Target(name.as_posix(), (height // scale) * (width // scale) * num_bytes(header))
            settings = {"kernel": kernel, "scale": scale}
            make = functools.partial(_reduce_file, image.path, scale, kernel)
            jobs.append(
                Preparation(f"{folder}/{image.key}", (image.path,), (target,), settings, make, height * width, folder)
            )
    return jobs, faults


def _reduce_file(path: Path, scale: int, kernel: Kernel) -> Iterator[Made]:
    pixels, profile = read_pixels(path)
    height, width = (side - side % scale for side in pixels.shape[:2])
    yield Made(reduced(pixels[:height, :width], scale, kernel), profile)


def refuse_output_inside(folder: Path, out: Path) -> None:
    """Check that an output folder is not the input folder or inside it.

    Raises:
        ValueError: it is; a second run would take the results for inputs.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"output folder {out} lies inside the input folder {folder}: choose one outside it")
