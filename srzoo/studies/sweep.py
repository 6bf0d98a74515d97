"""Running a study: plan, checks, trainings with their tests, table."""

import errno
import fcntl
import json
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import torch

from srzoo.atomic import write_text
from srzoo.chain import weights_after
from srzoo.components import build_datasets
from srzoo.engine.log import log_to, logger
from srzoo.engine.resume import refuse_used
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.tables import table
from srzoo.engine.watch import EXIT_STOPPED
from srzoo.options import LoadedOptions, Study, StudyRun, load_study
from srzoo.options.plain import plain
from srzoo.studies.folder import StudyFolder, changed_options, remaining_hours
from srzoo.studies.local import LocalJobs, StudyJob
from srzoo.studies.scores import markdown, numbers, read_scores, text
from srzoo.studies.slurm import SlurmJobs

# Exit codes of jobs that a signal ended: saved, interrupted in a test, or before Python could react.
_STOPPED_CODES = (EXIT_STOPPED, 130, -15, 143)
# A training whose study was killed saves before it ends; the next start waits for that long [s].
_PATIENCE = 300.0


def run_study(
    file: Path,
    overrides: Sequence[str],
    *,
    at_once: int = 1,
    slurm: Mapping[str, str] | None = None,
    dry_run: bool = False,
    resume: str = "none",
) -> None:
    """Train and test every variant of a study with every seed, and compare them.

    Args:
        file: option file with a `sweep`.
        overrides: ``key.path=value`` texts.
        at_once: trainings that run at the same time on this machine.
        slurm: parameters of submitit for a job array; None: run on this machine.
        dry_run: log the plan only.
        resume: none or auto: continue the study of this name, or begin it.

    Raises:
        OptionsError: every fault of the file.
        ValueError: the study exists, its data are faulty, its options have changed, or trainings failed.
        SystemExit: with code 75: a signal stopped the study; ``resume="auto"`` continues it.
    """
    study = load_study(file, overrides, weights_after)
    folder = StudyFolder(study.folder)
    log_to()
    logger.info(describe_plan(study, folder))
    if dry_run:
        return
    if resume == "none":
        refuse_used(RunFolder(folder.path))
    if changed := changed_options(study):
        lines = "\n".join(f"  {line}" for line in changed)
        raise ValueError(
            f"trainings of {folder.path} were begun under other options; the study would compare unlike trainings:\n"
            f"{lines}\nput them back, or give the study another name (--set name=...)"
        )
    _check_data(study)
    with RunFolder(folder.path).locked():
        log_to(folder.path / "study.log")
        folder.write_plan(study)
        _wait_for_earlier(study)
        failed, unfinished = _run_jobs(study, folder, at_once, slurm)
        faults = [f"  {name}: {reason}" for name, reason in failed.items()]
        if faults:
            faults = [f"{len(failed)} of {len(study.runs)} trainings failed:", *faults]
        try:
            _report(study, folder)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("\n".join(faults))
    if unfinished:
        logger.info(f"{len(unfinished)} of {len(study.runs)} trainings are not done; --resume auto continues the study")
        raise SystemExit(EXIT_STOPPED)


def describe_plan(study: Study, folder: StudyFolder) -> str:
    """Describe the trainings of a study, the updates and, as far as trainings have logged their speed, the hours."""
    same = [variant for variant in study.variants if variant.same_as]
    done = [run for run in study.runs if folder.is_trained(run)]
    left = sum(folder.updates_left(run) for run in study.runs if run not in done)
    rows = [["variant", "options"]]
    rows += [[each.name, f"= {each.same_as}" if each.same_as else _settings(each.settings)] for each in study.variants]
    seeds = ", ".join(map(str, study.seeds))
    lines = [table(rows), f"{len(study.variants) - len(same)} variants x {len(study.seeds)} seed(s) ({seeds})"]
    if same:
        lines[-1] += f"; {len(same)} more have the options of another and are not trained again"
    lines.append(f"{len(study.runs)} trainings, {len(done)} done, {left:,} updates to go in {folder.path}")
    lines.append(_time_left(study, folder))
    return "\n".join(lines)


def _settings(settings: Mapping[str, object]) -> str:
    """Write settings as --set does."""
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in settings.items()) or "as the file has them"


def _time_left(study: Study, folder: StudyFolder) -> str:
    if all(folder.is_trained(run) for run in study.runs):
        return "all trainings are done"
    estimate = remaining_hours(folder, study.runs)
    if estimate is None:
        return "time: unknown until a training of this study has logged its speed"
    hours, measured = estimate
    return (
        f"time: about {hours:.2g} h of training one after the other, by the speed of {measured} training(s) of this "
        "study; validation and tests come on top"
    )


