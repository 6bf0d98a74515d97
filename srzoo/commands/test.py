"""`srzoo test`, the same as `python srzoo/test.py`."""

import argparse

from srzoo.command import Arguments
from srzoo.commands.arguments import add_debug, add_options_file, add_overwrite, describe, refuse_basicsr


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file, its overrides, --overwrite and --debug."""
    describe(
        parser,
        "Score a network on the test datasets of an option file: print the mean of each metric and write the results "
        "per image to experiments/NAME/results.",
        "-opt options/test/imdn/IMDN_x4.yml",
    )
    add_options_file(parser)
    add_overwrite(parser, "the results of an earlier run of this name")
    add_debug(parser)
    refuse_basicsr(parser)


def run(arguments: Arguments) -> None:
    """Benchmark; see `srzoo/test.py`."""
    from srzoo.test import test

    test(arguments)
