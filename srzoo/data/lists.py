"""List files: BasicSR's ``meta_info`` and lists of pairs."""

import codecs
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from srzoo.catalogue import hint
from srzoo.data.folders import search, unique_keys
from srzoo.data.listing import Fault, ImageFile, ImageListing, Pair, PairListing
from srzoo.data.storage import image_exists


def find_images(folder: Path, meta_info: Path | None) -> ImageListing:
    """Return the images of a folder, or those named by a BasicSR ``meta_info`` file, and faults of the list.

    A line of the list is ``name.png (H,W,C)``; the size is optional.

    Raises:
        FileNotFoundError: no such folder or list, or no image in the folder.
        ValueError: the list is empty or no text.
    """
    if meta_info is None:
        return search(folder)
    folder = _absolute(folder)
    sizes: dict[Path, tuple[int, int] | None] = {}
    lines: dict[Path, int] = {}
    faults: list[Fault] = []
    for number, line in read_lines(meta_info):
        # A name, which may hold spaces, and (H,W) or (H,W,C).
        match = re.fullmatch(r"(.+?)(?:\s+\((\d+),\s*(\d+)(?:,\s*\d+)?\))?", line)
        assert match is not None
        path = _resolved(folder, match[1])
        size = (int(match[2]), int(match[3])) if match[2] else None
        if not path.is_relative_to(folder):
            reason = f"named in {meta_info}:{number}, lies outside the folder {folder}: list names below it"
        elif path in lines:
            reason = f"listed twice: {meta_info}:{number} and line {lines[path]}"
        elif image_exists(path):
            lines[path], sizes[path] = number, size
            continue
        else:
            pairs = "; a line of two files belongs into `pairs`" if len(_fields(line)) == 2 and not match[2] else ""
            reason = f"named in {meta_info}:{number} but missing{pairs}"
        faults.append(Fault(path, reason))
    keys = unique_keys(list(lines), folder)
    images = [
        ImageFile(key, path, sizes[path], f"{meta_info}:{lines[path]}") for key, path in zip(keys, lines, strict=True)
    ]
    return ImageListing(images, faults, [])


def read_pair_list(file: Path, gt_folder: Path | None = None, lq_folder: Path | None = None) -> PairListing:
    """Read the pairs of a list file, and the faults of its lines.

    A line is ``lq_path gt_path``, separated by a tab where paths hold spaces, or ``gt_path, lq_path`` as in
    Real-ESRGAN's lists. Paths are absolute, relative to the folders (default: that of the list), or begin with ``~/``.

    Raises:
        FileNotFoundError: no such list.
        ValueError: the list is empty or no text.
    """
    pairs: list[Pair] = []
    faults: list[Fault] = []
    lines: dict[tuple[Path, Path], int] = {}
    for number, line in read_lines(file):
        fields = _fields(line)
        if len(fields) != 2:
            faults.append(Fault(file, f"line {number}: expected `lq_path gt_path` or `gt_path, lq_path`, got {line!r}"))
            continue
        lq, gt = _resolved(lq_folder or file.parent, fields[0]), _resolved(gt_folder or file.parent, fields[1])
        missing = [path for path in (lq, gt) if not image_exists(path)]
        faults += [Fault(path, f"named in {file}:{number} but missing") for path in missing]
        if (lq, gt) in lines:
            faults.append(Fault(gt, f"listed twice with {lq}: {file}:{number} and line {lines[lq, gt]}"))
        elif not missing:
            lines[lq, gt] = number
            pairs.append(Pair(gt.stem, gt, lq, None, f"{file}:{number}"))
    return PairListing(_with_unique_keys(pairs), faults, [])


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


def _resolved(folder: Path, text: str) -> Path:
    """Return the absolute path of a file that a list names."""
    # An absolute path replaces the folder.
    return _absolute(Path(text).expanduser() if text.startswith("~/") else folder / text)


def _absolute(path: Path) -> Path:
    """Return an absolute path without ``..``; unlike Path.resolve(), it keeps links."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _with_unique_keys(pairs: list[Pair]) -> list[Pair]:
    """Replace keys that occur twice, which are GT stems, by the whole path of the GT file."""
    stems = Counter(pair.key for pair in pairs)
    return [
        pair if stems[pair.key] == 1 else replace(pair, key=pair.main_file.with_suffix("").as_posix().lstrip("/"))
        for pair in pairs
    ]


def read_lines(file: Path) -> list[tuple[int, str]]:
    """Return (number from 1, text) of the lines that are neither empty nor comments, in UTF-8 or UTF-16.

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
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise ValueError(f"list file {file} is empty")
    return lines


def _encoding(content: bytes) -> str:
    """Return the encoding of a text file: by its byte-order mark, or by the zeros that UTF-16 has in English text."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in content[:2]:
        return "utf-16-be" if content.startswith(b"\0") else "utf-16-le"
    return "utf-8-sig"
