"""List files: BasicSR's ``meta_info`` and lists of pairs."""

import codecs
import os
import re
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from srzoo.catalogue import hint
from srzoo.data.folders import FolderImages, search
from srzoo.data.listing import Fault, ImageListing, Mapped, Pair, PairListing
from srzoo.data.names import Names, Paths, PathsBuilder, without_suffix
from srzoo.data.shared import SharedArray, first_places, hashes_of, repeated
from srzoo.data.storage import image_exists

# (H,W) or (H,W,C) after a name, which may hold spaces.
_SIZE = re.compile(r"\s+\((\d+),\s*(\d+)(?:,\s*\d+)?\)\Z")


class ListedImages(FolderImages):
    """Images that a list names.

    Args:
        folder: at which names start.
        names: of the images.
        file: the list.
        numbers: (N,) int32, line of each image.
        sizes: (2N,) int32, height and width of each by the list, -1 if it states none [pixels].
    """

    def __init__(self, folder: Path, names: Names, file: Path, numbers: np.ndarray, sizes: np.ndarray) -> None:
        super().__init__(folder, names)
        self._file, self._numbers, self._sizes = file, SharedArray(numbers), SharedArray(sizes)

    def listed(self, index: int, name: str) -> tuple[tuple[int, int] | None, str]:
        del name
        height, width = self._sizes.array[2 * index : 2 * index + 2].tolist()
        return (None if height < 0 else (height, width)), f"{self._file}:{self._numbers.array[index]}"


def find_images(folder: Path, meta_info: Path | None) -> ImageListing:
    """Return the images of a folder, or those named by a BasicSR ``meta_info`` file, and faults of the list.

    A line of the list is ``name.png (H,W,C)``; the size is optional.

    Raises:
        FileNotFoundError: no such folder or list, or no image in the folder.
        ValueError: the list is empty or no text.
    """
    if meta_info is None:
        return search(folder)
    root = os.path.abspath(folder)  # noqa: PTH100  # Path.resolve() would follow links
    below = os.path.join(root, "")  # noqa: PTH118  # with a slash at its end
    numbers, sizes = array("i"), array("i")
    faults: list[tuple[int, Fault]] = []  # with their lines

    def present() -> Iterator[str]:
        for number, line in read_lines(meta_info):
            size = _SIZE.search(line, 1)
            path = _resolved(root, line[: size.start()] if size else line)
            if path.startswith(below) and image_exists(path):
                numbers.append(number)
                sizes.extend((int(size[1]), int(size[2])) if size else (-1, -1))
                yield path.removeprefix(below)
                continue
            if path.startswith(below) or path == root:
                pairs = "; a line of two files belongs into `pairs`" if len(_fields(line)) == 2 and not size else ""
                reason = f"named in {meta_info}:{number} but missing{pairs}"
            else:
                reason = f"named in {meta_info}:{number}, lies outside the folder {root}: list names below it"
            faults.append((number, Fault(Path(path), reason)))

    names = Names.of(present())
    lines, first = np.array(numbers, np.int32), first_places(hashes_of(names, len(names)))
    kept = first == np.arange(len(names))
    for index in np.flatnonzero(~kept):
        reason = f"listed twice: {meta_info}:{lines[index]} and line {lines[first[index]]}"
        faults.append((int(lines[index]), Fault(Path(root, names[int(index)]), reason)))
    if not kept.all():
        names = Names.of(name for name, keep in zip(names, kept.tolist(), strict=True) if keep)
    images = ListedImages(Path(root), names, meta_info, lines[kept], np.array(sizes, np.int32)[np.repeat(kept, 2)])
    return ImageListing(images, _by_line(faults), [])


def read_pair_list(file: Path, gt_folder: Path | None = None, lq_folder: Path | None = None) -> PairListing:
    """Read the pairs of a list file, and the faults of its lines.

    A line is ``lq_path gt_path``, separated by a tab where paths hold spaces, or ``gt_path, lq_path`` as in
    Real-ESRGAN's lists. Paths are absolute, relative to the folders (default: that of the list), or begin with ``~/``.

    Raises:
        FileNotFoundError: no such list.
        ValueError: the list is empty or no text.
    """
    faults: list[tuple[int, Fault]] = []  # with their lines
    gt_root, lq_root = (os.path.abspath(folder or file.parent) for folder in (gt_folder, lq_folder))  # noqa: PTH100
    numbers, hashes = array("i"), array("q")
    all_gt, all_lq = PathsBuilder(), PathsBuilder()
    for number, line in read_lines(file):
        fields = _fields(line)
        if len(fields) != 2:
            reason = f"line {number}: expected `lq_path gt_path` or `gt_path, lq_path`, got {line!r}"
            faults.append((number, Fault(file, reason)))
            continue
        paths = _resolved(lq_root, fields[0]), _resolved(gt_root, fields[1])
        missing = [path for path in paths if not image_exists(path)]
        faults += [(number, Fault(Path(path), f"named in {file}:{number} but missing")) for path in missing]
        if not missing:
            numbers.append(number)
            hashes.append(hash(paths))
            all_lq.add(paths[0])
            all_gt.add(paths[1])
    gt, lq = all_gt.done(), all_lq.done()
    lines, first = np.array(numbers, np.int32), first_places(np.array(hashes, np.int64))
    kept = first == np.arange(len(gt))
    for index in np.flatnonzero(~kept):
        twice = f"{file}:{lines[index]} and line {lines[first[index]]}"
        faults.append((int(lines[index]), Fault(gt[int(index)], f"listed twice with {lq[int(index)]}: {twice}")))
    # Keys that occur twice, which are stems of GT, are replaced by the whole path.
    rows = np.flatnonzero(kept).astype(np.int32)
    whole = repeated(hashes_of(gt.stems(), len(gt))[rows])
    make = partial(_listed_pair, gt, lq, SharedArray(rows), SharedArray(whole), file, SharedArray(lines))
    return PairListing(Mapped(range(len(rows)), make), _by_line(faults), [])


