"""Messages that codec libraries print to standard error, which name neither the file nor the program."""

import contextlib
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

# srzoo's log, which the engine sends to the console and to train.log.
_log = logging.getLogger("srzoo")

# libjpeg and libtiff fill the pixels that they cannot decode with something, and print one of these. A few extraneous
# bytes before a marker are padding, which some cameras write; many are the rest of a picture that was decoded wrongly.
_DAMAGE = re.compile(
    r"Corrupt JPEG data: (?!bad ICC|\d+ extraneous)|Premature end of JPEG|libpng error"
    r"|TIFF_Error (?!TIFF(Advance|Fetch|Read)Directory)"  # a broken directory is that of another page
)
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker")
_PADDING = 16

# Time and place in OpenCV's own source, before its messages.
_OPENCV_PREFIX = re.compile(r"^\[\s*\w+:\d+@[\d.]+\] global \S+:\d+ ")

# Standard error belongs to the whole process: other threads hold the lock while they print there.
console_lock = threading.Lock()
_reported: set[tuple[Path, str]] = set()


@contextlib.contextmanager
def codec_messages(path: Path) -> Iterator[None]:
    """Hold back the messages of codecs meanwhile, and log them once with the name of the file.

    Raises:
        ValueError: the codec returned pixels, but a message says that the file is damaged.
    """
    lines: list[str] = []
    with _captured(lines):
        yield
    for line in lines:
        extraneous = _EXTRANEOUS.search(line)
        if _DAMAGE.search(line) or (extraneous is not None and int(extraneous[1]) > _PADDING):
            raise ValueError(line)
    for line in lines:
        if (path, line) not in _reported:  # each epoch reads the file again
            _reported.add((path, line))
            _log.warning(f"{path}: {line}")


@contextlib.contextmanager
def _captured(lines: list[str]) -> Iterator[None]:
    """Collect the lines written to file descriptor 2, where C libraries print."""
    with console_lock, tempfile.TemporaryFile() as file:
        try:
            before = os.dup(2)
        except OSError:  # a service without standard error: the messages are lost anyway
            yield
            return
        try:
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
        file.seek(0)
        text = file.read().decode(errors="replace")
        lines += [_OPENCV_PREFIX.sub("", line.strip()) for line in text.splitlines() if line.strip()]
