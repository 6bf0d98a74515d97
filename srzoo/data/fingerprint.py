"""Fingerprints of data: checksums over names and contents, wherever the files are. Results, states and manifests share
them."""

import functools
import hashlib
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch.utils.data import Dataset

from srzoo.data.imageset import ImageSet
from srzoo.data.listing import Mapped, Pair
from srzoo.data.storage import content_hashes, num_bytes

logger = logging.getLogger("srzoo")

# Parts of a sample, each with a file.
IMAGES = ("gt", "lq")
# End of the name of such a file, where files are listed.
PART_SUFFIXES = {"lq": " (LQ)"}
# Name of a file that is no part of a sample.
FILES = ("file",)
# Samples whose files are hashed at a time: their paths and checksums as text take 1 KB each.
_CHUNK = 2**17


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


@dataclass(frozen=True, eq=False)
class FileRecord:
    """Names, sizes and contents of files, in order: 40 bytes for each beside its name.

    Args:
        names: of the samples of a dataset, or of other files; they do not depend on the place of the files.
        parts: files that a sample consists of, :data:`IMAGES`, or :data:`FILES`.
        sizes: (N, parts) int64; -1: the sample has no such file [bytes].
        sha256: (N, parts, 32) uint8 checksums; None: the files were not read.
    """

    names: Sequence[str]
    parts: tuple[str, ...]
    sizes: np.ndarray
    sha256: np.ndarray | None

    def __iter__(self) -> Iterator[tuple[str, str, FileMark]]:
        """Yield (name, part, size and content) of each file."""
        for row, name in enumerate(self.names):
            for column, part in enumerate(self.parts):
                mark = self.mark(row, column)
                if mark is not None:
                    yield name, part, mark

    def mark(self, row: int, column: int) -> FileMark | None:
        """Return size and content of a part of a sample; None if it has no such file."""
        size = int(self.sizes[row, column])
        return FileMark(size, self._hex(row, column)) if size >= 0 else None

    def marks(self) -> dict[str, FileMark]:
        """Return size and content of each file by name; LQ files have " (LQ)" after it."""
        return {f"{name}{PART_SUFFIXES.get(part, '')}": mark for name, part, mark in self}

    @property
    def num_bytes(self) -> int:
        """Size of all files together [bytes]."""
        return int(self.sizes[self.sizes >= 0].sum())

    @property
    def compared(self) -> Literal["contents", "names and sizes"]:
        """Basis of :attr:`digest`."""
        return "names and sizes" if self.sha256 is None else "contents"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over all names and contents, or names and sizes, in order."""
        total = hashlib.sha256()
        for row, name in enumerate(self.names):
            columns = range(len(self.parts))
            facts = [self._hex(row, c) if self.sha256 is not None else str(self.sizes[row, c]) for c in columns]
            line = "\0".join([name, *facts])
            total.update(os.fsencode(f"\n{line}" if row else line))  # names of files may be any bytes
        return total.hexdigest()

    def _hex(self, row: int, column: int) -> str:
        if self.sha256 is None or self.sizes[row, column] < 0:
            return ""
        return self.sha256[row, column].tobytes().hex()


def fingerprint(dataset: Dataset[object]) -> str | None:
    """Return a SHA-256 over the keys of a dataset, in order, and the contents of their files; None if it has no files.

    Paths do not enter it: the same data has the same fingerprint anywhere. Unchanged files are read once.
    """
    return record_of(dataset).digest if isinstance(dataset, ImageSet) else None


def record_of(dataset: ImageSet, limit: float = math.inf, subject: str = "") -> FileRecord:
    """Return the files of a dataset by the keys of their samples.

    Args:
        dataset: of images.
        limit: size of all files together above which they are not read [bytes].
        subject: option that names them, for the log.
    """
    pairs = dataset.pairs
    return _record(Mapped(pairs, _key), IMAGES, Mapped(pairs, _files), limit, subject)


def record_of_files(files: Mapping[str, Path], limit: float = math.inf, subject: str = "") -> FileRecord:
    """Return files by name, with `limit` and `subject` of :func:`record_of`."""
    return _record(list(files), FILES, [(file,) for file in files.values()], limit, subject)


def record_of_number(number: int) -> FileRecord:
    """Return the record of a dataset of which nothing is known but the number of its samples."""
    return FileRecord(["samples"], ("number",), np.array([[number]]), None)


def _key(pair: Pair) -> str:
    return pair.key


def _files(pair: Pair) -> tuple[Path | None, ...]:
    return pair.gt, pair.lq


def _record(
    names: Sequence[str],
    parts: tuple[str, ...],
    files: Sequence[tuple[Path | None, ...]],
    limit: float,
    subject: str,
) -> FileRecord:
    sizes = np.full((len(names), len(parts)), -1, np.int64)
    for row, group in enumerate(files):
        sizes[row] = [-1 if file is None else num_bytes(file) for file in group]
    record = FileRecord(names, parts, sizes, None)
    if record.num_bytes > limit:
        logger.info(
            f"{subject}: {record.num_bytes / 1e9:.4g} GB are more than data.hash_limit: if the run is resumed, names "
            "and sizes of its files are compared, not their contents"
        )
        return record
    sha256 = np.zeros((*sizes.shape, 32), np.uint8)
    for start in range(0, len(names), _CHUNK):
        chunk = list(files[start : start + _CHUNK])
        hashes = content_hashes(file for group in chunk for file in group if file is not None)
        for row, group in enumerate(chunk, start):
            for column, file in enumerate(group):
                if file is not None:
                    sha256[row, column] = np.frombuffer(bytes.fromhex(hashes[file]), np.uint8)
    return FileRecord(names, parts, sizes, sha256)


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
