"""Image files of a dataset: which belong together, which are left out, which are at fault."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar, overload

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """A fault of one file of a dataset."""

    file: Path
    reason: str


class UnusedImagesError(ValueError):
    """Images that could not be used, one line each, raised after the others are done."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        lines = "".join(f"\n  {fault.file}: {fault.reason}" for fault in faults)
        super().__init__(f"{len(faults)} image(s) could not be used; all others are done:{lines}")


@dataclass(frozen=True)
class ImageFile:
    """An image of a folder.

    Args:
        key: its name in results.
        path: the file.
        size: (H, W) by the list that names it; None: not listed [pixels].
        listed: list file and line that name it, as in "meta.txt:3"; empty: not listed.
    """

    key: str
    path: Path
    size: tuple[int, int] | None = None
    listed: str = ""


@dataclass(frozen=True)
class Pair:
    """The files of one sample.

    Args:
        key: its name in results.
        gt: GT file; None for LQ alone.
        lq: LQ file; None if LQ is made from GT.
        size: (H, W) of the main file by the list that names it; None: not listed [pixels].
        listed: list file and line that name it, as in "meta.txt:3"; empty: not listed.
    """

    key: str
    gt: Path | None
    lq: Path | None
    size: tuple[int, int] | None = None
    listed: str = ""

    @property
    def main_file(self) -> Path:
        """GT file, or LQ where there is no GT; faults of the whole pair are reported under it."""
        path = self.gt or self.lq
        assert path is not None
        return path


class Mapped(Sequence[T], Generic[S, T]):
    """Entries that are made when they are asked for: a million objects would take much memory in each worker.

    Args:
        items: of which each makes one entry.
        make: item -> entry.
    """

    def __init__(self, items: Sequence[S], make: Callable[[S], T]) -> None:
        self._items, self._make = items, make

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return Mapped(self._items[index], self._make)
        return self._make(self._items[index])


class NamedImages(Sequence[ImageFile], ABC):
    """Images by their names below one folder or store; each is made when it is asked for.

    Args:
        folder: at which names start.
        names: of the images.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> ImageFile: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageFile]: ...

    def __getitem__(self, index: int | slice) -> ImageFile | Sequence[ImageFile]:
        if isinstance(index, slice):
            return Mapped(range(*index.indices(len(self))), self.__getitem__)
        index = range(len(self))[index]
        name = self.names[index]
        return ImageFile(self.key(index, name), self.folder / name, *self.listed(index, name))

    @abstractmethod
    def key(self, index: int, name: str) -> str:
        """Return the name of an image in results."""

    def listed(self, index: int, name: str) -> tuple[tuple[int, int] | None, str]:
        """Return the (H, W) that a list states for an image, and the place: file and line."""
        del index, name
        return None, ""

    def keys(self) -> Iterator[str]:
        """Yield the names of all images in results."""
        return map(self.key, range(len(self)), self.names)


class ImageListing(NamedTuple):
    """Images of a folder or list, faults of the list, and files that are not used, each with its reason."""

    images: Sequence[ImageFile]
    faults: list[Fault]
    left_out: list[Fault]


class PairListing(NamedTuple):
    """Pairs of a dataset, faults found in pairing, and files that are not used, each with its reason."""

    pairs: Sequence[Pair]
    faults: list[Fault]
    left_out: list[Fault]
