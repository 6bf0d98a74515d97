"""Arguments that several commands share: one declaration each, and the checks that go with them."""

import argparse
import re
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from srzoo.atomic import require_writable

# Sizes of LQ images by name: (width, height).
SIZES = {"ntire": (256, 256), "720p": (1280, 720), "1080p": (1920, 1080)}
_TORCHRUN = "torchrun --nproc_per_node=NUM_GPUS srzoo/train.py -opt FILE"
# Arguments of BasicSR's scripts -> their replacement.
_REPLACED = {
    "--launcher": f"the launcher is torchrun: {_TORCHRUN} (without it, one GPU is used)",
    "--num_gpu": f"the number of GPUs is an argument of torchrun: {_TORCHRUN}",
    "--local_rank": f"ranks are started with torchrun: {_TORCHRUN}",
    "--auto_resume": "a training is continued with --resume auto",
    "--force_yml": "options are overridden with --set",
}


def describe(parser: ArgumentParser, description: str, *examples: str) -> None:
    """Give a command its description and its examples: the words that follow its name on a command line."""
    parser.description = description
    # argparse fills in %(prog)s: `srzoo train`, or `python srzoo/train.py` for the script.
    lines = [f"  %(prog)s {words}".rstrip() for words in examples]
    parser.epilog = "\n".join(["examples:" if len(lines) > 1 else "example:", *lines])


def add_options_file(parser: ArgumentParser, *, required: bool = True, use: str = "", several: bool = False) -> None:
    """Add -opt FILE, or with `several` a list of files, and --set; `use` says what the command takes from the file."""
    default = "" if required else " (default: none)"
    listed = {"nargs": "+", "action": "extend"} if several else {}
    parser.add_argument(
        "-opt",
        type=Path,
        required=required,
        metavar="FILE",
        **listed,
        help=f"option file{'s' * several} (YAML){use and ', '}{use}; `srzoo options explain KEY` explains a key"
        f"{default}",
    )
    add_overrides(parser)


def add_overrides(parser: ArgumentParser) -> None:
    """Add --set KEY=VALUE ...; it may be repeated."""
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="override options (default: none), e.g. --set train.total_iter=1000 scale=2; null removes a key",
    )


def add_weights(parser: ArgumentParser, *, required: bool = True, form: str = "") -> None:
    """Add --weights FILE; `form` says which weights the command takes."""
    parser.add_argument(
        "--weights", type=Path, required=required, metavar="FILE", help=f"weights file{form and ', '}{form}"
    )


def add_overwrite(parser: ArgumentParser, existing: str) -> None:
    """Add --overwrite; `existing` names the file or results that it replaces."""
    parser.add_argument(
        "--overwrite", action="store_true", help=f"replace {existing} (default: stop with an error if there is one)"
    )


def add_workers(parser: ArgumentParser) -> None:
    """Add --workers, for commands that read images in several processes."""
    parser.add_argument(
        "--workers", type=_workers, default=0, metavar="N", help="number of processes (default: 0, one per core)"
    )


def _workers(text: str) -> int:
    """Read a number of processes, 0 or more."""
    if re.fullmatch(r"\d+", text) is None:
        raise argparse.ArgumentTypeError(f"expected a number of processes, 0 for one per core, got {text!r}")
    return int(text)


def add_debug(parser: ArgumentParser) -> None:
    """Add --debug, for commands that read images."""
    parser.add_argument(
        "--debug",
        action="store_true",
        help="decode every image before starting, and print the traceback of every error (default: off)",
    )


def input_size(text: str) -> tuple[int, int]:
    """Read WIDTHxHEIGHT or the name of a preset; return (width, height)."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if text.lower() not in SIZES and match is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT or one of {', '.join(SIZES)}, got {text!r}")
    return SIZES[text.lower()] if match is None else (int(match[1]), int(match[2]))


class _Replaced(argparse.Action):
    """An argument of BasicSR's scripts: an error that names its replacement."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        del namespace
        assert option_string is not None
        name = option_string.replace("-", "_").replace("__", "--", 1)
        message = _REPLACED[name]
        if name == "--force_yml" and isinstance(values, list):
            # BasicSR separates keys by colons: train:ema_decay=0.999.
            pairs = [str(value).partition("=") for value in values]
            message += "".join(f" {keys.replace(':', '.')}{equals}{value}" for keys, equals, value in pairs)
        parser.error(f"{option_string} is BasicSR's: {message}")


def refuse_basicsr(parser: ArgumentParser) -> None:
    """Refuse the arguments of BasicSR's scripts with an error that names their replacement; help does not list them."""
    for name in _REPLACED:
        spellings = dict.fromkeys((name, "--" + name[2:].replace("_", "-")))
        parser.add_argument(*spellings, action=_Replaced, nargs="*", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def check_target(target: Path, overwrite: bool, suffixes: tuple[str, ...] = ()) -> None:
    """Check that a file can be written under a name.

    Raises:
        ValueError: the name ends in none of `suffixes`, the file exists and `overwrite` is off, or its folder cannot be
            written to.
    """
    if suffixes and target.suffix not in suffixes:
        raise ValueError(f"expected an output name ending in {' or '.join(suffixes)}, got {target}")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists: choose another name, or replace it with --overwrite")
    require_writable(target)
