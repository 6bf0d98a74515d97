"""LMDB databases in BasicSR's layout: a folder with ``data.mdb`` and ``meta_info.txt``.

A line ``key.png (h,w,c) level`` of the list names an image; the value of `key` in the database is the content of an
image file, usually PNG. The level of compression is not used. Databases written by srzoo have a third file, the
finished journal, with the checksums of the files that they were made from.
"""

import functools
import hashlib
import importlib
import itertools
import os
import re
import sys
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from srzoo.data.listing import Fault
from srzoo.data.names import Names, order
from srzoo.data.storage.age import Origin, age_faults
from srzoo.data.storage.journal import JOURNAL, Written, read_journal
from srzoo.data.storage.store import ImageStore
from srzoo.images import Header, Picture, decode_image, header_of

if TYPE_CHECKING:
    import lmdb

DATA = "data.mdb"
META_INFO = "meta_info.txt"
# Journal of a database that is complete.
SOURCES = "sources.jsonl"


def is_database(path: Path) -> bool:
    """Return True if there is an LMDB database at `path`."""
    return (path / DATA).is_file()


def key_of_name(name: str) -> str:
    """Return the key in the database of an image: its name without suffix."""
    return name.removesuffix(Path(name).suffix)


class DatabaseStore(ImageStore):
    """The images of an LMDB database, in the order of their names.

    Raises:
        ValueError: there is no ``meta_info.txt``, or a line of it has another form.
        ModuleNotFoundError: the package lmdb is not installed.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._names, self._numbers, self._sizes = _read_meta_info(root)
        _ENVIRONMENTS.get(root / DATA, b"-")  # a damaged database is refused here

    def __reduce__(self) -> tuple[type["DatabaseStore"], tuple[Path]]:
        return DatabaseStore, (self.root,)

    @property
    def names(self) -> Sequence[str]:
        return self._names

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def header(self, name: str, max_pixels: int) -> Header:
        return header_of(self._value(name), self.root / name, max_pixels)

    def read(self, name: str, max_pixels: int) -> Picture:
        return decode_image(self._value(name), self.root / name, max_pixels)

    def listed(self, name: str) -> tuple[tuple[int, int] | None, str]:
        index = self._find(name)
        height, width = self._sizes[index].tolist()
        return (height, width), f"{self.root / META_INFO}:{self._numbers[index]}"

    def num_bytes(self, name: str) -> int:
        written = self._written.get(key_of_name(name))
        return len(self._value(name)) if written is None else written.source_bytes

    def sha256(self, names: Sequence[str]) -> list[str]:
        written = [self._written.get(key_of_name(name)) for name in names]
        return [
            hashlib.sha256(self._value(name)).hexdigest() if image is None else image.sha256
            for name, image in zip(names, written, strict=True)
        ]

    def verify(self, name: str, max_pixels: int) -> None:
        value, written = self._value(name), self._written.get(key_of_name(name))
        if written is not None and hashlib.sha256(value).hexdigest() != written.stored:
            raise ValueError(f"{self.root / name}: damaged in {DATA} (its checksum differs)")
        decode_image(value, self.root / name, max_pixels)

    def faults(self) -> list[Fault]:
        """Return a fault if the folder that was packed is there and has changed since."""
        if not self._written:
            return []
        source = Path(str(read_journal(self.root / SOURCES)[0]["source"]))
        return age_faults(self.root, (source,), self.origin)

    @property
    def source_names(self) -> list[str]:
        """Names of the files that the database was made from, as far as they are recorded."""
        return [image.name for image in self._written.values()]

    def origin(self, name: str) -> Origin | None:
        """Return size, time and checksum of the file `name` that an image was made from, if they are recorded."""
        written = self._written.get(key_of_name(name))
        return written.origin if written is not None and written.name == name else None

    @functools.cached_property
    def _written(self) -> dict[str, Written]:
        """Origins by key, if srzoo wrote this database."""
        if not (self.root / SOURCES).is_file():
            return {}
        return {key_of_name(name): image for name, image in read_journal(self.root / SOURCES)[1].items()}

    def _find(self, name: str) -> int:
        index = self._names.find(name)
        if index is None:
            raise FileNotFoundError(f"image {self.root / name} is not named in {META_INFO}")
        return index

    def _value(self, name: str) -> bytes:
        index, key = self._find(name), key_of_name(name)
        value = _ENVIRONMENTS.get(self.root / DATA, os.fsencode(key))
        if value is None:
            raise FileNotFoundError(
                f"{self.root / name}: key {key!r}, which {META_INFO}:{self._numbers[index]} names, is not in {DATA}"
            )
        return bytes(value)


def import_lmdb() -> ModuleType:
    """Import the package lmdb.

    Raises:
        ModuleNotFoundError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module("lmdb")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("LMDB databases need the package lmdb: pip install lmdb") from error


