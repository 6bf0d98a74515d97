"""Signals by which users and schedulers stop a training or a study."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# Of users (Ctrl-C, a closed terminal) and of schedulers (SLURM sends USR1 where a job asks for a warning).
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
# Copies that follow at once, as from a launcher that passes on what its whole process group got, are not a second
# signal [s].
COPIES = 3.0


@contextlib.contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `handler` at these signals meanwhile; those that were ignored stay so: nohup ignores SIGHUP on purpose."""
    before = {}
    # Python delivers signals to the main thread alone.
    if threading.current_thread() is threading.main_thread():
        heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def say(text: str) -> None:
    """Write a line from a handler, without the log: the signal may have come while a line of it is being written."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, f"{text}\n".encode())
