"""Arguments and reports that the commands share which make image files from image files."""

import json
import re
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overwrite, add_workers, check_target

if TYPE_CHECKING:
    from srzoo.data.listing import Fault
    from srzoo.data.prepare.jobs import Preparation
    from srzoo.data.prepare.lists import Lines


def add_preparation(parser: ArgumentParser) -> None:
    """Add --dry-run, --overwrite and --workers."""
    add_dry_run(parser)
    add_overwrite(parser, "files in OUT that were made with other settings or by another program")
    add_workers(parser)


def add_dry_run(parser: ArgumentParser) -> None:
    """Add --dry-run."""
    parser.add_argument(
        "--dry-run", action="store_true", help="report the files to write, and write nothing (default: off)"
    )


def prepare(
    jobs: "Sequence[Preparation]", faults: "Sequence[Fault]", arguments: Arguments, name: str, lines: Sequence[str]
) -> None:
    """Do the jobs below OUT and print a report.

    Args:
        jobs: of the images that can be used.
        faults: of those that cannot.
        arguments: of the command, with those of :func:`add_preparation`.
        name: of the command.
        lines: datasets of an option file that read the files.

    Raises:
        ValueError: files that cannot be written.
        UnusedImagesError: images that could not be used; the others are done.
    """
    from srzoo.data.listing import UnusedImagesError
    from srzoo.data.prepare.jobs import run_jobs

    out, dry_run = arguments.out, arguments.dry_run
    outcome = run_jobs(jobs, out, name, overwrite=arguments.overwrite, dry_run=dry_run, workers=arguments.workers)
    for note in outcome.notes:
        sys.stdout.write(f"{note}\n")
    skipped = f"; {outcome.skipped} were whole already" if outcome.skipped else ""
    if dry_run:
        sys.stdout.write(
            f"would write {outcome.files} files to {out}, at most {outcome.size:,} bytes (uncompressed){skipped}\n"
        )
    else:
        sys.stdout.write(f"wrote {outcome.files} files to {out}{skipped}\n")
    if lines and outcome.files + outcome.skipped:
        sys.stdout.write("".join(["for an option file:\n", *(f"  {line}\n" for line in lines)]))
    outcome.faults[:0] = faults
    if outcome.faults:
        raise UnusedImagesError(outcome.faults)


def add_list(parser: ArgumentParser) -> None:
    """Add --template, --gt-template, --only, -o, --dry-run and --overwrite, for commands that write lists."""
    parser.add_argument(
        "--template",
        choices=["realsr", "drealsr", "d2crealsr"],
        help="names of a published dataset: NAME_HR and NAME_LR4, NAME_x1 and NAME_x4, ... (default: none)",
    )
    parser.add_argument("--gt-template", metavar="STEM", help="stem of GT files, e.g. '{}_HR' (default: {})")
    parser.add_argument(
        "--only", default="*", metavar="PATTERN", help="paths below the folder to list, e.g. '*/Test/*' (default: all)"
    )
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="list to write (default: standard output)")
    add_dry_run(parser)
    add_overwrite(parser, "a list of other content")


def write_list(lines: "Lines", arguments: Arguments, things: str, nothing: str) -> None:
    """Write a list file, and report the images that are not in it.

    Args:
        lines: of the list.
        arguments: of the command, with those of :func:`add_list`.
        things: noun for the content of a line.
        nothing: message if there is no line.

    Raises:
        ValueError: no line, or the file exists with other content.
        UnusedImagesError: images that are at fault; the others are listed.
    """
    from srzoo.atomic import write_text
    from srzoo.data.listing import UnusedImagesError

    if not lines.lines and not lines.faults:
        raise ValueError(f"{nothing} ({lines.left_out} images have other names): check the templates and --only")
    text, out = "".join(f"{line}\n" for line in lines.lines), arguments.out
    left_out = f"; {lines.left_out} images have other names" if lines.left_out else ""
    if lines.lines and out is None:
        sys.stdout.write(text)
    elif lines.lines:
        if out.is_file() and out.read_bytes() == text.encode():
            sys.stdout.write(f"{out} is up to date: {len(lines.lines)} {things}{left_out}\n")
        elif arguments.dry_run:
            sys.stdout.write(
                f"would write {out}: {len(lines.lines)} {things}, {len(text.encode()):,} bytes{left_out}\n"
            )
        else:
            check_target(out, arguments.overwrite)
            write_text(out, text)
            sys.stdout.write(f"wrote {out}: {len(lines.lines)} {things}{left_out}\n")
    if lines.faults:
        raise UnusedImagesError(lines.faults)


def yaml_path(path: Path) -> str:
    """Return a path as a value of a mapping in braces; quoted where its characters mean something in YAML."""
    text = str(path)
    return text if re.fullmatch(r"[\w./~-]+", text) else json.dumps(text, ensure_ascii=False)
