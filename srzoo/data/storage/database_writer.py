"""Writing of LMDB databases in BasicSR's layout. The list, ``meta_info.txt``, is written last."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.atomic import write_atomic
from srzoo.data.listing import Fault, UnusedImagesError
from srzoo.data.names import order
from srzoo.data.storage.database import DATA, META_INFO, SOURCES, import_lmdb, key_of_name
from srzoo.data.storage.encoding import Codec, Encoded, ToEncode, encoded, written
from srzoo.data.storage.journal import JOURNAL, Journal, Written

if TYPE_CHECKING:
    import lmdb

# Bytes and images of one transaction.
_COMMIT_BYTES, _COMMIT_IMAGES = 2**26, 256
# First size of the map; it doubles when it is full [bytes].
_FIRST_SIZE = 2**28


def write_database(
    files: Mapping[str, Path], source: Path, out: Path, *, codec: Codec, workers: int = 1
) -> Iterator[str]:
    """Write image files to an LMDB database, and yield the name of each one that is in it, earlier ones first.

    Args:
        files: name -> file.
        source: folder of the files, recorded.
        out: folder of the database; an unfinished one is continued.
        codec: "png" or "webp"; the layout has no raw pixels.
        workers: processes that decode.

    Raises:
        ValueError: `out` holds something else, two files have one key, or another process writes it.
        UnusedImagesError: files that cannot be used; the others are in the database, which stays unfinished.
        OSError: the disk is full; the database stays unfinished.
    """
    if codec == "raw":
        raise ValueError("an LMDB database in BasicSR's layout holds image files: use --codec png, or --store mmap")
    _refuse_equal_keys(files)
    if out.is_dir() and not (out / JOURNAL).is_file() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty: choose another folder for the database")
    with Journal(out, {"codec": codec, "source": str(source.absolute())}) as journal:
        done = {name for name, image in journal.written.items() if name in files and image.made_from(files[name])}
        yield from done
        faults: list[Fault] = []
        environment = import_lmdb().open(str(out), map_size=_FIRST_SIZE)
        try:
            pending: list[Encoded] = []
            for image in encoded(
                [ToEncode(name, file, codec) for name, file in files.items() if name not in done], workers
            ):
                if image.fault:
                    faults.append(Fault(files[image.name], image.fault))
                    continue
                pending.append(image)
                if len(pending) >= _COMMIT_IMAGES or sum(len(each.content) for each in pending) >= _COMMIT_BYTES:
                    _commit(environment, journal, pending)
                    pending = []
                yield image.name
            _commit(environment, journal, pending)
        finally:
            environment.close()
        if faults:
            raise UnusedImagesError(faults)
        lines = [_line(journal.written[name]) for name in sorted(files, key=order)]
        write_atomic(out / META_INFO, lambda file: file.write("".join(lines).encode(errors="surrogateescape")))
        journal.remove(keep_as=SOURCES)


def remove_database(folder: Path) -> None:
    """Remove a database, its list first, so that a part of it is never taken for a whole one."""
    for name in (META_INFO, JOURNAL, SOURCES, DATA, "lock.mdb"):
        (folder / name).unlink(missing_ok=True)


def _refuse_equal_keys(files: Mapping[str, Path]) -> None:
    known: dict[str, str] = {}
    for name in files:
        other = known.setdefault(key_of_name(name), name)
        if other != name:
            raise ValueError(f"{other} and {name} have one key, {key_of_name(name)!r}: rename one, or use --store mmap")


def _commit(environment: "lmdb.Environment", journal: Journal, images: Sequence[Encoded]) -> None:
    """Put images into the database, then note them; a map that is full grows."""
    lmdb = import_lmdb()
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for image in images:
                    transaction.put(key_of_name(image.name).encode(errors="surrogateescape"), image.content)
            break
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])
        except lmdb.DiskError as error:
            raise _full(environment) from error
    if images:
        try:
            journal.add([written(image) for image in images])
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _full(environment) from error


def _full(environment: "lmdb.Environment") -> OSError:
    return OSError(
        errno.ENOSPC, f"{environment.path()}: the disk is full: make room and run the same command again, it continues"
    )


def _line(image: Written) -> str:
    """Return a line of ``meta_info.txt``; the level of compression is BasicSR's default."""
    return f"{key_of_name(image.name)}.png ({image.height},{image.width},{image.channels}) 1\n"
