"""Image files of a dataset: folders, matching folders, lists of pairs, BasicSR ``meta_info`` files."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from srzoo.images import EXTENSIONS


@dataclass(frozen=True)
class Fault:
    """A fault of one file of a dataset."""

    file: Path
    reason: str


@dataclass(frozen=True)
class ImageFile:
    """An image of a folder.

    Args:
        key: its name in results.
        path: the file.
        size: (H, W) by the list that names it; None: not listed [pixels].
    """

    key: str
    path: Path
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Pair:
    """The files of one sample.

    Args:
        key: its name in results.
        gt: GT file; None for LQ alone.
        lq: LQ file; None if LQ is made from GT.
        size: (H, W) of the main file by the list that names it; None: not listed [pixels].
    """

    key: str
    gt: Path | None
    lq: Path | None
    size: tuple[int, int] | None = None

    @property
    def main_file(self) -> Path:
        """GT file, or LQ where there is no GT; faults of the whole pair are reported under it."""
        path = self.gt or self.lq
        assert path is not None
        return path


def list_images(folder: Path) -> list[Path]:
    """Return all image files below `folder`, sorted; hidden files are skipped.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    if folder.is_file():
        raise FileNotFoundError(f"expected an image folder, but {folder} is a file")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"image folder {folder} does not exist (relative paths start at path.root, or the working directory)"
        )
    # Editors and other systems leave hidden files and folders, such as thumbnails.
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise FileNotFoundError(f"image folder {folder} holds no image (known: {', '.join(EXTENSIONS)})")
    return files


def key_of(path: Path, folder: Path) -> str:
    """Return an image's name in results: its path below `folder` without suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def find_images(folder: Path, meta_info: Path | None) -> tuple[list[ImageFile], list[Fault]]:
    """Return the images of a folder, or those named by a BasicSR ``meta_info`` file, and faults of the list.

    A line of the list is ``name.png (H,W,C)``; the size is optional.

    Raises:
        FileNotFoundError: no such folder or list, or no image in the folder.
        ValueError: the list is empty.
    """
    if meta_info is None:
        return [ImageFile(key_of(path, folder), path) for path in list_images(folder)], []
    images, faults = [], []
    for number, line in _lines(meta_info):
        # A name, which may hold spaces, and (H,W) or (H,W,C).
        match = re.fullmatch(r"(.+?)(?:\s+\((\d+),\s*(\d+)(?:,\s*\d+)?\))?", line)
        assert match is not None
        path = folder / match.group(1)
        size = (int(match.group(2)), int(match.group(3))) if match.group(2) else None
        if path.is_file():
            images.append(ImageFile(key_of(path, folder), path, size))
        else:
            faults.append(Fault(path, f"named in {meta_info}:{number} but missing"))
    return images, faults


def match_folders(gt: list[ImageFile], lq_folder: Path, template: str) -> tuple[list[Pair], list[Fault]]:
    """Pair each GT image with the LQ file named `template`, {} being the GT stem, in the same sub-folder.

    Returns the pairs, and the faults: GT images without exactly one partner, LQ files without GT ("extra").
    """
    # A key has several files where only their suffixes differ, such as a.png and a.jpg.
    unmatched: dict[str, list[Path]] = {}
    for path in list_images(lq_folder):
        unmatched.setdefault(key_of(path, lq_folder), []).append(path)
    pairs, faults = [], []
    for image in gt:
        parent, _, stem = image.key.rpartition("/")
        wanted = f"{parent}/{template.replace('{}', stem)}".lstrip("/")
        found = unmatched.pop(wanted, [])
        if len(found) == 1:
            pairs.append(Pair(image.key, image.path, found[0], image.size))
        elif found:
            faults.append(Fault(image.path, f"has {len(found)} partners: {', '.join(path.name for path in found)}"))
        else:
            faults.append(Fault(image.path, f"has no partner {wanted}.* in {lq_folder} (lq_template {template!r})"))
    faults += [Fault(path, "extra: no GT image belongs to it") for paths in unmatched.values() for path in paths]
    return pairs, faults


def read_pair_list(
    file: Path, gt_folder: Path | None = None, lq_folder: Path | None = None
) -> tuple[list[Pair], list[Fault]]:
    """Read the pairs of a list file, and the faults of its lines.

    A line is ``lq_path gt_path``, separated by a tab where paths hold spaces, absolute or relative to the folders, by
    default to that of the list.

    Raises:
        FileNotFoundError: no such list.
        ValueError: the list is empty.
    """
    pairs, faults = [], []
    for number, line in _lines(file):
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) != 2:
            faults.append(Fault(file, f"line {number}: expected `lq_path gt_path`, got {line!r}"))
            continue
        # An absolute path replaces the folder.
        lq, gt = (lq_folder or file.parent) / fields[0].strip(), (gt_folder or file.parent) / fields[1].strip()
        missing = [path for path in (lq, gt) if not path.is_file()]
        faults += [Fault(path, f"named in {file}:{number} but missing") for path in missing]
        if not missing:
            pairs.append(Pair(gt.stem, gt, lq))
    return _unique_keys(pairs), faults


def _unique_keys(pairs: list[Pair]) -> list[Pair]:
    """Replace keys that occur twice, which are GT stems, by the whole path of the GT file."""
    stems = Counter(pair.key for pair in pairs)
    return [
        pair if stems[pair.key] == 1 else replace(pair, key=pair.main_file.with_suffix("").as_posix().lstrip("/"))
        for pair in pairs
    ]


def _lines(file: Path) -> Iterable[tuple[int, str]]:
    """Return (number from 1, text) of the lines that are neither empty nor comments."""
    if not file.is_file():
        raise FileNotFoundError(f"list file {file} does not exist")
    lines = [(number, line.strip()) for number, line in enumerate(file.read_text().splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise ValueError(f"list file {file} is empty")
    return lines