def _check_data(study: Study) -> None:
    """Check the data of all trainings and tests before the first begins; equal ones once.

    Raises:
        ValueError: every fault.
    """
    checked: set[str] = set()
    faults: list[str] = []
    for run in study.runs:
        for loaded, splits in ((run.training, ("train", "val")), (run.test, ("test",))):
            if loaded is None or (key := _data_key(loaded, splits)) in checked:
                continue
            checked.add(key)
            try:
                build_datasets(loaded.options, splits)
            except ValueError as error:
                faults.append(f"{run.name}: {error}")
    if faults:
        raise ValueError("\n".join(faults))


def _data_key(loaded: LoadedOptions, splits: Sequence[str]) -> str:
    """Return a text that is equal for options whose data are equal."""
    options = loaded.options
    datasets = [getattr(options.datasets, split) for split in splits]
    return repr(plain([splits, options.scale, datasets, options.data, options.degradation is None]))


def _wait_for_earlier(study: Study) -> None:
    """Wait until trainings that an earlier, killed start of the study left running have saved and ended.

    Raises:
        ValueError: one goes on.
    """
    deadline = time.monotonic() + _PATIENCE
    for run in study.runs:
        lock = run.training.options.run_folder / "running.lock"
        announced = False
        while lock.is_file() and _is_locked(lock):
            if not announced:
                logger.info(f"waiting for the training that still runs in {lock.parent}")
                announced = True
            if time.monotonic() > deadline:
                raise ValueError(f"another process is training in {lock.parent}: end it, or wait for it")
            time.sleep(0.5)


def _is_locked(file: Path) -> bool:
    with file.open("r") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    return False


def _run_jobs(
    study: Study, folder: StudyFolder, at_once: int, slurm: Mapping[str, str] | None
) -> tuple[dict[str, str], list[str]]:
    """Run what is not done; return name -> reason of trainings that failed, and the names of those not done yet."""
    jobs = [job for run in study.runs if (job := _job(run, folder)) is not None]
    failed: dict[str, str] = {}

    def ended(job: StudyJob, code: int, seconds: float) -> None:
        left.remove(job.name)
        if code == 0:
            # Of the time that passed: waiting, tests and all jobs at a time are in it.
            pace = (time.monotonic() - since) / (len(jobs) - len(left))
            remaining = timedelta(seconds=round(pace * len(left)))
            logger.info(f"{job.name}: done in {seconds:.0f} s; {len(left)} to go, {remaining} at this pace")
        elif code in _STOPPED_CODES:
            unfinished.append(job.name)
            logger.info(f"{job.name}: stopped after {seconds:.0f} s, saved")
        else:
            failed[job.name] = f"exit code {code}, {_last_line(job.log)} (log: {job.log})"
            logger.info(f"{job.name}: failed, {failed[job.name]}")

    left, unfinished, since = [job.name for job in jobs], [], time.monotonic()
    if len(jobs) < len(study.runs):
        logger.info(f"{len(study.runs) - len(jobs)} of {len(study.runs)} trainings are done and tested already")
    here = slurm is None
    runner = LocalJobs(at_once, torch.cuda.device_count()) if here else SlurmJobs(folder.path / "slurm", slurm)
    runner.run(jobs, lambda job: logger.info(f"{job.name}: started"), ended)
    return failed, [*unfinished, *left]


def _job(run: StudyRun, folder: StudyFolder) -> StudyJob | None:
    """Return what is left to do for a training, None if nothing is."""
    if folder.is_done(run):
        return None
    return StudyJob(
        run.name,
        None if folder.is_trained(run) else folder.options_of(run),
        None if run.test is None else folder.test_options_of(run),
        folder.log_of(run),
    )


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.is_file() else []
    return lines[-1] if lines else "nothing was printed"


def _report(study: Study, folder: StudyFolder) -> None:
    """Write results.md and results.json, and log the tables.

    Raises:
        ValueError: scores cannot be compared; their table is written all the same.
    """
    scores = read_scores(study, folder)
    if not scores.methods:
        logger.info("no training has scores yet")
        return
    reason = ""
    try:
        comparison = scores.comparison()
    except ValueError as error:
        comparison, reason = None, str(error)
    write_text(folder.table, markdown(scores, comparison))
    write_text(folder.numbers, numbers(scores, comparison))
    logger.info(f"\n{text(scores, comparison)}\nwritten to {folder.table} and {folder.numbers}")
    if comparison is not None:
        runs = folder.path / ("*_s*" if study.runs[0].test is None else "test/*")
        logger.info(f"all pairs, LaTeX, figures: srzoo compare {runs} --baseline {comparison.baseline}")
    if reason:
        raise ValueError(reason)
