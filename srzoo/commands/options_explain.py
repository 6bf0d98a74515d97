"""`srzoo options explain`: type, unit, default and meaning of an option, section or plugin."""

import argparse
import sys

from srzoo.command import Arguments
from srzoo.commands.arguments import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the key."""
    describe(
        parser,
        "Print type, unit, default and meaning of an option, for every section and plugin that has it, or the meaning "
        "and the options of a section or plugin.",
        "gt_size",
        "train.total_iter",
        "L1Loss",
    )
    parser.add_argument(
        "key",
        metavar="KEY",
        help="dotted path of an option or section or the end of it, e.g. train.total_iter, optim_g.lr; or a `type`, "
        "e.g. L1Loss",
    )


def run(arguments: Arguments) -> None:
    """Print the explanation.

    Raises:
        LookupError: nothing has this name; the message lists close matches.
    """
    from srzoo.options.describe import explain

    sys.stdout.write(explain(arguments.key) + "\n")
