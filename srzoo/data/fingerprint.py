"""Fingerprints of data: checksums over names and contents, wherever the files are. Results and states share them."""

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import Dataset

from srzoo.data.imageset import ImageSet
from srzoo.data.storage import content_hashes, num_bytes

logger = logging.getLogger("srzoo")


@dataclass(frozen=True)
class FileMark:
    """Size and content of a file.

    Args:
        size: of the file [bytes].
        sha256: of its content, or the beginning of that checksum; "" if the file was not read.
    """

    size: int
    sha256: str

    def differs(self, other: "FileMark") -> bool:
        """Return True if the files differ, as far as both are known."""
        known = min(len(self.sha256), len(other.sha256))
        return self.size != other.size or self.sha256[:known] != other.sha256[:known]


def fingerprint(dataset: Dataset[object]) -> str | None:
    """Return a SHA-256 over the keys of a dataset, in order, and the contents of their files; None if it has no files.

    Paths do not enter it: the same data has the same fingerprint anywhere. Unchanged files are read once.
    """
    if not isinstance(dataset, ImageSet):
        return None
    hashes = content_hashes(file for pair in dataset.pairs for file in (pair.gt, pair.lq) if file is not None)
    lines = [
        "\0".join([pair.key, *("" if file is None else hashes[file] for file in (pair.gt, pair.lq))])
        for pair in dataset.pairs
    ]
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()  # names of files may be any bytes


def files_of(dataset: ImageSet) -> dict[str, Path]:
    """Return the files of a dataset by the key of their pair, in order; LQ files have " (LQ)" after it."""
    return {
        f"{pair.key}{part}": file
        for pair in dataset.pairs
        for part, file in (("", pair.gt), (" (LQ)", pair.lq))
        if file is not None
    }


def marks_of(files: Mapping[str, Path], limit: float, subject: str) -> dict[str, FileMark]:
    """Return size and content of files by name.

    Args:
        files: name -> file.
        limit: size of all files together above which they are not read [bytes].
        subject: option that names them, for the log.
    """
    sizes = {name: num_bytes(file) for name, file in files.items()}
    total = sum(sizes.values())
    if total > limit:
        logger.info(
            f"{subject}: {total / 1e9:.4g} GB are more than data.hash_limit: if the run is resumed, names and sizes of "
            "its files are compared, not their contents"
        )
        return {name: FileMark(size, "") for name, size in sizes.items()}
    hashes = content_hashes(files.values())
    return {name: FileMark(sizes[name], hashes[file]) for name, file in files.items()}


def changes(before: Mapping[str, FileMark], now: Mapping[str, FileMark], listed: int = 4) -> list[str]:
    """Describe the differences between two lists of files: those missing, new, changed, or in another order.

    Args:
        before: name -> file.
        now: name -> file.
        listed: number of names of each kind.
    """
    found = {
        "missing": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
        "changed": [name for name, mark in before.items() if name in now and mark.differs(now[name])],
    }
    lines = []
    for kind, names in found.items():
        if names:
            more = f", ... ({len(names) - listed} more)" if len(names) > listed else ""
            lines.append(f"{len(names)} {kind}: {', '.join(map(repr, names[:listed]))}{more}")
    # The order decides which image a sample of an epoch is.
    return lines or ["in another order"] * (list(before) != list(now))
