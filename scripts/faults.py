"""Faults that a training may meet; each strikes one attempt to train and leaves the run folder as it then is."""

import os
import random
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tiny_trainings import TinyTraining

LONGEST = 90.0  # time after which an attempt counts as hung [s]


@dataclass(frozen=True)
class Attempt:
    """The next attempt to train, to which a fault happens.

    Args:
        random: draws moments, places and numbers of workers.
        file: option file of the training.
        num_ranks: number of ranks.
        seconds: duration of the whole training when nothing disturbs it.
    """

    random: random.Random
    file: Path
    num_ranks: int
    seconds: float

    @property
    def run(self) -> Path:
        """Return the run folder."""
        return self.file.parent / "run"

    def start(self, prepare: Callable[[], object] | None = None, least_workers: int = 0) -> TinyTraining:
        """Start training with a random number of loader workers."""
        workers = self.random.randint(least_workers, 2)
        output = self.file.parent / "output.log"
        return TinyTraining(self.file, output, num_ranks=self.num_ranks, num_workers=workers, prepare=prepare)

    def start_and_wait(self, least_workers: int = 0) -> TinyTraining:
        """Start training and return at a random moment of it."""
        training = self.start(least_workers=least_workers)
        training.wait(self.random.uniform(0, self.seconds))
        return training

    def newest_state(self) -> Path | None:
        """Return the newest state of the run, if there is one."""
        return max(self.states(), key=lambda path: int(path.stem), default=None)

    def newest_of_several_states(self) -> Path | None:
        """Return the newest state if an older one remains: a run cannot go on from damaged states alone."""
        return self.newest_state() if len(self.states()) > 1 else None

    def states(self) -> list[Path]:
        """Return the states of the run."""
        return [path for path in (self.run / "states").glob("*.state") if path.stem.isdigit()]


def kill(attempt: Attempt) -> None:
    """Kill ranks and workers at a random moment."""
    training = attempt.start_and_wait()
    training.kill()
    training.finish(LONGEST)


def kill_ranks(attempt: Attempt) -> None:
    """Kill the ranks at a random moment, whose workers live on; the next attempt begins at once."""
    training = attempt.start_and_wait()
    training.signal(signal.SIGKILL)
    training.wait(LONGEST)


def kill_one_rank(attempt: Attempt) -> None:
    """Kill one rank, and leave the others to notice."""
    training = attempt.start_and_wait()
    pid = attempt.random.choice(training.pids)
    if pid not in training.codes:
        os.kill(pid, signal.SIGKILL)
    training.finish(LONGEST)


def kill_while_writing(attempt: Attempt) -> None:
    """Kill rank 0 directly before or after some fsync, rename or removal of a file."""
    training = attempt.start(prepare=die_at(attempt.random.randint(1, 60)))
    training.finish(LONGEST)


def kill_worker(attempt: Attempt) -> None:
    """Kill a loader worker."""
    training = attempt.start_and_wait(least_workers=1)
    workers = training.workers()
    if workers:
        os.kill(attempt.random.choice(workers), signal.SIGKILL)
    training.finish(LONGEST)


def stop(attempt: Attempt) -> None:
    """Send one of the signals by which schedulers and terminals end a program."""
    training = attempt.start_and_wait()
    training.signal(attempt.random.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]))
    training.finish(LONGEST)


def stop_twice(attempt: Attempt) -> None:
    """Send SIGTERM, and again before the training has ended."""
    training = attempt.start_and_wait()
    training.signal(signal.SIGTERM)
    if not training.wait(attempt.random.uniform(0, 0.1)):
        training.signal(signal.SIGTERM)
    training.finish(LONGEST)


def fill_disk(attempt: Attempt) -> None:
    """Let no file grow beyond a random size, as on a full disk or under a quota."""
    state = attempt.newest_state()
    most = 2 * state.stat().st_size if state is not None else 200_000
    limit = attempt.random.randint(1000, most)
    attempt.start(prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))).finish(LONGEST)


def flip_bit(attempt: Attempt) -> None:
    """Kill, then flip one bit of the newest state."""
    kill(attempt)
    state = attempt.newest_of_several_states()
    if state is not None:
        content = bytearray(state.read_bytes())
        content[attempt.random.randrange(len(content))] ^= 1 << attempt.random.randrange(8)
        state.write_bytes(content)


def truncate(attempt: Attempt) -> None:
    """Kill, then cut the newest state short."""
    kill(attempt)
    state = attempt.newest_of_several_states()
    if state is not None:
        os.truncate(state, attempt.random.randrange(state.stat().st_size))


def empty_results(attempt: Attempt) -> None:
    """Kill, then empty or cut the files of scores."""
    kill(attempt)
    for file in (attempt.run / "results").glob("*.json"):
        os.truncate(file, attempt.random.choice([0, file.stat().st_size // 2]))


FAULTS: dict[str, Callable[[Attempt], None]] = {
    fault.__name__: fault
    for fault in (
        kill,
        kill_ranks,
        kill_one_rank,
        kill_while_writing,
        kill_worker,
        stop,
        stop_twice,
        fill_disk,
        flip_bit,
        truncate,
        empty_results,
    )
}


def die_at(moment: int) -> Callable[[], None]:
    """Return a function that makes this process kill itself before or after one of its coming changes to files."""
    passed = 0

    def count() -> None:
        nonlocal passed
        passed += 1
        if passed == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            count()
            result = function(*arguments, **options)
            count()
            return result

        return call

    def prepare() -> None:
        os.fsync = counted(os.fsync)
        for name in ("replace", "unlink"):
            setattr(Path, name, counted(getattr(Path, name)))

    return prepare
