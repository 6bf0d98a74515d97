"""`srzoo <command>`: everything the package does, from one entry point."""

import argparse
import functools
import json
import sys
from pathlib import Path

from srzoo import __version__
from srzoo.command import Arguments, benchmark_parser, execute, train_parser


def main() -> None:
    """Console script."""
    arguments = _parser().parse_args()
    sys.exit(execute(arguments.run, arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="srzoo", description="Super-resolution research: train, test, look up.")
    parser.add_argument("--version", action="version", version=f"srzoo {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    train_parser(functools.partial(commands.add_parser, "train", help="train a network")).set_defaults(run=_train)
    benchmark_parser(functools.partial(commands.add_parser, "test", help="benchmark a network")).set_defaults(run=_test)
    _options_parser(commands.add_parser("options", help="show, explain and document option files"))
    doctor = commands.add_parser("doctor", help="check this machine: Python, PyTorch, GPU, codecs, disk")
    doctor.set_defaults(run=_doctor)
    return parser


def _options_parser(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="action")
    show = actions.add_parser("show", help="print an option file with inheritance, overrides and defaults written out")
    show.add_argument("file", type=Path)
    show.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override options")
    show.set_defaults(run=_show)
    explain = actions.add_parser("explain", help="print type, unit, default and meaning of an option")
    explain.add_argument("key", help="dotted path or its end, e.g. train.total_iter, gt_size, optim_g.lr")
    explain.set_defaults(run=_explain)
    docs = actions.add_parser("docs", help="write the option reference (Markdown) and the JSON schema for editors")
    docs.add_argument("folder", type=Path, nargs="?", default=Path("docs"), help="where to (default: docs)")
    docs.set_defaults(run=_docs)


def _train(arguments: Arguments) -> None:
    from srzoo.train import train

    train(arguments)


def _test(arguments: Arguments) -> None:
    from srzoo.test import test

    test(arguments)


def _doctor(arguments: Arguments) -> None:
    del arguments
    from srzoo.doctor import examine

    examine()


def _show(arguments: Arguments) -> None:
    from srzoo.options import load_options

    sys.stdout.write(load_options(arguments.file, arguments.set).text)


def _explain(arguments: Arguments) -> None:
    from srzoo.options.describe import explain

    sys.stdout.write(explain(arguments.key) + "\n")


def _docs(arguments: Arguments) -> None:
    from srzoo.atomic import write_text
    from srzoo.options.describe import editor_schema, markdown

    write_text(arguments.folder / "options.md", markdown())
    write_text(arguments.folder / "options.schema.json", json.dumps(editor_schema(), indent=1) + "\n")
    sys.stdout.write(f"wrote options.md and options.schema.json to {arguments.folder}\n")


if __name__ == "__main__":
    main()
