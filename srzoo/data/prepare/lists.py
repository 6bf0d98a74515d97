"""List files for folders of images: BasicSR's meta_info, D2C-SR's pairs of LQ and GT."""

import fnmatch
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from srzoo.data.folders import match_folders, search, stem_in_template
from srzoo.data.listing import Fault, ImageFile, ImageListing
from srzoo.data.lists import meta_info_line, pair_line
from srzoo.data.prepare.pictures import num_channels
from srzoo.data.storage import read_header, same_place
from srzoo.progress import shown

# Datasets of camera pairs -> stems of their GT and LQ files, in the spellings in which they are published. The first
# spelling that pairs any images is used.
TEMPLATES: dict[str, tuple[tuple[str, str], ...]] = {
    "realsr": (("{}_HR", "{}_LR<scale>"),),
    "drealsr": (("{}_x1", "{}_x<scale>"), ("{}_HR", "{}_LR<scale>"), ("{}", "{}")),
    "d2crealsr": (("{}_HR", "{}_LR<scale>"), ("{}_x1", "{}_x<scale>"), ("{}", "{}")),
}
# Names of the two halves of a published folder.
_HALVES = (("test_HR", "test_LR"), ("train_HR", "train_LR"), ("HR", "LR"), ("GT", "LQ"))


@dataclass
class Lines:
    """Lines of a list file.

    Args:
        lines: one for each image or pair.
        faults: images that are not listed because they are at fault.
        left_out: number of images that are not asked for.
    """

    lines: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    left_out: int = 0


def templates_of(name: str, scale: int) -> list[tuple[str, str]]:
    """Return the (gt, lq) templates of a published dataset at a scale.

    Raises:
        LookupError: an unknown name.
    """
    if name not in TEMPLATES:
        raise LookupError(f"unknown template {name!r}; known: {', '.join(TEMPLATES)}")
    return [(gt, lq.replace("<scale>", str(scale))) for gt, lq in TEMPLATES[name]]


def meta_info(folder: Path, gt_templates: Sequence[str] = ("{}",), only: str = "*") -> Lines:
    """Return the lines ``name.png (H,W,C)`` of the images of a folder; sizes are those of the headers.

    Args:
        folder: folder of GT images.
        gt_templates: stems of the files to list; the first that fits any file is used.
        only: pattern of the paths below `folder` to list.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    result = Lines()
    images = search(folder).images
    chosen = [image for image in images if _wanted(image, folder, only)]
    by_template = [[image for image in chosen if _has_form(image.path, template)] for template in gt_templates]
    named = next(filter(None, by_template), [])
    result.left_out = len(images) - len(named)
    for image in shown(named, "reading headers", delay=1):
        try:
            header = read_header(image.path)
            name = image.path.relative_to(folder).as_posix()
            result.lines.append(meta_info_line(name, header.size, num_channels(header)))
        except (ValueError, OSError) as error:
            result.faults.append(_fault(image.path, error))
    return result


def pair_list(
    gt: Path,
    lq: Path | None,
    templates: Sequence[tuple[str, str]] = (("{}", "{}"),),
    *,
    scale: int | None = None,
    only: str = "*",
    relative_to: Path | None = None,
) -> Lines:
    """Return the lines ``lq_path gt_path`` of the pairs of two folders, or of one that holds both.

    Args:
        gt: folder of GT images.
        lq: folder of LQ images; None: `gt` holds them too, beside GT or in a half named LR.
        templates: stems of GT and LQ files; the first that pairs any images is used.
        scale: GT size divided by LQ size, which is checked; None: not checked.
        only: pattern of the paths below `gt` to list.
        relative_to: folder that paths are relative to; None: they are absolute.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    if lq is None:
        halves = [(gt / high, gt / low) for high, low in _HALVES if (gt / high).is_dir() and (gt / low).is_dir()]
        gt, lq = halves[0] if halves else (gt, gt)
    images = search(gt).images
    result = Lines()
    for gt_template, lq_template in templates:
        chosen = list(_with_lq_beside(images, lq_template) if gt == lq else images)
        chosen = [image for image in chosen if _has_form(image.path, gt_template) and _wanted(image, gt, only)]
        found = match_folders(ImageListing(chosen, [], []), gt_template, lq, lq_template)
        faults = [f for f in found.faults if not f.reason.startswith("extra") or _spare(f.file, lq, lq_template, only)]
        result = Lines([], faults, len(images) - len(chosen) - (len(found.pairs) if gt == lq else 0))
        for pair in shown(found.pairs, "reading headers", delay=1):
            assert pair.gt is not None
            assert pair.lq is not None
            try:
                _check_ratio(pair.gt, pair.lq, scale)
                result.lines.append(pair_line(_written(pair.lq, relative_to), _written(pair.gt, relative_to)))
            except (ValueError, OSError) as error:
                result.faults.append(_fault(pair.gt, error))
        if found.pairs:
            break
    return result


def _with_lq_beside(images: Sequence[ImageFile], lq_template: str) -> Iterator[ImageFile]:
    """Yield the images in whose folder there are LQ files: RealSR has a folder of each scale, with GT in all."""
    folders = {image.path.parent for image in images if _has_form(image.path, lq_template)}
    return (image for image in images if image.path.parent in folders)


def _spare(file: Path, lq: Path, lq_template: str, only: str) -> bool:
    """Return True if an LQ file without GT was asked for: LQ files of other scales were not."""
    return _has_form(file, lq_template) and fnmatch.fnmatch(file.relative_to(lq).as_posix(), only)


def _wanted(image: ImageFile, folder: Path, only: str) -> bool:
    return fnmatch.fnmatch(image.path.relative_to(folder).as_posix(), only)


def _has_form(path: Path, template: str) -> bool:
    return stem_in_template(path.stem, template) is not None


def _check_ratio(gt: Path, lq: Path, scale: int | None) -> None:
    """Check the sizes of a pair as datasets do that read a list: GT may have a margin below one LQ size.

    Raises:
        ValueError: another ratio, or one file for both.
    """
    if same_place(gt, lq):
        raise ValueError("is GT and LQ at once: name two folders, or templates that tell them apart")
    sizes = read_header(gt).size, read_header(lq).size
    if scale is not None and any(high // low != scale for high, low in zip(*sizes, strict=True)):
        (gt_height, gt_width), (lq_height, lq_width) = sizes
        raise ValueError(f"of {gt_height}x{gt_width} is not {scale} times as large as {lq}, {lq_height}x{lq_width}")


def _written(path: Path, relative_to: Path | None) -> str:
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  # links are kept
    if relative_to is None:
        return absolute.as_posix()
    return Path(os.path.relpath(absolute, os.path.abspath(relative_to))).as_posix()  # noqa: PTH100


def _fault(path: Path, error: Exception) -> Fault:
    return Fault(path, str(error).removeprefix(f"{path}: "))
