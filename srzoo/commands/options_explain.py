"""`srzoo options explain`: type, unit, default and meaning of an option."""

import argparse
import sys

from srzoo.command import Arguments
from srzoo.commands.arguments import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the key."""
    describe(
        parser,
        "Print type, unit, default and meaning of an option, for every section and plugin that has it.",
        "gt_size",
        "train.total_iter",
    )
    parser.add_argument(
        "key", metavar="KEY", help="dotted path of the option or the end of it, e.g. train.total_iter, optim_g.lr"
    )


def run(arguments: Arguments) -> None:
    """Print the explanation.

    Raises:
        LookupError: no option has this name; the message lists close matches.
    """
    from srzoo.options.describe import explain

    sys.stdout.write(explain(arguments.key) + "\n")
