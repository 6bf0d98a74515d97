"""`srzoo train`, the same as `python srzoo/train.py`."""

import argparse

from srzoo.command import Arguments
from srzoo.commands.arguments import add_debug, add_options_file, describe, refuse_basicsr


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file, its overrides, --resume, --accept-changes and --debug."""
    describe(
        parser,
        "Train a network from an option file. Under torchrun, all ranks train it together.",
        "-opt options/train/imdn/IMDN_x4.yml --set name=first_try",
    )
    add_options_file(parser)
    parser.add_argument(
        "--resume",
        default="none",
        metavar="auto|none|PATH",
        help="auto: continue the run of this name from its newest intact state, or start it if there is none; PATH: "
        "continue from this .state file, with newer files of its own run moved to set_aside/; none (default): start, "
        "and stop with an error if a run of this name exists",
    )
    parser.add_argument(
        "--accept-changes",
        action="store_true",
        help="resume although training data, plugins or weights of losses have changed since (default: list the "
        "changes and stop)",
    )
    add_debug(parser)
    refuse_basicsr(parser)


def run(arguments: Arguments) -> None:
    """Train; see `srzoo/train.py`."""
    from srzoo.train import train

    train(arguments)
