"""Files appear whole or not at all: write beside the target, fsync, rename."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Create or replace `path` with what `write` puts into the open file it is given.

    An error (a full disk, say) leaves the old file as it was and nothing half-written behind.

    Raises:
        OSError: naming `path`, when the file cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            write(file)  # pyright: ignore[reportArgumentType]  # the wrapper has the whole BinaryIO interface
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(
                error.errno, f"could not write {path}: {error.strerror}; an earlier file is intact"
            ) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Create or replace a UTF-8 text file in one go."""
    write_atomic(path, lambda file: file.write(text.encode()))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
