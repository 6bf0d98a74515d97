"""Reasons to stop a training before its end, or to save it in between: signals, a time budget, minutes since a save."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from srzoo import ranks, signals
from srzoo.engine import guard
from srzoo.engine.loop import Progress

# Exit code of a training that was stopped with everything saved (EX_TEMPFAIL of sysexits.h: try again).
EXIT_STOPPED = 75
# Beside the numbers of signals: the time budget is used up.
_TIME_IS_UP = 100


class Watch:
    """Watches signals and time; the first hook after every update, where all ranks learn of the same requests.

    Attributes:
        stop: reason to stop now, 0 if there is none; the same on all ranks.
        save_now: True if it is time to save; the same on all ranks.

    Args:
        max_time: time budget from the start of this process (under torchrun, of torchrun); None: no limit [h].
        save_minutes: interval between saves; None: only those after numbers of updates [min].
    """

    def __init__(self, *, max_time: float | None = None, save_minutes: float | None = None) -> None:
        now = time.monotonic()
        self._deadline = None if max_time is None else now - _age() + 3600 * max_time
        self._interval = None if save_minutes is None else 60 * save_minutes
        self._last_save = now
        self._signal = 0
        self._vote = ranks.Vote()
        self.stop, self.save_now = 0, False

    def __call__(self, step: int, progress: Progress) -> None:
        """Agree with all ranks on what was requested until the update before."""
        del progress
        guard.note(step)
        is_due = self._interval is not None and time.monotonic() - self._last_save >= self._interval
        self.stop, save_now = self._vote([self.requested(), int(is_due)])
        self.save_now = bool(save_now)

    def requested(self) -> int:
        """Return the reason for which this rank would stop, 0 if there is none."""
        is_late = self._deadline is not None and time.monotonic() >= self._deadline
        return self._signal or (_TIME_IS_UP if is_late else 0)

    @property
    def reason(self) -> str:
        """Name the reason to stop."""
        return "train.max_time is used up" if self.stop == _TIME_IS_UP else signal.Signals(self.stop).name

    def saved(self) -> None:
        """Start the interval between saves again."""
        self._last_save = time.monotonic()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Turn the first signal during the training inside into a request; a second one ends the process at once."""
        with signals.listening(self._request, _end):
            yield
            self._vote.finish()

    def _request(self, number: int) -> None:
        self._signal = number
        if ranks.rank() == 0:
            signals.say(number, "saving after this update; a second signal ends the process at once")


def _end(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _age() -> float:
    """Return the time since this process, or the torchrun that started it, began: restarts share a time budget [s]."""
    pid = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else os.getpid()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # no Linux
        return 0.0
    # Field 22 of proc(5), in clock ticks since the start of the machine.
    return time.clock_gettime(time.CLOCK_BOOTTIME) - float(fields[19]) / os.sysconf("SC_CLK_TCK")
