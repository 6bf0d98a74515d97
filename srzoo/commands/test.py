"""`srzoo test`, the same as `python srzoo/test.py`."""

import argparse
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import (
    SIZES,
    add_debug,
    add_options_file,
    add_overwrite,
    describe,
    input_size,
    refuse_basicsr,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option files, their overrides, the table, --overwrite and --debug."""
    describe(
        parser,
        "Score a network on the test datasets of an option file: print the mean of each metric and write the results "
        "per image to experiments/NAME/results. Several files are scored one after the other and end with one table of "
        "all networks, datasets and metrics, with parameters, multiply-adds and latency.",
        "-opt options/test/imdn/IMDN_x4.yml",
        "-opt options/test/imdn/IMDN_x4.yml options/test/drct/DRCT_x4.yml --table x4.md",
    )
    add_options_file(parser, several=True)
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="write the table as .md, .tex or .csv (default: print it only)"
    )
    parser.add_argument(
        "--input", type=input_size, default=SIZES["ntire"], metavar="WxH",
        help=f"LQ image whose costs the table has: WIDTHxHEIGHT or one of {', '.join(SIZES)} (default: ntire, 256x256)",
    )  # fmt: skip
    parser.add_argument(
        "--no-latency", action="store_true", help="leave latency out of the table (default: measure it)"
    )
    add_overwrite(parser, "the results of an earlier run of this name")
    add_debug(parser)
    refuse_basicsr(parser)


def run(arguments: Arguments) -> None:
    """Benchmark; see `srzoo/test.py`."""
    from srzoo.test import test

    test(arguments)
