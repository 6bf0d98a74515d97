"""Signals that stop a training or a study, handled for a while."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

# Signals of users (Ctrl-C, a closed terminal) and of schedulers (SLURM sends USR1 where a job asks for a warning).
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
# torchrun and schedulers signal twice: copies that follow at once are not a second signal [s].
_COPIES = 3.0


@contextlib.contextmanager
def listening(first: Callable[[int], None], second: Callable[[int], None]) -> Iterator[None]:
    """Handle the signals inside, and as before afterwards; threads other than the main one receive none.

    Args:
        first: called with the number of the first signal.
        second: called with the number of every later one.
    """
    received: list[float] = []

    def receive(number: int, frame: FrameType | None) -> None:
        del frame
        now = time.monotonic()
        if not received:
            received.append(now)
            first(number)
        elif now - received[0] >= _COPIES:
            second(number)

    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, receive) for number in SIGNALS} if is_main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(number: int, text: str) -> None:
    """Write the name of a signal and a text to the terminal: a log may be in the middle of a line."""
    line = f"{signal.Signals(number).name}: {text}\n"
    os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, line.encode())
