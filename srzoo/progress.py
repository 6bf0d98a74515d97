"""Progress of long loops: a bar on a terminal, a line every half minute elsewhere (log files, schedulers)."""

import sys
import time
from collections.abc import Iterable, Iterator
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
