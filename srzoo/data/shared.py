"""Arrays that all processes of a loader share, whatever way they start."""

import mmap
import os
import tempfile
from collections.abc import Callable, Iterable
from multiprocessing import reduction
from multiprocessing.context import get_spawning_popen
from typing import IO, Protocol

import numpy as np

# Smaller arrays are copied [bytes].
_WORTH_SHARING = 2**16


class SharedArray:
    """A read-only array of one dimension.

    Forked processes share its pages, as all memory that nobody writes to. When a process is spawned or comes from a
    fork server, the array moves to a temporary file without a name, which all of them map.

    Args:
        array: (N,), not written to from now on.
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self.array)

    def __reduce__(self) -> tuple[Callable[..., "SharedArray"], tuple[object, ...]]:
        if self.array.nbytes < _WORTH_SHARING or get_spawning_popen() is None:
            return SharedArray, (np.array(self.array),)
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="srzoo-")  # noqa: SIM115  # open as long as the array lives
            self.array.tofile(self._file)
            self._file.flush()
            self.array = _mapped(self._file.fileno(), self.array.dtype.str)
        return _attached, (reduction.DupFd(self._file.fileno()), self.array.dtype.str)


class _Descriptor(Protocol):
    """A file descriptor on its way to a process that starts."""

    def detach(self) -> int: ...


def _attached(descriptor: _Descriptor, kind: str) -> SharedArray:
    number = descriptor.detach()
    array = _mapped(number, kind)
    os.close(number)
    return SharedArray(array)


def _mapped(number: int, kind: str) -> np.ndarray:
    return np.frombuffer(mmap.mmap(number, 0, access=mmap.ACCESS_READ), kind)


def hashes_of(texts: Iterable[str], count: int) -> np.ndarray:
    """Return the hashes of texts, (count,) int64, which differ as the texts do; they are those of this process."""
    return np.fromiter(map(hash, texts), np.int64, count)


def repeated(hashes: np.ndarray) -> np.ndarray:
    """Return (N,) bool: True for values that occur more than once."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return counts[inverse] > 1


def first_places(hashes: np.ndarray) -> np.ndarray:
    """Return (N,) int64: the place at which each value occurs first."""
    _, places, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return places[inverse]
