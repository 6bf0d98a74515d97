"""Jobs that make image files from image files: in parallel, resumable, each file whole or absent.

A job is one input image (with its partner) and all files made from it. Jobs that the journal of the output folder
records are skipped while their inputs and outputs are unchanged.
"""

import errno
import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from srzoo.atomic import write_atomic
from srzoo.data.listing import Fault
from srzoo.data.parallel import num_workers, parallel
from srzoo.data.prepare.journal import PreparedJournal, Record, Settings, Stamp
from srzoo.images import encode_image
from srzoo.progress import shown


@dataclass(frozen=True)
class Target:
    """File to be made.

    Args:
        name: path below the output folder.
        size: of its pixels without compression [bytes].
    """

    name: str
    size: int


@dataclass(frozen=True)
class Made:
    """Content of a file: pixels (H, W, C) uint8 or uint16, and an ICC profile."""

    pixels: np.ndarray
    profile: bytes | None = None


@dataclass(frozen=True)
class Preparation:
    """One image and all files made from it.

    Args:
        key: name in the journal.
        inputs: files that are read.
        targets: files to be made.
        settings: all that decides the content of the files, besides the inputs.
        make: yields the content of each target, in order; picklable.
        pixels: number of pixels read, by which the work is judged.
        group: files that make up one dataset, where the output folder holds several.
    """

    key: str
    inputs: tuple[Path, ...]
    targets: tuple[Target, ...]
    settings: Settings
    make: Callable[[], Iterable[Made]]
    pixels: int = 0
    group: str = ""


@dataclass
class Outcome:
    """Result of a run.

    Args:
        files: number of files written, or that would be.
        size: of their pixels without compression [bytes].
        skipped: number of files that were whole already.
        notes: remarks for the user, one line each.
        faults: images that could not be used.
    """

    files: int = 0
    size: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def run_jobs(
    jobs: Sequence[Preparation],
    out: Path,
    name: str,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    workers: int = 0,
) -> Outcome:
    """Do the jobs that are not done yet, with a progress bar.

    Args:
        jobs: in order; targets of all are below `out`.
        out: output folder, with the journal.
        name: of the progress bar.
        overwrite: replace files that were made under other settings or by another program.
        dry_run: count the files to write, and write nothing.
        workers: number of processes; 0: one per core that this process may use, if there is enough work.

    Raises:
        ValueError: a target is an input or the target of another job; earlier files were made under other settings.
    """
    _refuse_conflicts(jobs, out)
    journal = PreparedJournal.read(out)
    if not overwrite:
        _refuse_other_settings(jobs, journal)
    outcome, todo = Outcome(), []
    changed = 0
    for job in jobs:
        record = journal.records.get(job.key)
        inputs_fit = record is not None and _fit(record.inputs, job.inputs)
        changed += record is not None and not inputs_fit
        if record is not None and inputs_fit and record.settings == job.settings and record.is_whole(out):
            outcome.skipped += len(job.targets)
        else:
            todo.append(job)
            outcome.size += sum(target.size for target in job.targets)
    if changed:
        outcome.notes.append(f"{changed} input(s) changed since their files were made: these are made again")
    outcome.notes += _left_over(jobs, journal)
    if dry_run:
        outcome.files = sum(len(job.targets) for job in todo)
        return outcome
    known = dict(journal.records)  # `append` changes the journal's
    tasks = ((job, out, known.get(job.key), overwrite) for job in todo)
    processes = num_workers(workers, len(todo), sum(job.pixels for job in todo))
    for done in shown(parallel(_run, tasks, processes), name, len(todo)):
        if isinstance(done, Fault):
            outcome.faults.append(done)
        else:
            journal.append(done)
            outcome.files += len(done.outputs)
    return outcome


