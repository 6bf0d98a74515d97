"""A function over many items, in several processes."""

import itertools
import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Literal, TypeVar

import cv2
import torch

T = TypeVar("T")
R = TypeVar("R")

# Less work than this is done before a second process has started [pixels].
_WORTH_PROCESSES = 2_000_000


def num_workers(wanted: int, num_items: int, pixels: int = _WORTH_PROCESSES) -> int:
    """Return the number of processes to use.

    Args:
        wanted: by the user; 0: one per core that this process may use, if there is enough work.
        num_items: number of images.
        pixels: of all images; default: enough.
    """
    if wanted:
        return max(1, min(wanted, num_items))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # not on macOS
    return 1 if pixels < _WORTH_PROCESSES else max(1, min(cores, num_items))


def parallel(
    function: Callable[[T], R], items: Iterable[T], workers: int, start_method: Literal["spawn"] | None = None
) -> Iterator[R]:
    """Yield the results of a picklable function, in the order of the items.

    Processes, because decoding holds back standard error of its whole process, so that threads wait for each other: on
    two cores both are equally fast (480 tiles of 2040x1356 images), on more the waiting grows.

    Args:
        function: for one item.
        items: in order.
        workers: number of processes; 1: this one.
        start_method: None: forked on Linux, as the workers of a DataLoader are: importing PyTorch in each of them
            would take seconds.

    Raises:
        OSError: a process was ended from outside.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    context = multiprocessing.get_context(start_method or ("fork" if sys.platform == "linux" else None))
    pool = ProcessPoolExecutor(workers, context, _begin, (os.getpid(),))
    remaining = iter(items)
    try:
        # Few items wait at a time: a list of a million would take gigabytes.
        first = itertools.islice(remaining, 4 * workers)
        pending = deque(pool.submit(function, item) for item in first)
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, item) for item in itertools.islice(remaining, 1))
            yield result
    except BrokenProcessPool as error:
        reason = "a worker was ended from outside (out of memory?): run the command again, with fewer --workers"
        raise OSError(reason) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    """Prepare a worker: one thread, and an end when its parent ends."""
    # Processes are the parallelism; threads of the libraries would compete with them.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    # A worker would wait for ever for the next item of a parent that was killed.
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
