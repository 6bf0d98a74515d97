"""Sub-images: overlapping tiles of large images, which a training reads faster than whole ones.

The grid is that of BasicSR's script: tiles of `size` every `step` pixels; if more than `thresh` pixels remain at the
right or bottom, a last column or row lies flush with the border. Tiles are numbered row by row, NAME_s001.png first.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from srzoo.data.folders import key_of, search
from srzoo.data.listing import Fault, ImageFile
from srzoo.data.prepare.jobs import Made, Preparation, Target
from srzoo.data.prepare.lr_files import refuse_output_inside
from srzoo.data.prepare.pictures import num_bytes, read_pixels
from srzoo.data.storage import read_header, same_place
from srzoo.keys import file_of


@dataclass(frozen=True)
class Grid:
    """Places of tiles in GT [GT pixels].

    Args:
        size: side of a tile.
        step: distance from one tile to the next.
        thresh: widest strip at the border that is left out.
        scale: magnification of the LQ images that are cut alike; 1 without any.
    """

    size: int
    step: int
    thresh: int = 0
    scale: int = 1

    def __post_init__(self) -> None:
        if min(self.size, self.step, self.scale) < 1 or self.thresh < 0:
            raise ValueError(
                "expected size, step and scale above 0 and thresh of 0 or more, "
                f"got size {self.size}, step {self.step}, scale {self.scale}, thresh {self.thresh}"
            )
        if self.size % self.scale or self.step % self.scale:
            raise ValueError(f"size {self.size} and step {self.step} must be multiples of the scale {self.scale}")

    def starts(self, length: int) -> list[int]:
        """Return the first pixels of the tiles along a side of `length` pixels."""
        starts = list(range(0, length - self.size + 1, self.step))
        if length - (starts[-1] + self.size) > self.thresh:
            starts.append(length - self.size)
        return starts

    def corners(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the top left corners (y, x) of all tiles, row by row."""
        return [(y, x) for y in self.starts(height) for x in self.starts(width)]


def sub_image_jobs(gt: Path, out: Path, grid: Grid, lq: Path | None = None) -> tuple[list[Preparation], list[Fault]]:
    """Return a job for each image of a folder, and the images that cannot be used.

    Args:
        gt: folder of images.
        out: output folder; tiles go to it, or with `lq` to its sub-folders GT and LQ, under the name of GT.
        grid: places of the tiles.
        lq: folder of LQ images named like GT, or NAMExN at scale N; GT is cropped to multiples of N.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: output inside an input folder.
    """
    refuse_output_inside(gt, out)
    partners: dict[str, list[Path]] = {}
    if lq is not None:
        refuse_output_inside(lq, out)
        for image in search(lq).images:
            partners.setdefault(key_of(image.path, lq), []).append(image.path)
    jobs: list[Preparation] = []
    faults: list[Fault] = []
    for image in search(gt).images:
        try:
            partner = None if lq is None else _partner(key_of(image.path, gt), partners, lq, grid.scale)
            jobs.append(_job(image, partner, grid))
        except (ValueError, OSError) as error:
            faults.append(Fault(image.path, str(error).removeprefix(f"{image.path}: ")))
    faults += [Fault(path, "extra: no GT image belongs to it") for paths in partners.values() for path in paths]
    return jobs, faults


def _partner(key: str, partners: dict[str, list[Path]], folder: Path, scale: int) -> Path:
    """Take the LQ file of a GT image out of `partners`.

    Raises:
        ValueError: there is none, or more than one.
    """
    names = (key, f"{key}x{scale}")
    found = [path for name in names for path in partners.pop(name, [])]
    if len(found) != 1:
        several = f" but {len(found)}: {', '.join(path.name for path in found)}" if found else ""
        raise ValueError(f"has no single partner {names[0]}.* or {names[1]}.* in {folder}{several}")
    return found[0]


def _job(image: ImageFile, lq: Path | None, grid: Grid) -> Preparation:
    """Return the job of one image.

    Raises:
        ValueError: an unreadable header, an image smaller than a tile, LQ of another size than GT asks for.
    """
    header = read_header(image.path)
    height, width = (side - side % grid.scale for side in header.size)
    if min(height, width) < grid.size:
        raise ValueError(f"smaller than a sub-image: {height}x{width}, needed {grid.size}x{grid.size}")
    folders = [("", grid.size**2 * num_bytes(header))]
    if lq is not None:
        lq_header = read_header(lq)
        expected = (height // grid.scale, width // grid.scale)
        if same_place(lq, image.path) or lq_header.size != expected:
            raise ValueError(
                f"partner {lq} is {lq_header.size[0]}x{lq_header.size[1]}, but at scale {grid.scale} GT of "
                f"{header.size[0]}x{header.size[1]} asks for {expected[0]}x{expected[1]}"
            )
        lq_size = (grid.size // grid.scale) ** 2 * num_bytes(lq_header)
        folders = [("GT", grid.size**2 * num_bytes(header)), ("LQ", lq_size)]
    count = len(grid.corners(height, width))
    targets = tuple(
        Target(file_of(Path(folder), f"{image.key}_s{number:03d}", ".png").as_posix(), size)
        for folder, size in folders
        for number in range(1, count + 1)
    )
    settings = {"size": grid.size, "step": grid.step, "thresh": grid.thresh}
    settings |= {"scale": grid.scale} if lq is not None else {}
    inputs = (image.path,) if lq is None else (image.path, lq)
    make = functools.partial(_cut, image.path, lq, grid)
    return Preparation(image.key, inputs, targets, settings, make, height * width)


def _cut(gt: Path, lq: Path | None, grid: Grid) -> Iterator[Made]:
    """Yield the tiles of GT, then those of LQ."""
    pixels, profile = read_pixels(gt)
    height, width = (side - side % grid.scale for side in pixels.shape[:2])
    corners = grid.corners(height, width)
    for y, x in corners:
        yield Made(pixels[y : y + grid.size, x : x + grid.size], profile)
    if lq is None:
        return
    pixels, profile = read_pixels(lq)
    size = grid.size // grid.scale
    for y, x in ((y // grid.scale, x // grid.scale) for y, x in corners):
        yield Made(pixels[y : y + size, x : x + size], profile)
