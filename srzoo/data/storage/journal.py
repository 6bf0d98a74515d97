"""Journal of a store that is being written: the images that are safely in it, so that a run that was killed continues.

A line is written after the bytes of its image have reached the disk. The journal is removed when the store is complete.
"""

import errno
import fcntl
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from srzoo.data.storage.age import Origin

JOURNAL = "unfinished.jsonl"

logger = logging.getLogger("srzoo")


@dataclass(frozen=True)
class Written:
    """An image that a store holds.

    Args:
        name: path below the source folder.
        shard: number of its shard file.
        offset: of its bytes in the shard.
        num_bytes: stored.
        height, width, channels, bits: of its pixels.
        stored: SHA-256 of the stored bytes.
        source_bytes: size of its file.
        modified: time of its file [ns].
        sha256: of its file.
    """

    name: str
    shard: int
    offset: int
    num_bytes: int
    height: int
    width: int
    channels: int
    bits: int
    stored: str
    source_bytes: int
    modified: int
    sha256: str

    def made_from(self, file: Path) -> bool:
        """Return True if the file is as it was, by size and time."""
        status = file.stat()
        return (status.st_size, status.st_mtime_ns) == (self.source_bytes, self.modified)

    @property
    def origin(self) -> Origin:
        """Size, time and checksum of its file."""
        return Origin(self.source_bytes, self.modified, self.sha256)


def read_journal(path: Path) -> tuple[dict[str, object], dict[str, Written]]:
    """Return the settings of a journal, and its images by name; a line that a crash cut off is left out."""
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    settings, *rows = map(json.loads, lines or [b"{}"])
    return settings, {row["name"]: Written(**row) for row in rows}


class LockedError(ValueError):
    """Another process is writing the store."""


class Journal:
    """The journal in a folder, locked against other writers while it is open.

    Args:
        folder: of the store.
        settings: of the writer; a journal with others is refused.

    Raises:
        LockedError: another process is writing.
        ValueError: the journal was begun with other settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / JOURNAL
        self._file = self.path.open("a+b")
        self._lock(folder)
        self._file.seek(0)
        # A line without its end was cut off by a crash.
        lines = [line for line in self._file.read().splitlines(keepends=True) if line.endswith(b"\n")]
        self._file.truncate(sum(map(len, lines)))
        if not lines:
            self._append([json.dumps(settings)])
        elif json.loads(lines[0]) != dict(settings):
            self._file.close()
            raise ValueError(
                f"{folder} was begun with {json.loads(lines[0])}, not {dict(settings)}: run the same command again, or "
                "start anew with --overwrite"
            )
        self.written = read_journal(self.path)[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, images: Sequence[Written]) -> None:
        """Note images whose bytes are on the disk."""
        self._append([json.dumps(asdict(image)) for image in images])
        self.written |= {image.name: image for image in images}

    def remove(self, keep_as: str | None = None) -> None:
        """Remove the journal of a complete store, or keep it under another name."""
        if keep_as is None:
            self.path.unlink()
        else:
            self.path.rename(self.path.with_name(keep_as))

    def _lock(self, folder: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                self._file.close()
                raise LockedError(f"another process is writing {folder}: wait for it, or end it") from error
            logger.warning(f"{folder}: its file system has no locks ({error.strerror}): let nothing else write there")

    def _append(self, lines: Sequence[str]) -> None:
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())
