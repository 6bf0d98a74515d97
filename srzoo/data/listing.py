"""Which image files belong together: folders, lists of pairs, BasicSR ``meta_info`` files."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from srzoo.images import EXTENSIONS


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a data set."""

    file: Path
    reason: str


@dataclass(frozen=True)
class Pair:
    """One sample: `key` names it in results, `lq` is None where it is made from GT, `size` is the listed (H, W)."""

    key: str
    gt: Path
    lq: Path | None = None
    size: tuple[int, int] | None = None


def list_images(folder: Path) -> list[Path]:
    """All image files below `folder`, sorted; hidden ones are passed over.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    if folder.is_file():
        raise FileNotFoundError(f"expected an image folder, but {folder} is a file")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"image folder {folder} does not exist (relative paths start at path.root, or the working directory)"
        )
    # Hidden files and folders are left by editors and other systems; they are nobody's data.
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
    """Name of an image in results: its path below `folder` without suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def gt_files(folder: Path, meta_info: Path | None) -> tuple[list[Pair], list[Fault]]:
    """GT images of a folder, or those named by a BasicSR ``meta_info`` file: ``name.png (H,W,C)``, size optional."""
    if meta_info is None:
        return [Pair(key_of(path, folder), path) for path in list_images(folder)], []
    pairs, faults = [], []
    for number, line in _lines(meta_info):
        match = re.fullmatch(r"(.+?)(?:\s+\((\d+),\s*(\d+)(?:,\s*\d+)?\))?", line)
        assert match is not None
        path = folder / match.group(1)
        size = (int(match.group(2)), int(match.group(3))) if match.group(2) else None
        if path.is_file():
            pairs.append(Pair(key_of(path, folder), path, size=size))
        else:
            faults.append(Fault(path, f"named in {meta_info}:{number} but missing"))
    return pairs, faults


def match_folders(gt: list[Pair], lq_folder: Path, template: str) -> tuple[list[Pair], list[Fault]]:
    """Give each GT image the LQ file whose stem is `template` filled with the GT stem, in the same sub-folder."""
    waiting: dict[str, list[Path]] = {}
    for path in list_images(lq_folder):
        waiting.setdefault(key_of(path, lq_folder), []).append(path)
    pairs, faults = [], []
    for pair in gt:
        parent, _, stem = pair.key.rpartition("/")
        wanted = f"{parent}/{template.replace('{}', stem)}".lstrip("/")
        found = waiting.pop(wanted, [])
        if len(found) == 1:
            pairs.append(Pair(pair.key, pair.gt, found[0], pair.size))
        elif found:
            faults.append(Fault(pair.gt, f"has {len(found)} partners: {', '.join(path.name for path in found)}"))
        else:
            faults.append(Fault(pair.gt, f"has no partner {wanted}.* in {lq_folder} (lq_template {template!r})"))
    faults += [Fault(path, "extra: no GT image belongs to it") for paths in waiting.values() for path in paths]
    return pairs, faults


def read_pair_list(file: Path) -> tuple[list[Pair], list[Fault]]:
    """Lines ``lq_path gt_path`` (separated by a tab where paths hold spaces), absolute or relative to the list."""
    pairs, faults = [], []
    for number, line in _lines(file):
        fields = line.split("\t") if "\t" in line else line.split()
        if len(fields) != 2:
            faults.append(Fault(file, f"line {number}: expected `lq_path gt_path`, got {line!r}"))
            continue
        lq, gt = (file.parent / field.strip() for field in fields)
        missing = [path for path in (lq, gt) if not path.is_file()]
        faults += [Fault(path, f"named in {file}:{number} but missing") for path in missing]
        if not missing:
            pairs.append(Pair(gt.stem, gt, lq))
    return _unique_keys(pairs), faults


def _unique_keys(pairs: list[Pair]) -> list[Pair]:
    """Keys from file stems; where those repeat, the whole path."""
    stems = Counter(pair.key for pair in pairs)
    return [
        pair if stems[pair.key] == 1 else Pair(pair.gt.with_suffix("").as_posix().lstrip("/"), pair.gt, pair.lq)
        for pair in pairs
    ]


def _lines(file: Path) -> Iterable[tuple[int, str]]:
    if not file.is_file():
        raise FileNotFoundError(f"list file {file} does not exist")
    lines = [(number, line.strip()) for number, line in enumerate(file.read_text().splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise ValueError(f"list file {file} is empty")
    return lines
