"""Jobs of a study on a cluster: a Slurm array, submitted and watched by submitit (the extra `slurm`)."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from srzoo import signals
from srzoo.studies.local import StudyJob, job_environment

if TYPE_CHECKING:
    import submitit

# Between looks at the queue [s].
_INTERVAL = 1.0
# Of a job, after which it saves and goes back into the queue [min].
_DEFAULT_MINUTES = 1440
_MAX_REQUEUES = 1000


class SlurmTask:
    """One job, in the process that submitit starts on a node."""

    def __init__(self, job: StudyJob) -> None:
        self.job = job
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Run the job and return its exit code."""
        self.job.log.parent.mkdir(parents=True, exist_ok=True)
        with self.job.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.job.command(os.getpid()), stdout=log, stderr=subprocess.STDOUT, env=job_environment()
            )
            return self._process.wait()

    def checkpoint(self) -> "submitit.helpers.DelayedSubmission":
        """Save before the time limit or a preemption, and go back into the queue; submitit calls this."""
        import submitit

        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
        return submitit.helpers.DelayedSubmission(SlurmTask(self.job))


class SlurmJobs:
    """A job array.

    Attributes:
        stopped: True after a signal, which cancels the jobs.

    Args:
        folder: for submitit's files; the nodes must see it.
        parameters: of submitit.AutoExecutor.update_parameters, such as timeout_min, gpus_per_node, cpus_per_task,
            slurm_partition, slurm_array_parallelism; `cluster`: slurm (default), or local for this machine.

    Raises:
        ValueError: submitit is not installed, finds no Slurm here, or does not know a parameter.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, str]) -> None:
        try:
            import submitit
        except ModuleNotFoundError as error:
            raise ValueError('--slurm needs submitit: pip install "srzoo[slurm]"') from error
        values = {"timeout_min": _DEFAULT_MINUTES} | {key: yaml.safe_load(text) for key, text in parameters.items()}
        cluster = str(values.pop("cluster", "slurm"))
        try:
            self._executor = submitit.AutoExecutor(folder, cluster=cluster, slurm_max_num_timeout=_MAX_REQUEUES)
            self._executor.update_parameters(name="srzoo", **values)
        except (RuntimeError, NameError, TypeError, AssertionError, ValueError) as error:
            raise ValueError(f"--slurm: {error}") from error
        self.stopped = False

    def run(
        self,
        jobs: Sequence[StudyJob],
        started: Callable[[StudyJob], None],
        ended: Callable[[StudyJob, int, float], None],
    ) -> None:
        """Submit the jobs as one array and wait until all have ended, or a signal cancels them.

        Args:
            jobs: to run.
            started: called with each job when it is submitted.
            ended: called with each job, its exit code and the time since its submission [s] when it has ended.
        """
        with self._executor.batch():
            submitted = [self._executor.submit(SlurmTask(job)) for job in jobs]
        since = time.monotonic()
        for job in jobs:
            started(job)
        waiting = dict(zip(jobs, submitted, strict=True))
        try:
            # The scheduler ends jobs that do not save in time: a second signal has nothing to add.
            with signals.listening(self._stop, self._stop):
                while waiting and not self.stopped:
                    time.sleep(_INTERVAL)
                    for job, handle in list(waiting.items()):
                        if handle.done():
                            del waiting[job]
                            ended(job, _exit_code(handle), time.monotonic() - since)
        finally:
            # The scheduler sends SIGTERM first, on which a training saves.
            for handle in waiting.values():
                handle.cancel(check=False)

    def _stop(self, number: int) -> None:
        del number
        self.stopped = True


def _exit_code(handle: "submitit.Job[int]") -> int:
    """Return the exit code of a job; 1 if it never came to its end."""
    return 1 if handle.exception() is not None else handle.result()
