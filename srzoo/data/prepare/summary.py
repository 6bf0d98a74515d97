"""Summary of a folder of images: number, sizes, modes, depths, pixels, values, problems."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from srzoo.data.folders import search, summary
from srzoo.data.listing import Fault, ImageFile
from srzoo.data.parallel import num_workers, parallel
from srzoo.data.prepare.pictures import num_channels, read_pixels
from srzoo.data.storage import content_hashes, image_exists, num_bytes, read_header
from srzoo.images import Header
from srzoo.progress import shown

_MODES = {1: "grey", 3: "RGB", 4: "RGB with alpha"}
# Side of a thumbnail [pixels].
THUMBNAIL = 128


@dataclass(frozen=True)
class ImageFacts:
    """Facts about one image file.

    Args:
        image: the file.
        num_bytes: size of the file.
        header: None if the file is no readable image.
        problem: reason why it cannot be used; "": none.
        remarks: properties that a user may not expect.
        sums: of the values in [0, 1] and of their squares, per channel of RGB (2, 3); None: not decoded.
        thumbnail: (h, w, 3) uint8; None: not asked for.
    """

    image: ImageFile
    num_bytes: int
    header: Header | None
    problem: str = ""
    remarks: tuple[str, ...] = ()
    sums: np.ndarray | None = None
    thumbnail: np.ndarray | None = None


@dataclass
class FolderSummary:
    """Summary of a folder; counts are numbers of images.

    Args:
        folder: the folder.
        count: number of readable images.
        num_bytes: size of all image files.
        pixels: of all images, in sum.
        kinds: format -> count.
        modes: grey, RGB, RGB with alpha -> count.
        bits: depth -> count.
        sizes: "HxW" -> count, the most frequent first.
        height: smallest, median, largest [pixels].
        width: smallest, median, largest [pixels].
        mean: per channel of RGB, in [0, 1]; empty: not decoded.
        std: standard deviation of all pixels, as `mean`.
        remarks: properties that a user may not expect -> count.
        duplicates: groups of files of equal content.
        left_out: files that are no images, in words.
        problems: files that cannot be used.
        thumbnails: name -> (h, w, 3) uint8, in order.
    """

    folder: Path
    count: int = 0
    num_bytes: int = 0
    pixels: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    bits: Counter[int] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    height: tuple[int, int, int] = (0, 0, 0)
    width: tuple[int, int, int] = (0, 0, 0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    remarks: Counter[str] = field(default_factory=Counter)
    duplicates: list[list[str]] = field(default_factory=list)
    left_out: str = ""
    problems: list[Fault] = field(default_factory=list)
    thumbnails: dict[str, np.ndarray] = field(default_factory=dict)

    def text(self) -> str:
        """Return the summary in lines for a terminal."""
        rows = {
            "images": f"{self.count:,}, {self.num_bytes:,} bytes, {self.pixels / 1e6:,.4g} million pixels",
            "formats": _counted(self.kinds),
            "modes": _counted(self.modes),
            "bits": _counted(self.bits),
        }
        if self.count:
            for name, (least, median, most) in (("height", self.height), ("width", self.width)):
                rows[name] = f"{least} to {most}, median {median}"
            rows["sizes"] = _counted(dict(self.sizes.most_common(5)))
            rows["sizes"] += f", and {len(self.sizes) - 5} more" if len(self.sizes) > 5 else ""
        if self.mean:
            rows["mean RGB"] = ", ".join(f"{value:.4f}" for value in self.mean)
            rows["std RGB"] = ", ".join(f"{value:.4f}" for value in self.std)
        rows |= {"remarks": _counted(self.remarks), "left out": self.left_out}
        rows["duplicates"] = "; ".join(" = ".join(group) for group in self.duplicates[:5])
        rows["duplicates"] += f"; and {len(self.duplicates) - 5} more" if len(self.duplicates) > 5 else ""
        rows["problems"] = str(len(self.problems))
        lines = [f"{name + ':':<12}{text}" for name, text in rows.items() if text]
        return "\n".join([str(self.folder), *lines])

    def as_json(self) -> dict[str, object]:
        """Return the summary for programs; names as in this class."""
        counted = {name: dict(getattr(self, name)) for name in ("kinds", "modes", "sizes", "remarks")}
        plain = {name: getattr(self, name) for name in ("count", "num_bytes", "pixels", "duplicates", "left_out")}
        listed = {name: list(getattr(self, name)) for name in ("height", "width", "mean", "std")}
        bits = {str(depth): count for depth, count in self.bits.items()}
        problems = [{"file": str(fault.file), "reason": fault.reason} for fault in self.problems]
        return {"folder": str(self.folder), **plain, **counted, "bits": bits, **listed, "problems": problems}


def summarise(folder: Path, *, decode: bool = True, num_thumbnails: int = 0, workers: int = 0) -> FolderSummary:
    """Summarise the images of a folder.

    Args:
        folder: sub-folders are searched too.
        decode: read all pixels, which finds damage and gives mean values; otherwise headers and file ends alone.
        num_thumbnails: number of images that thumbnails are made of, evenly over the folder.
        workers: number of processes; 0: one per core.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    listing = search(folder)
    images = listing.images
    shown_keys = {images[n * len(images) // num_thumbnails].key for n in range(num_thumbnails)}
    tasks = ((image, decode, image.key in shown_keys) for image in images)
    # Sizes are unknown before the headers are read: a photograph has about a million pixels.
    processes = num_workers(workers, len(images), len(images) * (10**6 if decode else 0))
    facts = list(shown(parallel(_inspect, tasks, processes), "reading", len(images), delay=1))
    result = FolderSummary(folder, left_out=summary(listing.left_out), duplicates=_duplicates(images))
    _count(result, facts)
    result.thumbnails = {one.image.key: one.thumbnail for one in facts if one.thumbnail is not None}
    return result


def _inspect(task: tuple[ImageFile, bool, bool]) -> ImageFacts:
    """Read one image file."""
    image, decode, thumbnail = task
    header = None
    try:
        size = num_bytes(image.path)
        header = read_header(image.path)
        if not (decode or thumbnail):
            return ImageFacts(image, size, header, remarks=_remarks(header))
        pixels, _ = read_pixels(image.path)
    except (ValueError, OSError) as error:
        return ImageFacts(image, 0, header, str(error).removeprefix(f"{image.path}: "))
    colours = np.broadcast_to(pixels[:, :, :3], (*pixels.shape[:2], 3))
    small = _thumbnail(colours) if thumbnail else None
    return ImageFacts(image, size, header, "", (*_remarks(header), *_remarks_on(pixels)), _sums(colours), small)


def _remarks(header: Header) -> tuple[str, ...]:
    remarks = {"turned by their orientation tag": header.orientation != 1, "several pictures": header.has_more}
    return tuple(text for text, holds in remarks.items() if holds)


def _remarks_on(pixels: np.ndarray) -> tuple[str, ...]:
    """Return remarks that need pixels (H, W, C)."""
    colours = pixels[:, :, :3]
    remarks = {
        "grey saved as RGB": colours.shape[2] == 3 and bool((colours == colours[:, :, :1]).all()),
        "8 bits saved as 16": pixels.dtype == np.uint16
        and not (pixels % 257).any()
        and not (pixels == pixels[0, 0]).all(),
        "of one colour": bool((colours == colours[0, 0]).all()),
    }
    return tuple(text for text, holds in remarks.items() if holds)


def _sums(colours: np.ndarray) -> np.ndarray:
    """Return the sums of values in [0, 1] and of their squares, per channel: (H, W, 3) -> (2, 3)."""
    values = colours.reshape(-1, 3).astype(np.float64) / np.iinfo(colours.dtype).max  # (H*W, 3)
    return np.stack([values.sum(0), np.square(values).sum(0)])  # (2, 3)


def _thumbnail(colours: np.ndarray) -> np.ndarray:
    """Reduce (H, W, 3) to a longer side of THUMBNAIL, 8 bits; small images stay as they are."""
    if colours.dtype == np.uint16:
        colours = (colours // 257).astype(np.uint8)
    height, width = colours.shape[:2]
    factor = min(1.0, THUMBNAIL / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(np.ascontiguousarray(colours), size, interpolation=cv2.INTER_AREA)


def _count(result: FolderSummary, facts: Sequence[ImageFacts]) -> None:
    """Add the facts of all images to a summary."""
    result.problems = [Fault(one.image.path, one.problem) for one in facts if one.problem]
    good = [(one, one.header) for one in facts if one.header is not None and not one.problem]
    result.count = len(good)
    sums, decoded = np.zeros((2, 3)), 0
    for one, header in good:
        height, width = header.size
        result.num_bytes += one.num_bytes
        result.pixels += height * width
        result.kinds[header.kind] += 1
        result.modes[_MODES[num_channels(header)]] += 1
        result.bits[header.bits] += 1
        result.sizes[f"{height}x{width}"] += 1
        result.remarks.update(one.remarks)
        if one.sums is not None:
            sums += one.sums
            decoded += height * width
    if good:
        result.height, result.width = (_range([header.size[axis] for _, header in good]) for axis in (0, 1))
    if decoded == result.pixels and decoded:
        mean = sums[0] / decoded
        result.mean = tuple(mean.tolist())
        result.std = tuple(np.sqrt(np.maximum(sums[1] / decoded - np.square(mean), 0)).tolist())


def _range(sides: Sequence[int]) -> tuple[int, int, int]:
    """Return the smallest, median and largest value; of an even number, the lower of the two in the middle."""
    ordered = sorted(sides)
    return ordered[0], ordered[(len(ordered) - 1) // 2], ordered[-1]


def _duplicates(images: Sequence[ImageFile]) -> list[list[str]]:
    """Return the keys of files of equal content, in groups; only files of equal size are read."""
    by_size: dict[int, list[ImageFile]] = {}
    for image in images:
        if image_exists(image.path):
            by_size.setdefault(num_bytes(image.path), []).append(image)
    alike = [image for same in by_size.values() if len(same) > 1 for image in same]
    hashes = content_hashes(image.path for image in alike)
    groups: dict[str, list[str]] = {}
    for image in alike:
        groups.setdefault(hashes[image.path], []).append(image.key)
    return [keys for keys in groups.values() if len(keys) > 1]


def _counted(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    """Describe counts: "RGB 99, grey 1"."""
    return ", ".join(
        f"{name} {count}" if isinstance(name, str) else f"{name}: {count}" for name, count in counts.items()
    )