def _read_meta_info(root: Path) -> tuple[Names, np.ndarray, np.ndarray]:
    """Return the names of images, sorted as paths, (N,) int32 lines that name them, and (N, 2) int32 sizes (H, W)."""
    path = root / META_INFO
    if (root / JOURNAL).is_file():
        raise ValueError(f"{root}: this database is unfinished: run the same `srzoo data pack` again, it continues")
    if not path.is_file():
        raise ValueError(
            f"{root}: {META_INFO} is missing beside {DATA}; it lists the images, `key.png (h,w,c) level` per line, as "
            "BasicSR's create_lmdb.py writes it"
        )
    found: list[str] = []
    sizes = array("i")
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="surrogateescape").splitlines(), 1):
        match = re.fullmatch(r"(.+\.\w+) \((\d+),\s*(\d+)(?:,\s*\d+)?\)(?: \d+)?\s*", line)
        if match is None:
            raise ValueError(f"{path}:{number}: expected `key.png (h,w,c) level`, got {line!r}")
        found.append(match[1])
        sizes.extend((int(match[2]), int(match[3])))
    if not found:
        raise ValueError(f"{path} is empty")
    rows = sorted(range(len(found)), key=lambda row: order(found[row]))
    for row, following in itertools.pairwise(rows):
        if found[row] == found[following]:
            raise ValueError(f"{path}:{following + 1}: {found[row]} is listed twice, in line {row + 1} too")
    sequence = np.array(rows, np.int32)
    # Every line names an image, so that its number is its place.
    return Names.of(found[row] for row in rows), sequence + 1, np.array(sizes, np.int32).reshape(-1, 2)[sequence]


def _is_swapped(path: Path) -> bool:
    """Return True if the first page of a database has LMDB's magic number in the byte order of other machines."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(20)
    return head[16:] == 0xBEEFC0DE.to_bytes(4, "big" if sys.byteorder == "little" else "little")


class _Environments:
    """The open databases of this process.

    An open database must not cross a fork, and lmdb refuses to open it a second time in the child. So all are closed
    before a fork and opened again, on both sides, when they are next read.
    """

    def __init__(self) -> None:
        self._open: dict[Path, tuple[int, lmdb.Environment]] = {}
        self._lock = threading.Lock()
        os.register_at_fork(
            before=self._close_and_hold, after_in_parent=self._lock.release, after_in_child=self._lock.release
        )

    def get(self, path: Path, key: bytes) -> bytes | None:
        """Return the value of a key in the database at `path`.

        Raises:
            ValueError: it cannot be read.
            ModuleNotFoundError: the package lmdb is not installed.
        """
        error = import_lmdb().Error
        try:
            with self._lock, self._environment(path.resolve()).begin() as transaction:
                return transaction.get(key)
        except error as reason:
            hint = "; it was written on a machine with another byte order" if _is_swapped(path) else ""
            raise ValueError(f"{path}: not a readable LMDB database ({reason}){hint}: make it again") from reason

    def _environment(self, path: Path) -> "lmdb.Environment":
        inode = path.stat().st_ino
        if path in self._open and self._open[path][0] != inode:
            self._open.pop(path)[1].close()  # another file lies there now
        if path not in self._open:
            # Nobody writes meanwhile, so that no lock is needed: the folder may be read-only.
            opened = import_lmdb().open(str(path.parent), readonly=True, lock=False, readahead=False, meminit=False)
            self._open[path] = (inode, opened)
        return self._open[path][1]

    def _close_and_hold(self) -> None:
        self._lock.acquire()
        for _, environment in self._open.values():
            environment.close()
        self._open.clear()


_ENVIRONMENTS = _Environments()
