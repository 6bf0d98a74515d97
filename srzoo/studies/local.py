"""Jobs of a study on this machine: processes, one after the other or several at a time."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import srzoo
from srzoo import signals

# Between looks at the jobs [s].
_INTERVAL = 0.2


@dataclass(frozen=True)
class StudyJob:
    """A training, its test, or both.

    Args:
        name: of the run.
        train: option file of the training; None: it is done.
        test: option file of the test; None: it is done, or there is none.
        log: file for everything that the job prints.
    """

    name: str
    train: Path | None
    test: Path | None
    log: Path

    def command(self, parent: int) -> list[str]:
        """Return the command line; the job stops when the process `parent` ends."""
        words = [sys.executable, "-m", "srzoo.studies.job", "--parent", str(parent)]
        for name, file in (("--train", self.train), ("--test", self.test)):
            words += [name, str(file)] if file is not None else []
        return words


def job_environment() -> dict[str, str]:
    """Return the environment of a job: this one, in which the same srzoo is imported."""
    root = str(Path(srzoo.__file__).resolve().parents[1])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}


class LocalJobs:
    """Processes on this machine.

    Attributes:
        stopped: True after a signal: no further job is started, and those that ran were asked to stop.

    Args:
        at_once: jobs that run at the same time; they share the CPU's cores, and each has one of the GPUs.
        num_gpu: GPUs of this machine.
    """

    def __init__(self, at_once: int, num_gpu: int) -> None:
        self._at_once = at_once
        self._gpus = _visible_gpus(num_gpu)
        self._running: dict[int, tuple[StudyJob, subprocess.Popen[bytes], float]] = {}  # by slot
        self.stopped = False

    def run(
        self,
        jobs: Sequence[StudyJob],
        started: Callable[[StudyJob], None],
        ended: Callable[[StudyJob, int, float], None],
    ) -> None:
        """Run jobs in order until all have ended or a signal stops them.

        Args:
            jobs: to run.
            started: called with each job when it starts.
            ended: called with each job, its exit code and its time [s] when it has ended.
        """
        waiting = list(jobs)
        with signals.listening(self._stop, self._kill):
            try:
                while (waiting and not self.stopped) or self._running:
                    while waiting and not self.stopped and len(self._running) < self._at_once:
                        started(waiting[0])
                        self._start(waiting.pop(0))
                    time.sleep(_INTERVAL)
                    for slot, (job, process, since) in list(self._running.items()):
                        if process.poll() is not None:
                            del self._running[slot]
                            ended(job, process.returncode, time.monotonic() - since)
            finally:
                # After an error none may be left behind.
                self._signal_all(signal.SIGTERM)

    def _start(self, job: StudyJob) -> None:
        slot = next(number for number in range(self._at_once) if number not in self._running)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            # In another session: Ctrl-C reaches this process alone, which passes it on.
            process = subprocess.Popen(
                job.command(os.getpid()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=job_environment() | self._share(slot),
                start_new_session=True,
            )
        self._running[slot] = (job, process, time.monotonic())

    def _share(self, slot: int) -> dict[str, str]:
        """Return the variables that give a slot its part of the cores, and its GPU."""
        threads = max(len(os.sched_getaffinity(0)) // self._at_once, 1)
        share = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(threads)}
        if self._gpus:
            share["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        return share

    def _stop(self, number: int) -> None:
        self.stopped = True
        # Whatever the signal: on SIGTERM a training saves and exits with 75.
        self._signal_all(signal.SIGTERM)
        signals.say(number, "the trainings save and stop; a second signal ends them at once")

    def _kill(self, number: int) -> None:
        self._signal_all(signal.SIGKILL)
        signals.say(number, "the trainings were ended at once")

    def _signal_all(self, number: int) -> None:
        for _, process, _ in self._running.values():
            if process.poll() is None:
                process.send_signal(number)


def _visible_gpus(num_gpu: int) -> list[str]:
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return (named or [str(number) for number in range(num_gpu)])[:num_gpu]
