"""Packing of a folder, from the comparison with an earlier store to the check of the new one."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from srzoo.data.listing import Fault
from srzoo.data.storage.age import differences
from srzoo.data.storage.database import DatabaseStore, is_database
from srzoo.data.storage.database_writer import remove_database, write_database
from srzoo.data.storage.encoding import Codec
from srzoo.data.storage.folder import files_below
from srzoo.data.storage.journal import JOURNAL, read_journal
from srzoo.data.storage.opened import open_store
from srzoo.data.storage.pack import PackStore, is_pack
from srzoo.data.storage.pack_index import INDEX
from srzoo.data.storage.pack_writer import remove_pack, write_pack
from srzoo.data.storage.store import ImageStore
from srzoo.images import MAX_PIXELS, read_header

# mmap: srzoo's packs; lmdb: BasicSR's databases.
Form = Literal["mmap", "lmdb"]
FORMS: tuple[Form, ...] = get_args(Form)
# Compressed size of a decoded photograph, for the estimate of the space [share of its raw size].
_COMPRESSED = 0.7


@dataclass(frozen=True)
class Packing:
    """A folder to pack, and the store to write.

    Args:
        source: folder of image files.
        out: folder of the store.
        form: "mmap" or "lmdb".
        codec: form of the images in it.
        shard_size: largest shard of a pack [bytes].
        files: name -> image file of the source.
        left_out: files of the source that are no images.
        num_done: images that an unfinished store holds already.
        complete: the store holds all files as they are.
    """

    source: Path
    out: Path
    form: Form
    codec: Codec
    shard_size: int
    files: dict[str, Path]
    left_out: list[Fault]
    num_done: int
    complete: bool

    def estimate(self) -> tuple[int, list[Fault]]:
        """Return the size of the store, from the headers of the files [bytes], and the files without a readable one."""
        total, faults = 0, []
        for file in self.files.values():
            try:
                header = read_header(file)
            except (ValueError, OSError) as error:
                faults.append(Fault(file, str(error).removeprefix(f"{file}: ")))
                continue
            raw = header.height * header.width * (1 if header.grey else 3) * header.bits // 8
            same = header.kind.lower() == self.codec
            total += raw if self.codec == "raw" else file.stat().st_size if same else int(_COMPRESSED * raw)
        return total, faults

    def refuse_full_disk(self, needed: int) -> None:
        """Compare the space that the store needs with that on the disk.

        Raises:
            OSError: there is too little.
        """
        folder = next(path for path in (self.out.absolute(), *self.out.absolute().parents) if path.is_dir())
        there = sum(file.stat().st_size for file in self.out.iterdir() if file.is_file()) if self.out.is_dir() else 0
        free = shutil.disk_usage(folder).free
        if needed - there > free:
            raise OSError(
                f"{self.out} needs about {needed / 1e9:.2f} GB, {(needed - there) / 1e9:.2f} GB more than now, but "
                f"only {free / 1e9:.2f} GB are free: make room, name another disk, or use --codec png"
            )

    def write(self, workers: int = 1) -> Iterator[str]:
        """Write the store, and yield the name of each image that is in it; an unfinished one is continued.

        Raises:
            ValueError, OSError: as in :func:`write_pack` and :func:`write_database`.
        """
        if self.form == "lmdb":
            return write_database(self.files, self.source, self.out, codec=self.codec, workers=workers)
        return write_pack(
            self.files, self.source, self.out, codec=self.codec, shard_size=self.shard_size, workers=workers
        )


def plan_packing(
    source: Path, out: Path, *, form: Form, codec: Codec, shard_size: int, overwrite: bool = False
) -> Packing:
    """Compare a folder with the store that is to hold its images.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: a complete store with other images is there, and `overwrite` is off.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"image folder {source} does not exist")
    if open_store(source) is not None:
        raise ValueError(f"{source} is a store already: name the folder of image files")
    if out.absolute().resolve().is_relative_to(source.absolute().resolve()):
        raise ValueError(f"{out} lies in the folder to pack, {source}: choose a place outside it")
    paths, left_out = files_below(source)
    if not paths:
        raise FileNotFoundError(f"image folder {source} holds no image")
    files = {path.relative_to(source).as_posix(): path for path in paths}
    complete, num_done = False, 0
    unfinished = (out / JOURNAL).is_file() and not (out / INDEX).is_file()
    if not overwrite and unfinished:
        num_done = len(read_journal(out / JOURNAL)[1]) if (out / JOURNAL).stat().st_size else 0
    elif not overwrite and (is_pack(out) or is_database(out)):
        store = open_store(out)
        complete = _holds(store, files, form, codec)
        if not complete:
            raise ValueError(
                f"{out} holds other images, or the same in another form: pack the folder anew with --overwrite, or "
                "choose another name"
            )
    return Packing(source, out, form, codec, shard_size, files, left_out, num_done, complete)


def remove_store(out: Path) -> None:
    """Remove the pack or database at `out`; other folders are left alone."""
    if is_database(out):
        remove_database(out)
    elif is_pack(out):
        remove_pack(out)


def damaged_images(store: ImageStore) -> Iterator[Fault | None]:
    """Read all images of a store in parallel; yield a fault for each damaged one, None for each other."""

    def check(name: str) -> Fault | None:
        try:
            store.verify(name, MAX_PIXELS)
        except (ValueError, OSError) as error:
            return Fault(store.root / name, str(error).removeprefix(f"{store.root / name}: "))
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(check, store.names)


def _holds(store: ImageStore | None, files: dict[str, Path], form: Form, codec: Codec) -> bool:
    """Return True if a store of this form holds exactly these files."""
    if isinstance(store, PackStore):
        same, names = form == "mmap" and store.index.codec == codec, list(store.names)
    elif isinstance(store, DatabaseStore):
        same, names = form == "lmdb", store.source_names
    else:
        return False
    return same and set(names) == set(files) and not any(differences(files, store.origin))


def shard_bytes(text: str) -> int:
    """Return the bytes of a size such as "4GB", "500MB" or "1TB".

    Raises:
        ValueError: another form.
    """
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    number, unit = text[:-2], text[-2:].upper()
    try:
        size = int(float(number) * units[unit])
    except (ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"expected a size such as 4GB or 500MB, got {text!r}") from error
    if size < 1:
        raise ValueError(f"expected a size above 0, got {text!r}")
    return size
