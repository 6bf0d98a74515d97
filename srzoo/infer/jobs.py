"""Plan of a run over image files: which file is written from which, and everything that can be refused before."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from srzoo.atomic import require_writable
from srzoo.data.listing import Fault
from srzoo.images import FORMATS, FileLayout, Header, read_header
from srzoo.infer.gather import InputFile
from srzoo.infer.picture import output_layout

# Files that an error message lists by name.
_LISTED = 10


@dataclass(frozen=True)
class Job:
    """An image file to upscale.

    Args:
        source: file to read.
        target: file to write.
        kind: format of the target, a key of ``srzoo.images.FORMATS``.
        header: of the source.
        layout: of the target, without tags.
    """

    source: Path
    target: Path
    kind: str
    header: Header
    layout: FileLayout

    @property
    def pixels(self) -> int:
        """Size of the output [pixels]."""
        return self.layout.height * self.layout.width


@dataclass
class Plan:
    """Jobs, and files that are no images or have a fault in their header."""

    jobs: list[Job] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def plan(
    files: Sequence[InputFile], targets: Sequence[Path], *, kind: str, magnification: float, max_pixels: int
) -> Plan:
    """Read the headers of all files.

    Args:
        files: to upscale.
        targets: the output of each.
        kind: format of the outputs, a key of ``srzoo.images.FORMATS``.
        magnification: output side divided by input side.
        max_pixels: larger inputs are faults.

    Raises:
        ValueError: outputs that the format cannot hold.
    """
    result = Plan()
    for file, target in zip(files, targets, strict=True):
        try:
            header = read_header(file.path, max_pixels)
        except (ValueError, OSError) as error:
            result.faults.append(Fault(file.path, reason(error, file.path)))
            continue
        result.jobs.append(Job(file.path, target, kind, header, output_layout(header, magnification, kind)))
    _refuse_losses(result.jobs, kind)
    return result


def _refuse_losses(jobs: Sequence[Job], kind: str) -> None:
    """Raise ValueError if the format cannot hold an output as it is."""
    lost = [(job, faults) for job in jobs if (faults := FORMATS[kind].faults(job.layout))]
    if lost:
        raise ValueError(
            f"{FORMATS[kind].name} cannot hold {len(lost)} of {len(jobs)} outputs, so that nothing was written: take "
            "--format png or tiff, or leave these files out:\n"
            + listed([f"{job.source}: {', '.join(faults)}" for job, faults in lost])
        )


def refuse_existing(jobs: Sequence[Job]) -> None:
    """Check that no output exists.

    Raises:
        ValueError: some do; names the first.
    """
    existing = [job.target for job in jobs if job.target.exists()]
    if existing:
        raise ValueError(
            f"{len(existing)} of {len(jobs)} outputs exist, so that nothing was written: replace them with "
            "--overwrite, keep them with --skip-existing, or choose another folder:\n"
            + listed(list(map(str, existing)))
        )


def refuse_unwritable(jobs: Sequence[Job]) -> None:
    """Check that the folders of the outputs can be written to or made.

    Raises:
        ValueError: one cannot, or an output is a folder.
    """
    for target in {job.target.parent: job.target for job in jobs}.values():
        require_writable(target)


def listed(lines: Sequence[str]) -> str:
    """Join lines, the first ones of many."""
    more = [f"and {len(lines) - _LISTED:,} more"] if len(lines) > _LISTED else []
    return "\n".join(f"  {line}" for line in [*lines[:_LISTED], *more])


def reason(error: Exception, path: Path) -> str:
    """Return the text of an error of a file without the file's name in front."""
    text = str(error).removeprefix(f"{path}: ").replace("data.max_pixels", "--max-pixels")
    return text if isinstance(error, ValueError | OSError) and text else f"{type(error).__name__}: {text}"
