"""`srzoo data check`: examine the datasets of an option file."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_options_file, add_overwrite, add_workers, check_target, describe

if TYPE_CHECKING:
    from srzoo.data.examine.findings import Check, Examination
    from srzoo.options import Options

_SPLITS = ("train", "val", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file, the extent of the examination and the forms of the report."""
    describe(
        parser,
        "Examine all datasets of an option file: the checks before a training, and shifts between LQ and GT, LQ made "
        "with another kernel, swapped colours, near-duplicates within training and with evaluation sets, GT that was "
        "enlarged or compressed as JPEG, mixed depths. Exit code 0 if there is nothing but notes, 2 with faults or "
        "warnings.",
        "-opt options/train/imdn/IMDN_x4.yml",
        "-opt options/train/imdn/IMDN_x4.yml --full --json check.json --page check.html",
    )
    add_options_file(parser, use="of which the datasets are examined")
    parser.add_argument(
        "--full", action="store_true", help="decode every file and examine all images (default: an even sample of each)"
    )
    parser.add_argument(
        "--images", type=int, default=64, metavar="N", help="images of each dataset in the sample (default: 64)"
    )
    parser.add_argument(
        "--skip",
        nargs="+",
        action="extend",
        default=[],
        metavar="CHECK",
        help="leave out checks: depth, colours, alignment, kernel, enlarged, compression, duplicates (default: none)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON, .json (default: none)")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write the report with pictures, .html (default: none)"
    )
    add_workers(parser)
    add_overwrite(parser, "FILE")


def run(arguments: Arguments) -> None:
    """Print the report, and write it in the forms asked for.

    Raises:
        FileNotFoundError, OptionsError: of the option file.
        ValueError: a wrong argument, a report that exists, no dataset, or faults and warnings; the report comes first.
    """
    checks = _wanted(arguments)
    for target, suffix in ((arguments.json, ".json"), (arguments.page, ".html")):
        if target is not None:
            check_target(target, arguments.overwrite, (suffix,))

    from srzoo.chain import weights_after
    from srzoo.options import load_chain

    chain = load_chain(arguments.opt, arguments.set, weights_after)
    examinations = {name: _examine(loaded.options, arguments, checks) for name, loaded in chain.items()}
    if not any(examination.datasets or examination.findings for examination in examinations.values()):
        raise ValueError(f"{arguments.opt} names no dataset to examine")
    for name, examination in examinations.items():
        sys.stdout.write(f"stage {name}\n" * bool(name) + examination.text() + "\n")
    _write(arguments, examinations)
    wrong = {s: sum(len(one.of_severity(s)) for one in examinations.values()) for s in ("fault", "warning")}
    if any(wrong.values()):
        counts = " and ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in wrong.items() if count)
        raise ValueError(f"{counts} in the data of {arguments.opt}; each says above what to do")


def _wanted(arguments: Arguments) -> "list[Check]":
    """Return the checks to make.

    Raises:
        ValueError: an unknown one, or a wrong number.
    """
    from srzoo.data.examine.findings import CHECKS

    optional: list[Check] = [check for check in CHECKS if check != "pre-flight"]
    unknown = [name for name in arguments.skip if name not in optional]
    if unknown:
        raise ValueError(f"--skip: unknown check {unknown[0]!r}; known: {', '.join(optional)}")
    if arguments.images < 1:
        raise ValueError(f"--images must be at least 1, got {arguments.images}")
    return [check for check in optional if check not in arguments.skip]


def _examine(options: "Options", arguments: Arguments, checks: "list[Check]") -> "Examination":
    """Run the pre-flight over the datasets of a training, then examine them."""
    from srzoo.components import open_datasets, preflight
    from srzoo.data.examine.examination import examine

    _, datasets, faults = open_datasets(options, _SPLITS)
    faults += preflight(options, datasets, full=arguments.full)
    return examine(
        datasets,
        faults,
        sample=None if arguments.full else arguments.images,
        checks=checks,
        workers=arguments.workers,
        allow_overlap=options.data.allow_overlap,
    )


def _write(arguments: Arguments, examinations: "dict[str, Examination]") -> None:
    """Write the report as JSON and as a page."""
    from srzoo.atomic import write_text
    from srzoo.data.examine.page import page

    if arguments.json is not None:
        stages = [{"stage": name, **examination.as_json()} for name, examination in examinations.items()]
        content = {"options": str(arguments.opt), "stages": stages}
        write_text(arguments.json, json.dumps(content, indent=2) + "\n")
        sys.stderr.write(f"wrote {arguments.json}\n")
    if arguments.page is not None:
        write_text(arguments.page, page(examinations, str(arguments.opt)))
        sys.stderr.write(f"wrote {arguments.page}\n")
