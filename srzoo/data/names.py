"""A million names in one array of bytes: as objects they would take 100 MB, in each worker."""

import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from srzoo.data.shared import SharedArray, hashes_of

# Names that are decoded at a time when all are read.
_CHUNK = 4096
# Lists of more names are searched by bisection: a dictionary would take 200 bytes per name.
_SMALL = 100_000


class Names(Sequence[str]):
    """Names of images in one array of bytes.

    Args:
        text: (bytes,) uint8, all names, one after the other.
        ends: (N,), end of each in `text`.
    """

    def __init__(self, text: np.ndarray, ends: np.ndarray) -> None:
        # memoryview reads native numbers alone.
        self._text, self._ends = SharedArray(text), SharedArray(ends.astype(ends.dtype.newbyteorder("="), copy=False))
        self._count = len(ends)
        self._views: tuple[memoryview, memoryview] | None = None
        self._indices: dict[str, int] | None = None
        self._hashes: tuple[memoryview, memoryview] | None = None
        self._next = 0

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        """Return names that come one after the other."""
        builder = NamesBuilder()
        for name in names:
            builder.add(name)
        return builder.done()

    def __getstate__(self) -> dict[str, object]:
        self._views = None  # the arrays may move
        state: dict[str, object] = dict(self.__dict__)
        state.update(_indices=None, _hashes=None)  # hashes are those of one process
        return state

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        index %= self._count
        if self._views is None:  # three times as fast as indexing arrays
            self._views = self._text.array.data, self._ends.array.data
        text, ends = self._views
        return os.fsdecode(bytes(text[ends[index - 1] if index else 0 : ends[index]]))

    def __iter__(self) -> Iterator[str]:
        return self._until(self._ends.array)

    def stems(self) -> Iterator[str]:
        """Yield the names without their suffixes, as :func:`without_suffix` returns them."""
        return self._until(self._stem_ends())

    def _until(self, stops: np.ndarray) -> Iterator[str]:
        """Yield the names, each up to its place in `stops`."""
        start = 0
        for first in range(0, len(self), _CHUNK):
            ends = self._ends.array[first : first + _CHUNK].tolist()
            encoded = self._text.array[start : ends[-1]].tobytes()
            # Of ASCII, places of bytes are places of characters.
            text, base = os.fsdecode(encoded) if encoded.isascii() else encoded, start
            for end, stop in zip(ends, stops[first : first + _CHUNK].tolist(), strict=True):
                name = text[start - base : stop - base]
                yield name if isinstance(name, str) else os.fsdecode(name)
                start = end

    def _stem_ends(self) -> np.ndarray:
        """Return the places where suffixes begin, or names without a suffix end, (N,)."""
        ends = self._ends.array.astype(np.int64)
        starts = np.concatenate([[0], ends])[: len(ends)]
        dots, slashes = (self._last(character, ends) for character in b"./")
        # A dot at the beginning or the end of a file's name begins no suffix.
        has_suffix = (dots > np.maximum(starts, slashes + 1)) & (dots < ends - 1)
        return np.where(has_suffix, dots, ends)

    def _last(self, character: int, ends: np.ndarray) -> np.ndarray:
        """Return the last place of a character before each of `ends`; -1: there is none."""
        places = np.concatenate([[-1], np.flatnonzero(self._text.array == character)])
        return places[np.searchsorted(places, ends) - 1]

    def find(self, name: str) -> int | None:
        """Return the place of a name in names that are sorted as paths are, None if it is not there."""
        if len(self) <= _SMALL:
            if self._indices is None:
                self._indices = {known: index for index, known in enumerate(self)}
            return self._indices.get(name)
        self._hashes = None  # lists are read before images are
        # Whoever reads all names asks for one after the other.
        index = self._next
        if index >= self._count or self[index] != name:
            index = bisect_left(range(len(self)), _as_sorted(name), key=lambda number: _as_sorted(self[number]))
        if index >= self._count or self[index] != name:
            return None
        self._next = index + 1
        return index

    def __contains__(self, name: object) -> bool:
        """Return True if a name is here: by hashes, 12 bytes per name, for lists that ask for a million of them."""
        if not isinstance(name, str) or self._count <= _SMALL:
            return isinstance(name, str) and self.find(name) is not None
        # Most lists are sorted as the names are.
        if self._next < self._count and self[self._next] == name:
            self._next += 1
            return True
        if self._hashes is None:
            hashes = hashes_of(self, len(self))
            sequence = np.argsort(hashes).astype(np.int32)
            self._hashes = hashes[sequence].data, sequence.data
        hashes, sequence = self._hashes
        place = bisect_left(hashes, hash(name))
        found = place < self._count and self[sequence[place]] == name
        if found:
            self._next = sequence[place] + 1
        return found


class NamesBuilder:
    """Names that are added one by one."""

    def __init__(self) -> None:
        self._text, self._ends = bytearray(), array("q")

    def add(self, name: str) -> None:
        """Append a name."""
        self._text += os.fsencode(name)
        self._ends.append(len(self._text))

    def done(self) -> Names:
        """Return the names."""
        kind = np.uint32 if len(self._text) < 2**32 else np.int64
        return Names(np.frombuffer(bytes(self._text), np.uint8), np.array(self._ends, kind))


class Paths(Sequence[Path]):
    """Paths of files, those of their folders once each.

    Args:
        folders: with a slash at their ends.
        numbers: (N,) int32, folder of each file.
        names: of the files.
    """

    def __init__(self, folders: Sequence[str], numbers: np.ndarray, names: Names) -> None:
        self._folders, self._numbers, self._names = folders, SharedArray(numbers), names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Path]: ...

    def __getitem__(self, index: int | slice) -> Path | Sequence[Path]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return Path(self._folders[int(self._numbers.array[index])] + self._names[index])

    def stems(self) -> Iterator[str]:
        """Yield the names of the files without suffix."""
        return self._names.stems()


class PathsBuilder:
    """Paths that are added one by one."""

    def __init__(self) -> None:
        self._folders: dict[str, int] = {}
        self._numbers, self._names = array("i"), NamesBuilder()

    def add(self, path: str) -> None:
        """Append a path."""
        folder, slash, name = path.rpartition("/")
        self._numbers.append(self._folders.setdefault(folder + slash, len(self._folders)))
        self._names.add(name)

    def done(self) -> Paths:
        """Return the paths."""
        return Paths(list(self._folders), np.array(self._numbers, np.int32), self._names.done())


def order(name: str) -> list[str]:
    """Return the key by which names are sorted: that of paths, folder by folder."""
    return name.split("/")


def _as_sorted(name: str) -> str:
    """Return a text that sorts as :func:`order` does: no name holds a zero."""
    return name.replace("/", "\0")


def without_suffix(name: str) -> str:
    """Return a name, below folders or not, without its suffix, as ``Path.with_suffix("")`` does."""
    dot = name.rfind(".")
    # A dot at the beginning or the end of a file's name begins no suffix.
    return name if dot <= name.rfind("/") + 1 or dot == len(name) - 1 else name[:dot]


def stems_of(names: Sequence[str]) -> Iterator[str]:
    """Yield names without their suffixes."""
    return names.stems() if isinstance(names, Names) else map(without_suffix, names)


def suffix_of(name: str) -> str:
    """Return the suffix of a name, as ``Path.suffix`` does."""
    return name[len(without_suffix(name)) :]
