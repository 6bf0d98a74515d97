"""What all commands share: arguments, and how errors reach the user."""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

Arguments = argparse.Namespace

_OPTION_HELP = "option file (YAML); `srzoo options explain KEY` tells what a key means"
_SET_HELP = "override options, e.g. --set train.total_iter=1000 scale=2; null removes a key"


def train_parser(add: Callable[..., argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Arguments of train.py."""
    parser = add(
        description="Train a network from an option file. Under torchrun, all its processes train together.",
        epilog="example: python srzoo/train.py -opt options/train/imdn/IMDN_x4.yml --set name=first_try",
    )
    parser.add_argument("-opt", type=Path, required=True, metavar="FILE", help=_OPTION_HELP)
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=_SET_HELP)
    parser.add_argument(
        "--resume",
        default="none",
        metavar="auto|none|PATH",
        help="auto: continue the run of this name where it stopped (or start it); PATH: from that .state file; "
        "none (default): start, and stop if a run of this name exists",
    )
    parser.add_argument(
        "--debug", action="store_true", help="decode every image before the first step; show tracebacks of errors"
    )
    return parser


def benchmark_parser(add: Callable[..., argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Arguments of test.py."""
    parser = add(
        description="Score a network on the data sets of an option file and write per-image results.",
        epilog="example: python srzoo/test.py -opt options/test/imdn/IMDN_x4.yml",
    )
    parser.add_argument("-opt", type=Path, required=True, metavar="FILE", help=_OPTION_HELP)
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=_SET_HELP)
    parser.add_argument("--overwrite", action="store_true", help="replace results of an earlier run of this name")
    parser.add_argument("--debug", action="store_true", help="decode every image first; show tracebacks of errors")
    return parser


def run(
    command: Callable[[Arguments], None],
    make_parser: Callable[[Callable[..., argparse.ArgumentParser]], argparse.ArgumentParser],
) -> None:
    """Parse the command line, run the command, leave the process with 0 only if all that was asked was done."""
    sys.exit(execute(command, make_parser(argparse.ArgumentParser).parse_args()))


def execute(command: Callable[[Arguments], None], arguments: Arguments) -> int:
    """Run a command; what the user can mend is told in words, everything else with its traceback.

    Returns the exit code: 0 done, 2 the user can mend it, 130 interrupted.
    """
    # Schedulers and containers stop a process with SIGTERM: end as on Ctrl-C, loader processes included.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        command(arguments)
    except KeyboardInterrupt:
        print("interrupted; a training continues from its last state with --resume auto", file=sys.stderr)  # noqa: T201
        return 130
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("srzoo"):
            raise
        print(  # noqa: T201
            f"error: {error.name} is not installed in {sys.executable}; activate the environment that the scripts made "
            "(source .venv/bin/activate), or pip install -r requirements.txt",
            file=sys.stderr,
        )
        return 2
    except Exception as error:
        if not _mendable(error):
            raise
        if getattr(arguments, "debug", False):
            traceback.print_exc()
        rank = os.environ.get("RANK")
        print(f"error{f' (rank {rank})' if rank else ''}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)
        if sys.modules.get("torch"):
            from srzoo import ranks

            ranks.finalise()
    return 0


def _mendable(error: Exception) -> bool:
    """What a user can cause: see "errors" in docs/architecture.md."""
    if isinstance(error, KeyError | IndexError | UnicodeError):
        return False
    return isinstance(error, ValueError | LookupError | OSError) or type(error).__name__ == "NonFiniteLossError"
