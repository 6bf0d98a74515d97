"""PreparedJournal of a prepared folder: which files were made from which inputs, under which settings.

One line of JSON per job, appended when its files are whole: an interrupted run continues after its last line, and a
line that was cut is ignored. Contents are compared, so that a dataset may be moved or copied together with its journal.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from srzoo.data.storage import content_hashes, image_exists, num_bytes
from srzoo.data.storage.folder import PREPARED
from srzoo.tensor_files import sha256

Settings = Mapping[str, int | str]


@dataclass(frozen=True)
class Stamp:
    """Identity of a file's content.

    Args:
        size: of the file [bytes].
        modified: time of the last change [ns].
        sha256: of the content.
    """

    size: int
    modified: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Read a file and return its stamp; that of an image of a store is of the file that it was made from."""
        if not path.is_file() and image_exists(path):
            return cls(num_bytes(path), 0, content_hashes([path])[path])
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, sha256(path))

    def fits(self, path: Path) -> bool:
        """Return True if a file exists and has this content; it is read only if its time has changed."""
        if not path.is_file() and image_exists(path):
            return Stamp.of(path) == self
        try:
            status = path.stat()
        except OSError:
            return False
        if status.st_size != self.size:
            return False
        return status.st_mtime_ns == self.modified or sha256(path) == self.sha256


@dataclass(frozen=True)
class Record:
    """Line of the journal: a finished job.

    Args:
        key: name of the job.
        group: of the job.
        settings: under which it ran.
        inputs: stamps of the files that it read, in order.
        outputs: path below the folder -> stamp of each file that it wrote.
    """

    key: str
    group: str
    settings: Settings
    inputs: Sequence[Stamp]
    outputs: Mapping[str, Stamp]

    def is_whole(self, folder: Path) -> bool:
        """Return True if all files of this job are below `folder` as they were written."""
        return all(stamp.fits(folder / name) for name, stamp in self.outputs.items())

    def line(self) -> str:
        """Return the line of the journal."""
        stamps = {name: [s.size, s.modified, s.sha256] for name, s in self.outputs.items()}
        inputs = [[s.size, s.modified, s.sha256] for s in self.inputs]
        head = {"key": self.key, "group": self.group, "settings": dict(self.settings)}
        return json.dumps({**head, "inputs": inputs, "outputs": stamps})


@dataclass
class PreparedJournal:
    """Records of a folder by the key of their job; later lines replace earlier ones."""

    folder: Path
    records: dict[str, Record] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "PreparedJournal":
        """Read the journal of a folder; empty if there is none."""
        journal = cls(folder)
        path = folder / PREPARED
        lines = path.read_text().splitlines() if path.is_file() else []
        for line in lines:
            try:
                entry = json.loads(line)
                record = Record(
                    entry["key"],
                    entry["group"],
                    entry["settings"],
                    [Stamp(*stamp) for stamp in entry["inputs"]],
                    {name: Stamp(*stamp) for name, stamp in entry["outputs"].items()},
                )
            except (ValueError, KeyError, TypeError):  # a line cut short by an interruption: its job is done again
                continue
            journal.records[record.key] = record
        return journal

    def append(self, record: Record) -> None:
        """Add a finished job."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # A line that was cut short has no end: the next one must not continue it.
        with (self.folder / PREPARED).open("ab+") as file:
            cut = file.tell() > 0 and not _ends_with_newline(self.folder / PREPARED)
            file.write(f"{chr(10) * cut}{record.line()}\n".encode())
        self.records[record.key] = record


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