def _by_line(faults: list[tuple[int, Fault]]) -> list[Fault]:
    return [fault for _, fault in sorted(faults, key=lambda found: found[0])]


def _listed_pair(
    gt: Paths, lq: Paths, rows: SharedArray, whole: SharedArray, file: Path, lines: SharedArray, index: int
) -> Pair:
    row = int(rows.array[index])
    path = gt[row]
    key = without_suffix(path.as_posix()).lstrip("/") if whole.array[index] else path.stem
    return Pair(key, path, lq[row], None, f"{file}:{lines.array[row]}")


def meta_info_line(name: str, size: tuple[int, int], channels: int) -> str:
    """Return the line of a meta_info file that :func:`find_images` reads as this name.

    Args:
        name: path below the folder.
        size: (H, W) [pixels].
        channels: of the file.

    Raises:
        ValueError: no line can hold this name.
    """
    line = f"{name} ({size[0]},{size[1]},{channels})"
    _refuse_unreadable(line, name)
    return line


def pair_line(lq: str, gt: str) -> str:
    """Return the line of a list of pairs that :func:`read_pair_list` reads as these paths.

    Raises:
        ValueError: no line can hold these paths.
    """
    line = next((line for line in (f"{lq} {gt}", f"{lq}\t{gt}") if _fields(line) == [lq, gt]), None)
    if line is None:
        raise ValueError(f"a list cannot name {lq!r} and {gt!r}: rename them, without tabs and spaces at their ends")
    _refuse_unreadable(line, lq)
    return line


def _refuse_unreadable(line: str, name: str) -> None:
    """Check that a line is read as it is.

    Raises:
        ValueError: it is a comment, more than one line, or no UTF-8.
    """
    encodable = not any("\ud800" <= character <= "\udfff" for character in line)  # bytes of a name that are no UTF-8
    if not encodable or line.startswith("#") or line.splitlines() != [line] or line.strip() != line:
        raise ValueError(f"a list cannot name {name!r}: rename it, without '#' at its start, line ends and odd bytes")


def _fields(line: str) -> list[str]:
    """Split a line into LQ and GT paths; another number of fields is a fault of the line."""
    if "\t" in line:
        return [field.strip() for field in line.split("\t")]
    # A comma before a space, or between two names without any: Real-ESRGAN's order. Other commas belong to names.
    if re.search(r",\s", line) or (len(line.split()) == 1 and line.count(",") == 1):
        return re.split(r",\s*", line)[::-1]
    return line.split()


def _resolved(folder: str, text: str) -> str:
    """Return the absolute path of a file that a list names, without ``..``; unlike Path.resolve(), it keeps links.

    Args:
        folder: absolute.
        text: as listed; an absolute path replaces the folder.
    """
    # Most names need no more than this, and lists may name a million.
    if text[:1] not in "/~." and "/." not in text and "//" not in text and text[-1] != "/" and folder != "/":
        return f"{folder}/{text}"
    path = os.path.expanduser(text) if text.startswith("~/") else os.path.join(folder, text)  # noqa: PTH111, PTH118
    return os.path.abspath(path)  # noqa: PTH100


def read_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text) of the lines that are neither empty nor comments, in UTF-8 or UTF-16.

    Raises:
        FileNotFoundError: no such list.
        ValueError: it is empty, or in another encoding.
    """
    if not file.is_file():
        raise FileNotFoundError(f"list file {file} does not exist{hint(file)}")
    content = file.read_bytes()
    try:
        text = content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(f"list file {file}:{number} is not text in UTF-8: save it in that encoding") from error
    empty = True
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            empty = False
            yield number, line
    if empty:
        raise ValueError(f"list file {file} is empty")


def _encoding(content: bytes) -> str:
    """Return the encoding of a text file: by its byte-order mark, or by the zeros that UTF-16 has in English text."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content[:2]:
        return "utf-16-be" if content.startswith(b"\0") else "utf-16-le"
    return "utf-8-sig"
