"""Image files of a folder and those below it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from srzoo.data.hashes import file_hashes
from srzoo.data.listing import Fault
from srzoo.data.names import Names, suffix_of
from srzoo.data.storage.store import ImageStore
from srzoo.images import EXTENSIONS, Header, Picture, colour_profile, read_header, read_image


class FolderStore(ImageStore):
    """The files of a folder; their names may lead into sub-folders."""

    @property
    def names(self) -> Sequence[str]:
        return names_below(self.root)[0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._file(name).is_file()

    def header(self, name: str, max_pixels: int) -> Header:
        return read_header(self._file(name), max_pixels)

    def read(self, name: str, max_pixels: int) -> Picture:
        return read_image(self._file(name), max_pixels)

    def num_bytes(self, name: str) -> int:
        return self._file(name).stat().st_size

    def sha256(self, names: Sequence[str]) -> list[str]:
        files = [self._file(name) for name in names]
        hashes = file_hashes(files)
        return [hashes[file] for file in files]

    def colour_profile(self, name: str, num_channels: int) -> bytes | None:
        return colour_profile(self._file(name), num_channels)

    def _file(self, name: str) -> Path:
        return self.root / name


# File in which `srzoo data make-lr` and `subimages` keep what they have done; it belongs to the images of its folder.
PREPARED = ".srzoo_prepared.jsonl"

# Device and inode.
_Identity = tuple[int, int]


def files_below(folder: Path, recursive: bool = True, without: Path | None = None) -> tuple[list[Path], list[Fault]]:
    """Return the image files below `folder`, with the arguments of :func:`names_below`, and the files left out."""
    names, left_out = names_below(folder, recursive, without)
    return [folder / name for name in names], left_out


def names_below(folder: Path, recursive: bool = True, without: Path | None = None) -> tuple[Names, list[Fault]]:
    """Return the names of the image files below `folder`, sorted as paths, and the files left out.

    Linked folders are followed.

    Args:
        folder: to search.
        recursive: search sub-folders too; else they are left out.
        without: a folder that is left out.
    """
    left_out: list[Fault] = []
    other = _identity(without) if without is not None and without.is_dir() else None

    def images() -> Iterator[str]:
        for name in _walk(folder, "", (), recursive, other):
            reason = "sub-folder" if not recursive and (folder / name).is_dir() else _reason_to_leave_out(name)
            if reason:
                left_out.append(Fault(folder / name, reason))
            else:
                yield name

    return Names.of(images()), left_out


def _walk(
    folder: Path, prefix: str, above: tuple[_Identity, ...], recursive: bool, without: _Identity | None
) -> Iterator[str]:
    """Yield the names of files below `folder`, sorted, and of hidden folders without their content.

    A link to one of the folders `above` is not followed: it would never end.

    Args:
        folder: to search.
        prefix: its name below the folder where the search began, with a slash.
        above: folders around it.
        recursive: search sub-folders too.
        without: a folder that is left out.
    """
    identity = _identity(folder)
    if identity in above or identity == without:
        return
    names: list[str] = []
    folders: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == PREPARED:
                continue
            names.append(entry.name)
            if recursive and _is_folder(entry) and not entry.name.startswith("."):
                folders.add(entry.name)
    names.sort()  # folder by folder, this is the order of paths
    for name in names:
        if name in folders:
            yield from _walk(folder / name, f"{prefix}{name}/", (*above, identity), recursive, without)
        else:
            yield prefix + name


def _identity(folder: Path) -> _Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: reading it as an image reports it
        return False


def _reason_to_leave_out(name: str) -> str:
    """Return the reason why a file is not used; empty if it is used."""
    # Editors and other systems leave hidden files and folders, such as thumbnails.
    if name.rpartition("/")[2].startswith("."):
        return "hidden"
    suffix = suffix_of(name).lower()
    return "" if suffix in EXTENSIONS else suffix or "without suffix"
