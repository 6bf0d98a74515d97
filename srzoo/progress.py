"""Progress of long loops: a bar on a terminal, a line every half minute elsewhere (log files, schedulers)."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
INTERVAL = 30.0  # between lines [s]


def shown(
    items: Iterable[T], name: str, total: int | None = None, *, unit: str = "img", delay: float = 0.0
) -> Iterator[T]:
    """Yield the items and show on standard error how many are done.

    Args:
        items: of the loop.
        name: of the loop.
        total: number of items; None: their length if they have one, else unknown.
        unit: of one item.
        delay: a bar appears after this time [s].
    """
    if sys.stderr.isatty():
        yield from tqdm(items, name, total, unit=unit, leave=False, delay=delay)
        return
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # pyright: ignore[reportArgumentType]
    of_all = "" if total is None else f" of {total}"
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last >= INTERVAL:
            sys.stderr.write(f"{name}: {done}{of_all} {unit}\n")
            sys.stderr.flush()
            last = time.monotonic()
        yield item


class Meter:
    """Progress of work that is done piece by piece elsewhere: pieces, and megapixels per second.

    Args:
        name: of the work.
        total: number of pieces.
        lock: held while something is printed.
    """

    def __init__(self, name: str, total: int, lock: AbstractContextManager[object]) -> None:
        self._name, self._total, self._lock = name, total, lock
        self._done, self._pixels = 0, 0
        self._start = self._last = time.monotonic()
        # A bar with unit img shows images per second by itself.
        self._bar = tqdm(total=total, desc=name, unit="img", leave=False) if sys.stderr.isatty() else None

    def add(self, pixels: int) -> None:
        """Count a piece of work, with the pixels written for it."""
        self._done += 1
        self._pixels += pixels
        with self._lock:
            if self._bar is not None:
                self._bar.set_postfix_str(f"{self._pixels / self.seconds / 1e6:.2f} MP/s", refresh=False)
                self._bar.update()
            elif time.monotonic() - self._last >= INTERVAL:
                self._last = time.monotonic()
                sys.stderr.write(f"{self._name}: {self._done} of {self._total} img, {self.rate()}\n")
                sys.stderr.flush()

    def rate(self) -> str:
        """Return the mean speed so far."""
        return f"{self._done / self.seconds:.2f} img/s, {self._pixels / self.seconds / 1e6:.2f} MP/s"

    @property
    def seconds(self) -> float:
        """Time since the start [s]."""
        return max(time.monotonic() - self._start, 1e-6)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
