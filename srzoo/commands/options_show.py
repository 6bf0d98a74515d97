"""`srzoo options show`: an option file with inheritance, overrides and defaults written out."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overrides, describe

if TYPE_CHECKING:
    from srzoo.options import LoadedOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option file and its overrides."""
    describe(
        parser,
        "Check an option file and print every option that a run with it would use: the files that it inherits from, "
        "the overrides and all defaults in one YAML document (one per stage for a chain of trainings, one per variant "
        "for a study, with its first seed). Plugins of the file are not run: entries whose type only a plugin knows "
        "are printed as written and marked unchecked.",
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
    from srzoo.options.unchecked import marked

    for title, loaded in _documents(arguments):
        lines = [f"--- # {title}"] if title else []
        if not arguments.plugins:
            lines += [f"# plugin not run, as it would be with --plugins: {file}" for file in loaded.options.plugins]
        sys.stdout.write("".join(f"{line}\n" for line in lines) + marked(loaded.text, loaded.unchecked))


def _documents(arguments: Arguments) -> "Iterator[tuple[str, LoadedOptions]]":
    """Yield the title and the options of each document, those of a test file at the end; one training has no title."""
    from srzoo.chain import weights_after
    from srzoo.options import is_study, load_chain, load_study

    if not is_study(arguments.file, arguments.set):
        for name, loaded in load_chain(arguments.file, arguments.set, weights_after, arguments.plugins).items():
            yield f"stage {name}" * bool(name), loaded
        return
    study = load_study(arguments.file, arguments.set, weights_after, arguments.plugins)
    first = {run.variant: run for run in reversed(study.runs)}
    for variant in study.variants:
        if variant.same_as:
            sys.stdout.write(f"# variant {variant.name} has the options of {variant.same_as}\n")
        else:
            yield f"variant {variant.name}, seed {study.seeds[0]} of {len(study.seeds)}", first[variant.name].training
    test = study.runs[0].test
    if test is not None:
        yield f"test of {study.runs[0].name}", test
