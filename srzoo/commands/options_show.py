"""`srzoo options show`: an option file with inheritance, overrides and defaults written out."""

import argparse
import sys
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overrides, describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file and its overrides."""
    describe(
        parser,
        "Check an option file and print every option that a run with it would use: the files that it inherits from, "
        "the overrides and all defaults in one YAML document (one per stage for a chain of trainings). Plugins of the "
        "file are not run: entries whose type only a plugin knows are printed as written and marked unchecked.",
        "options/train/imdn/IMDN_x4.yml --set train.total_iter=1000",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="option file (YAML)")
    add_overrides(parser)
    parser.add_argument(
        "--plugins",
        action="store_true",
        help="run the Python files under `plugins:`, and check the entries of their types too (default: off)",
    )


def run(arguments: Arguments) -> None:
    """Print the resolved options.

    Raises:
        FileNotFoundError: no such file.
        OptionsError: every fault of the file.
    """
    from srzoo.chain import weights_after
    from srzoo.options import load_chain
    from srzoo.options.unchecked import marked

    for name, loaded in load_chain(arguments.file, arguments.set, weights_after, arguments.plugins).items():
        lines = [f"--- # stage {name}"] if name else []
        if not arguments.plugins:
            lines += [f"# plugin not run, as it would be with --plugins: {file}" for file in loaded.options.plugins]
        sys.stdout.write("".join(f"{line}\n" for line in lines) + marked(loaded.text, loaded.unchecked))
