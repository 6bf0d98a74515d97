"""Atomic file writes: write to a temporary file beside the target, fsync, rename."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Create or replace `path`; on an error, such as a full disk, the old file is kept and no partial one is left.

    Args:
        path: target; missing folders are created.
        write: writes the content to the open binary file passed to it.

    Raises:
        OSError: the file cannot be written; the message names `path`.
    """
    temporary: Path | None = None
    try:
        # In the same folder: a rename is atomic only within a file system.
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file)  # pyright: ignore[reportArgumentType]  # the wrapper has the whole BinaryIO interface
            file.flush()
            # Otherwise a power failure after the rename could leave an empty file.
            os.fsync(file.fileno())
        # Temporary files are private; the result gets the usual permissions.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:  # interruptions too
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            kept = "; the earlier file is intact" if os.path.lexists(path) else ""
            raise OSError(error.errno, f"could not write {path}: {error.strerror}{kept}") from error
        raise


def require_writable(path: Path) -> None:
    """Check that a file can be written under a name, before the work whose result it is to hold.

    Raises:
        ValueError: it is a folder, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file")
    existing = next(place for place in path.absolute().parents if place.exists())
    if not existing.is_dir():
        raise ValueError(f"{existing} is a file, and a folder is needed for {path.name}: choose another name")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"no permission to write to the folder {existing}: choose another one")


def write_text(path: Path, text: str) -> None:
    """Create or replace a UTF-8 text file atomically."""
    write_atomic(path, lambda file: file.write(text.encode()))


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove the temporary files in a folder that writers which were killed left there, and return them.

    Nothing may be writing to the folder.
    """
    hidden = folder.glob(".*") if folder.is_dir() else ()
    # The name of the target, with its suffix, and the eight characters that tempfile adds.
    leftovers = [path for path in hidden if re.fullmatch(r"\..+\.\w+\.[a-z0-9_]{8}", path.name) and path.is_file()]
    for path in leftovers:
        path.unlink()
    return leftovers


def _umask() -> int:
    """Return the umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
