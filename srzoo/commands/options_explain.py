"""`srzoo options explain`: meaning, type, unit and default of an option; the options of a section or a type."""

import argparse
import sys

from srzoo.command import Arguments
from srzoo.commands.arguments import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the key."""
    describe(
        parser,
        "Print meaning, type, unit and default of an option, for every section and plugin that has it; or the options "
        "of a section, or of a type such as a network or a loss.",
        "gt_size",
        "train.total_iter",
        "val",
        "L1Loss",
    )
    parser.add_argument(
        "key",
        metavar="KEY",
        help="dotted path of an option or section or the end of it, e.g. train.total_iter, optim_g.lr; or a type",
    )


def run(arguments: Arguments) -> None:
    """Print the explanation.

    Raises:
        LookupError: nothing has this name; the message has close matches.
    """
    from srzoo.options.explain import explain

    sys.stdout.write(explain(arguments.key) + "\n")
