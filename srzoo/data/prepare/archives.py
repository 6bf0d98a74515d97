"""Archives of images, unpacked whole or not at all: regular files below the folder, of bounded size."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from srzoo.progress import shown

SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")
# Images are compressed already: an archive that grows by more than this, and this much, is no archive of images.
_LARGEST_EXPANSION = 20
_FREE_EXPANSION = 64 * 2**20
_MOST_FILES = 2_000_000
_BLOCK = 2**20

# RuntimeError: a password, or (its subclass NotImplementedError) an unknown compression.
_DAMAGE = (ValueError, RuntimeError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)

Member = tuple[str, int, IO[bytes] | None]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into a new folder; on an error the folder is removed.

    Raises:
        ValueError: no such archive, a damaged one, or a member that is refused: a path outside the folder, a link or
            device, a name that occurs twice, or content that grows beyond bounds.
        OSError: the disk is full.
    """
    limit = _FREE_EXPANSION + _LARGEST_EXPANSION * archive.stat().st_size
    folder.mkdir(parents=True)
    try:
        seen: set[PurePosixPath] = set()
        written = 0
        for name, size, source in shown(_members(archive), f"unpacking {archive.name}", unit="file", delay=1):
            path = _safe(name)
            if path in seen:
                raise ValueError(f"holds {name!r} twice")
            seen.add(path)
            if len(seen) > _MOST_FILES:
                raise ValueError(f"holds more than {_MOST_FILES:,} files: refused")
            if source is None:
                continue
            if written + size > limit:
                raise ValueError(f"grows beyond {limit:,} bytes, which images do not: refused")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                # The stated size may be wrong: the bytes that come out count.
                while block := source.read(_BLOCK):
                    written += len(block)
                    if written > limit:
                        raise ValueError(f"grows beyond {limit:,} bytes, which images do not: refused")
                    file.write(block)
    except _DAMAGE as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(f"{archive}: {error}") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def contents(archive: Path) -> tuple[int, int]:
    """Return the number of files in an archive and their size [bytes], without unpacking it.

    Raises:
        ValueError: as :func:`unpack`.
    """
    try:
        sizes = [size for name, size, _ in _members(archive) if _safe(name)]
    except _DAMAGE as error:
        raise ValueError(f"{archive}: {error}") from error
    return len(sizes), sum(sizes)


def _safe(name: str) -> PurePosixPath:
    """Return the path of a member below the folder.

    Raises:
        ValueError: it is absolute, or leads outside.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name:
        raise ValueError(f"holds {name!r}, a path outside the folder: refused")
    return path


def _members(archive: Path) -> Iterator[Member]:
    """Yield (name, stated size, content) of the files of an archive; the content is read before the next one.

    Raises:
        ValueError: neither zip nor tar, or a member that is no regular file.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for member in opened.infolist():
                mode = member.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise ValueError(f"holds {member.filename!r}, a link or device: refused")
                if not member.is_dir():
                    with opened.open(member) as content:
                        yield member.filename, member.file_size, content
        return
    with tarfile.open(archive) as opened:
        for member in opened:
            if not (member.isreg() or member.isdir()):
                raise ValueError(f"holds {member.name!r}, a link or device: refused")
            if member.isreg():
                yield member.name, member.size, opened.extractfile(member)
