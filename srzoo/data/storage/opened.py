"""The store that an image lies in, and reading by address: ``store / name``, or the path of a file.

Stores are recognised by their content and opened once per process: a worker that starts with nothing (`spawn`) finds
them again from the addresses.
"""

import functools
import os
from collections.abc import Iterable
from pathlib import Path

from srzoo.data.listing import Fault
from srzoo.data.storage.database import DatabaseStore, is_database
from srzoo.data.storage.folder import FolderStore
from srzoo.data.storage.pack import PackStore, is_pack
from srzoo.data.storage.store import ImageStore
from srzoo.images import MAX_PIXELS, Header, Picture

# Folders whose stores are remembered; a training on images of fewer folders looks each up once.
_REMEMBERED = 10_000


def open_store(path: Path) -> ImageStore | None:
    """Return the pack or database at `path`, read anew if it changed; None if there is none.

    Raises:
        ValueError: a store that is unfinished or damaged.
    """
    _store_around.cache_clear()
    _at.cache_clear()
    return _at(path)


def image_exists(path: Path | str) -> bool:
    """Return True if there is a file, or an image of a store, at this address."""
    store, name = _locate(path)
    return name in store


def read_header(path: Path, max_pixels: int = MAX_PIXELS) -> Header:
    """Return kind, size, depth and channels of the image at an address.

    Raises:
        FileNotFoundError, ValueError: as in :meth:`ImageStore.header`.
    """
    store, name = _locate(path)
    return store.header(name, max_pixels)


def read_image(path: Path, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return the image at an address; where pixels are stored raw, a crop of the result reads only its bytes.

    Raises:
        FileNotFoundError, ValueError: as in :meth:`ImageStore.read`.
    """
    store, name = _locate(path)
    return store.read(name, max_pixels)


def verify_image(path: Path, max_pixels: int = MAX_PIXELS) -> None:
    """Read the image at an address whole, and compare it with its checksum where there is one.

    Raises:
        FileNotFoundError, ValueError: as in :meth:`ImageStore.verify`.
    """
    store, name = _locate(path)
    store.verify(name, max_pixels)


def profile_of(path: Path, num_channels: int) -> bytes | None:
    """Return the ICC profile of the image at an address, if it has one for 1 or 3 colour channels."""
    store, name = _locate(path)
    return store.colour_profile(name, num_channels)


def num_bytes(path: Path) -> int:
    """Return the size of the file that the image at an address is, or was made from [bytes]."""
    store, name = _locate(path)
    return store.num_bytes(name)


def content_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 of the files that images are, or were made from, by address."""
    by_store: dict[int, tuple[ImageStore, list[Path], list[str]]] = {}
    for path in dict.fromkeys(paths):
        store, name = _locate(path)
        if isinstance(store, FolderStore):  # one store for all files, so that they are hashed in parallel
            store, name = _FILES, os.fspath(path)
        _, members, names = by_store.setdefault(id(store), (store, [], []))
        members.append(path)
        names.append(name)
    hashes: dict[Path, str] = {}
    for store, members, names in by_store.values():
        hashes |= dict(zip(members, store.sha256(names), strict=True))
    return hashes


def store_faults(paths: Iterable[Path]) -> list[Fault]:
    """Return the faults, as wholes, of the stores that the images at these addresses lie in."""
    stores = {id(store): store for store, _ in map(_locate, paths) if not isinstance(store, FolderStore)}
    return [fault for store in stores.values() for fault in store.faults()]


def same_content(first: Path, second: Path) -> bool:
    """Return True if two images are equal files, or were made from such."""
    if num_bytes(first) != num_bytes(second):
        return False
    hashes = content_hashes([first, second])
    return hashes[first] == hashes[second]


def same_place(first: Path, second: Path) -> bool:
    """Return True if two addresses name one image."""
    return first == second or (first.exists() and second.exists() and first.samefile(second))


# All files, by their whole paths.
_FILES = FolderStore(Path())


def _locate(path: Path | str) -> tuple[ImageStore, str]:
    """Return the store of an address, and the name of the image in it."""
    folder, slash, name = os.fspath(path).rpartition("/")
    store, prefix = _store_around(folder or slash)
    return store, prefix + name


@functools.lru_cache(_REMEMBERED)
def _store_around(folder: str) -> tuple[ImageStore, str]:
    """Return the store that the images of a folder lie in, and the beginning of their names in it."""
    path = Path(folder)
    for parent in (path, *path.parents):
        store = _at(parent)
        if store is not None:
            return store, f"{path.relative_to(parent).as_posix()}/".removeprefix("./")
        if parent.is_dir():  # a folder of files: stores hold no folders of images
            break
    return FolderStore(path), ""


@functools.lru_cache(_REMEMBERED)
def _at(path: Path) -> ImageStore | None:
    """Return the store at a path, if there is one."""
    if is_database(path):
        return DatabaseStore(path)
    return PackStore(path) if is_pack(path) else None
