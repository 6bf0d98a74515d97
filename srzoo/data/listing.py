"""Image files of a dataset: which belong together, which are left out, which are at fault."""

from collections.abc import Callable, Sequence
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