def _refuse_conflicts(jobs: Sequence[Preparation], out: Path) -> None:
    """Check that no target is an input, and that no two are one.

    Raises:
        ValueError: one of both.
    """
    inputs = {os.path.realpath(path) for job in jobs for path in job.inputs}
    counts: Counter[str] = Counter(target.name for job in jobs for target in job.targets)
    # Folders and files of the output folder may be links to inputs. A folder is looked up once for all its files.
    real_folder = functools.cache(os.path.realpath)
    targets = {name: os.path.join(real_folder(out / Path(name).parent), Path(name).name) for name in counts}  # noqa: PTH118
    over = [n for n, path in targets.items() if (os.path.realpath(path) if os.path.islink(path) else path) in inputs]  # noqa: PTH114
    if over:
        raise ValueError(f"{out / over[0]} is an input and would be overwritten: choose another output folder")
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"two images would be written to {out / twice[0]}: rename one of them")


def _refuse_other_settings(jobs: Sequence[Preparation], journal: PreparedJournal) -> None:
    """Check that earlier files were made under the settings of now.

    Raises:
        ValueError: they were not.
    """
    for job in jobs:
        record = journal.records.get(job.key)
        before = job.settings if record is None else record.settings
        changes = [
            f"{name} {before.get(name, 'unset')} (now {job.settings.get(name, 'unset')})"
            for name in {**before, **job.settings}
            if before.get(name) != job.settings.get(name)
        ]
        if changes:
            raise ValueError(
                f"{journal.folder} holds files made with {', '.join(changes)}: choose another folder, or replace them "
                "with --overwrite"
            )


def _fit(stamps: Sequence[Stamp], files: Sequence[Path]) -> bool:
    return len(stamps) == len(files) and all(s.fits(f) for s, f in zip(stamps, files, strict=True))


def _left_over(jobs: Sequence[Preparation], journal: PreparedJournal) -> list[str]:
    """Describe files of earlier runs that no job of this one makes: images that were removed since, for example."""
    groups = {job.group for job in jobs}
    keys = {job.key for job in jobs}
    gone = [r for key, r in journal.records.items() if key not in keys and r.group in groups]
    files = [name for record in gone for name in record.outputs if (journal.folder / name).is_file()]
    return [f"{len(files)} file(s) of earlier runs belong to other images: {files[0]} first"] if files else []


Task = tuple[Preparation, Path, Record | None, bool]


def _run(task: Task) -> Record | Fault:
    """Do one job; an image that cannot be used is returned as a fault.

    Raises:
        OSError: the disk is full or read-only: further jobs would fail too.
    """
    job, out, record, overwrite = task
    try:
        inputs = [Stamp.of(path) for path in job.inputs]
        outputs: dict[str, Stamp] = {}
        for target, made in zip(job.targets, job.make(), strict=True):
            path = out / target.name
            _write(path, made, overwrite or (record is not None and target.name in record.outputs))
            outputs[target.name] = Stamp.of(path)
        _remove_stale(out, record, outputs)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        return Fault(job.inputs[0], str(error).removeprefix(f"{job.inputs[0]}: "))
    return Record(job.key, job.group, job.settings, inputs, outputs)


def _write(path: Path, made: Made, replace: bool) -> None:
    """Write an image file, whole or not at all; an existing one of the same content is kept.

    Raises:
        ValueError: a file of other content exists and `replace` is off.
    """
    try:
        content = encode_image(made.pixels, path.suffix, profile=made.profile)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if path.is_file():
        if path.read_bytes() == content:
            return
        if not replace:
            raise ValueError(f"{path} exists with other content: remove it, or replace it with --overwrite")
    write_atomic(path, lambda file: file.write(content))


def _remove_stale(out: Path, record: Record | None, outputs: Mapping[str, Stamp]) -> None:
    """Remove files that an earlier run of the job made and this one does not, unless somebody has changed them."""
    for name, stamp in record.outputs.items() if record is not None else ():
        if name not in outputs and stamp.fits(out / name):
            (out / name).unlink()
