"""Age of a store: does the folder it was made from still hold the same files?"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from srzoo.data.hashes import file_hash
from srzoo.data.listing import Fault
from srzoo.data.storage.folder import files_below


class Origin(NamedTuple):
    """File that an image of a store was made from: size [bytes], modification time [ns], SHA-256."""

    num_bytes: int
    modified: int
    sha256: str


def differences(files: Mapping[str, Path], origin_of: Callable[[str], Origin | None]) -> tuple[list[str], list[str]]:
    """Return the names of files that changed since they were stored, and of new ones.

    A file with another time is read: if its content is the same, it did not change.
    """
    changed: list[str] = []
    new: list[str] = []
    for name, file in files.items():
        origin, status = origin_of(name), file.stat()
        if origin is None:
            new.append(name)
        elif status.st_size != origin.num_bytes or (
            status.st_mtime_ns != origin.modified and file_hash(file) != origin.sha256
        ):
            changed.append(name)
    return changed, new


def age_faults(root: Path, sources: Iterable[Path], origin_of: Callable[[str], Origin | None]) -> list[Fault]:
    """Return a fault if the first folder of `sources` that exists holds files that are not in the store at `root`."""
    folder = next((path for path in sources if path.is_dir()), None)
    if folder is None:
        return []
    files = {file.relative_to(folder).as_posix(): file for file in files_below(folder)[0]}
    kinds = zip(("changed", "new"), differences(files, origin_of), strict=True)
    found = [f"{len(names)} {kind}, {names[0]} first" for kind, names in kinds if names]
    if not found:
        return []
    reason = (
        f"older than its folder {folder} ({'; '.join(found)}): pack the folder again with --overwrite, or move it away"
    )
    return [Fault(root, reason)]
