"""A thread on each rank that notices when another rank, or a loader process, stands still, and ends the training.

Ranks wait for each other inside libraries, where no exception reaches them: only another thread can end them. They meet
in the store that torchrun keeps for the group.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import torch.distributed.distributed_c10d as c10d
from torch.distributed.distributed_c10d import PrefixStore, Store

from srzoo import ranks
from srzoo.engine.trouble import explained

# Seconds between two signs of life, and without any before a rank or a loader process counts as lost. They are counted
# in looks at the others: a job that is suspended as a whole, and goes on later, has not lost anybody.
INTERVAL = 3.0
# With torchrun's own 30 seconds for a process that does not end, all is over within a minute.
PATIENCE = 25.0
EXIT_LOST = 2
_ALARM = "srzoo/alarm"


# For messages.
_steps_done = 0


def note(step: int) -> None:
    """Remember the number of updates done, for messages."""
    global _steps_done  # the guard stands around chains of trainings, the loop lies deep inside
    _steps_done = step


class Guard:
    """Watches over the other ranks and this rank's loader processes, once the ranks have met."""

    def __init__(self) -> None:
        self._store = _store()
        # Seconds without an answer of the store; of each loader process, stopped; of each rank, since its last beat.
        self._silent = 0.0
        self._stopped: dict[int, float] = {}
        self._beats: dict[int, tuple[int, float]] = {}
        self._is_over = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch meanwhile; an error inside is that of all ranks, of which only the first prints its message.

        Raises:
            TrainingError: an error inside that has another reason than srzoo.
            SystemExit: another rank has failed before this one.
        """
        thread = threading.Thread(target=self._run, name="srzoo-guard", daemon=True)
        thread.start()
        try:
            yield
        except Exception as error:
            # PyTorch raises the end of a loader process again whenever any process ends, in the middle of anything.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if not self._is_first():
                raise SystemExit(EXIT_LOST) from None
            known = explained(error, _steps_done)
            if known is None:
                raise
            raise known from error
        finally:
            self._is_over.set()

    def _run(self) -> None:
        while not self._is_over.wait(INTERVAL):
            trouble = self._stopped_loader() or self._lost_rank()
            if trouble and self._is_first():
                done = f"after {_steps_done} updates" if _steps_done else "before the first update"
                rank = f" (rank {ranks.rank()})" if ranks.world_size() > 1 else ""
                self._end(f"error{rank}: {done}: {trouble}; what was saved is intact: --resume auto")
            # A pause for this rank's own error, if that is what the alarm is about.
            if self._alarmed() and not self._is_over.wait(INTERVAL):
                self._end("")

    def _end(self, message: str) -> None:
        """End this process although its main thread waits inside a library."""
        if message:
            sys.stderr.write(message + "\n")
            sys.stderr.flush()
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)  # a stopped process would live on
        os._exit(EXIT_LOST)

    def _is_first(self) -> bool:
        """Raise the alarm; True if no other rank has."""
        return self._ask(lambda store: store.add(f"{_ALARM}/count", 1) == 1, alone=True)

    def _alarmed(self) -> bool:
        return self._ask(lambda store: store.add(f"{_ALARM}/count", 0) > 0, alone=False)

    def _stopped_loader(self) -> str:
        """Describe a loader process that has been stopped (SIGSTOP, a debugger) for too long."""
        stopped = {child for child in _children() if _state(child) == "T"}
        self._stopped = {pid: self._stopped.get(pid, -INTERVAL) + INTERVAL for pid in stopped}
        late = [pid for pid, seconds in self._stopped.items() if seconds > PATIENCE]
        return f"loader process {late[0]} has been stopped for {PATIENCE:.0f} s" if late else ""

    def _lost_rank(self) -> str:
        """Give a sign of life, and describe a rank without one for too long; rank 0 watches all, and they watch it."""
        if self._store is None:
            return ""
        own = ranks.rank()
        watched = range(1, ranks.world_size()) if own == 0 else [0]
        try:
            self._store.add(f"{_ALARM}/beat/{own}", 1)
            beats = {rank: self._store.add(f"{_ALARM}/beat/{rank}", 0) for rank in watched}
        except RuntimeError:  # at the end of a training too, when rank 0 is the first to leave
            self._silent += INTERVAL
            is_lost = self._silent > PATIENCE
            return "the ranks have no connection any more: torchrun or its machine is gone" if is_lost else ""
        self._silent = 0.0
        for rank, beat in beats.items():
            before, seconds = self._beats.get(rank, (-1, 0.0))
            self._beats[rank] = (beat, seconds + INTERVAL if beat == before else 0.0)
        lost = [rank for rank, (_, seconds) in self._beats.items() if seconds > PATIENCE]
        return f"rank {lost[0]} has not answered for {PATIENCE:.0f} s (stopped, or its machine is gone)" if lost else ""

    def _ask(self, question: Callable[[Store], bool], *, alone: bool) -> bool:
        """Return the store's answer; `alone` if there is no store to ask."""
        if self._store is None:
            return alone
        try:
            return question(self._store)
        except RuntimeError:
            return alone


def _store() -> Store | None:
    """Return a store that the ranks of this start share; None for a single rank."""
    if ranks.world_size() == 1:
        return None
    store = c10d._get_default_store()  # pyright: ignore[reportPrivateUsage]  # there is no public way
    return PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)


def _children() -> set[int]:
    """Return the processes that this one has started, without waiting for any: PyTorch wants to learn of their end."""
    found: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread has ended
            found.update(map(int, file.read_text().split()))
    return found


def _state(pid: int) -> str:
    """Return the state of a process as a letter of proc(5); T: stopped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
