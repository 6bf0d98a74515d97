"""`srzoo report`: scores, curves and pictures of runs in one HTML file."""

import argparse
import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysis import memory_size
from srzoo.commands.arguments import add_overwrite, check_target, describe

if TYPE_CHECKING:
    from srzoo.commands.reported_pictures import ScoredTogether
    from srzoo.commands.reported_runs import ReportedRun
    from srzoo.report.lam import Overlay
    from srzoo.report.page import Report
    from srzoo.report.viewer import PictureSet

_DEFAULT_SIZE = "32M"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the runs, the file, and the limits of the pictures."""
    describe(
        parser,
        "Write one HTML file about runs that needs no network: tables of scores with comparisons, curves of losses and "
        "scores, pictures under a slider and in a common crop with its PSNR, difference maps, attribution maps, and "
        "where the numbers come from, without paths of this machine. The first run is the baseline of comparisons.",
        "experiments/test_Bicubic_x4 experiments/test_IMDN_x4 -o report.html",
        "experiments/dropout_study --images 20 --lam lam.json",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN_OR_STUDY",
        help="folder of a training or test, or a folder of several",
    )  # fmt: skip
    parser.add_argument(
        "-o", dest="out", type=Path, metavar="FILE", default=Path("report.html"),
        help="the page, FILE.html (default: report.html)",
    )  # fmt: skip
    parser.add_argument("--title", help="of the page (default: the names of the runs)")
    parser.add_argument(
        "--images", type=int, metavar="N",
        help="images per dataset with pictures, from the worst to the best; 0: none (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--max-size", type=memory_size, metavar="SIZE", default=_DEFAULT_SIZE,
        help="of the page; pictures that would not fit are cut to the windows with the largest errors, without loss "
        f"(default: {_DEFAULT_SIZE})",
    )  # fmt: skip
    parser.add_argument(
        "--lam", nargs="+", type=Path, default=[], metavar="FILE",
        help="numbers of `srzoo analyze lam` (lam.json, with lam.npz beside it), beside those in the runs' folders "
        "(default: none)",
    )  # fmt: skip
    add_overwrite(parser, "an earlier page")
    parser.add_argument("--debug", action="store_true", help="print the traceback of every error (default: off)")


def run(arguments: Arguments) -> None:
    """Write the page.

    Raises:
        ValueError: folders without runs, damaged results, images or weights that are not those that were scored, or a
            page that cannot be as small as it should be.
    """
    from srzoo.atomic import write_text
    from srzoo.engine.log import log_to, logger
    from srzoo.report.page import page

    check_target(arguments.out, arguments.overwrite, (".html",))
    if arguments.images is not None and arguments.images < 0:
        raise ValueError(f"--images: expected a number from 0, got {arguments.images}")
    log_to()
    text = page(_fitted(_report(arguments), arguments.max_size))
    size = len(text.encode())
    if size > arguments.max_size:
        raise ValueError(
            f"the page takes {_megabytes(size)} without pictures, more than --max-size "
            f"{_megabytes(arguments.max_size)}: allow more, or name fewer runs"
        )
    write_text(arguments.out, text)
    logger.info(f"wrote {arguments.out} ({_megabytes(size)})")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB"


def _report(arguments: Arguments) -> "Report":
    from srzoo.commands.reported_pictures import scored_together
    from srzoo.commands.reported_runs import record_of
    from srzoo.commands.reported_scores import (
        named_after_tests,
        panels_of,
        per_image_table,
        reported_runs,
        summaries_of,
        tested_again,
    )
    from srzoo.report.page import Report

    found = reported_runs(arguments.runs)
    tested = tested_again(found)
    runs = named_after_tests(found, tested)
    again = [run.name for run, before in zip(runs, found, strict=True) if before.name in tested]
    command = _command(arguments)
    groups = scored_together(runs)
    sets, overlays = _pictures(arguments, runs, groups, command)
    return Report(
        title=arguments.title or "Report: " + ", ".join(word.resolve().name for word in arguments.runs),
        command=command,
        summaries=summaries_of(runs, groups),
        per_image=[per_image_table(group) for group in groups],
        panels=panels_of(runs, command),
        sets=sets,
        overlays=overlays,
        records=[record_of(run) for run in runs],
        notes=[f"Tables and pictures leave these out, as a test has scored their last weights: {', '.join(again)}."]
        * bool(again),
    )


def _command(arguments: Arguments) -> str:
    """Return the command that writes the page again."""
    from srzoo.commands.reported_runs import words_of

    words = ["srzoo", "report", *words_of(arguments.runs), "-o", arguments.out.name]
    if arguments.title is not None:
        words += ["--title", arguments.title]
    if arguments.images is not None:
        words += ["--images", str(arguments.images)]
    if arguments.max_size != memory_size(_DEFAULT_SIZE):
        words += ["--max-size", f"{arguments.max_size // 1024}K"]
    return shlex.join([*words, *(["--lam", *words_of(arguments.lam)] if arguments.lam else [])])


def _pictures(
    arguments: Arguments, runs: "Sequence[ReportedRun]", groups: "Sequence[ScoredTogether]", command: str
) -> "tuple[list[PictureSet], list[Overlay]]":
    """Return the pictures, and the attribution maps over their LQ."""
    from srzoo import ranks
    from srzoo.commands.reported_maps import attribution_maps
    from srzoo.commands.reported_pictures import PictureReader

    maps = attribution_maps(arguments.lam, [run.folder for run in runs])
    wanted = frozenset(each.key for each in maps)
    reader = PictureReader(ranks.initialise(), arguments.images, command, wanted)
    sets = [] if arguments.images == 0 else [reader.read(group) for group in groups]
    return sets, [each.overlay(reader.lq.get(each.key)) for each in maps]


def _fitted(report: "Report", max_size: int) -> "Report":
    """Return the report with pictures cut to windows, if its page would be larger than `max_size` bytes."""
    from srzoo.commands.reported_pictures import GT
    from srzoo.report.page import page
    from srzoo.report.pictures import fitted

    images = [image for each in report.sets for image in each.images]
    if not images:
        return report
    empty = [
        dataclasses.replace(
            each,
            images=[dataclasses.replace(image, thumbnail=b"", pixels=dict.fromkeys(image.pixels, b""))
                    for image in each.images],
        )
        for each in report.sets
    ]  # fmt: skip
    # Everything else on the page; the sentence about windows, and their places, may grow a little.
    rest = len(page(dataclasses.replace(report, sets=empty)).encode()) + 300 * len(empty) + 20 * len(images)
    fit = iter(fitted(images, GT, max_size - rest))
    return dataclasses.replace(
        report, sets=[dataclasses.replace(each, images=[next(fit) for _ in each.images]) for each in report.sets]
    )
