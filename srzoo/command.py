"""Running a command: its parser, and how its errors reach the user."""

import argparse
import importlib
import io
import os
import shlex
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable
from typing import Protocol, cast

Arguments = argparse.Namespace


class Command(Protocol):
    """A module of ``srzoo/commands/``: a description of its arguments and a function that does the work."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the description, the arguments and the example of this command to its parser."""

    def run(self, arguments: Arguments) -> None:
        """Run the command; an error that the user can fix is a ValueError, LookupError or OSError."""


class HelpText(argparse.HelpFormatter):
    """Help whose paragraphs are wrapped and whose indented lines are not: those are commands to copy."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = (line if line.startswith(" ") else textwrap.fill(line, width) for line in text.splitlines())
        return textwrap.indent("\n".join(lines), indent)


def parser_of(command: Command, prog: str) -> argparse.ArgumentParser:
    """Return the parser of a command; `prog` is the command line up to its first argument."""
    parser = argparse.ArgumentParser(prog=prog, formatter_class=HelpText)
    command.add_arguments(parser)
    return parser


def load_command(module: str) -> Command:
    """Import a command by the dotted name of its module."""
    return cast(Command, importlib.import_module(module))


def run_script(module: str) -> None:
    """Run a command as a script (`python srzoo/train.py ...`) and end the interpreter with its exit code."""
    command = load_command(module)
    parser = parser_of(command, f"python {shlex.quote(sys.argv[0])}")
    sys.exit(execute(command.run, parser.parse_args()))


def execute(command: Callable[[Arguments], None], arguments: Arguments) -> int:
    """Run a command and return its exit code: 0 done, 2 an error that the user can fix, 75 a training that was
    stopped with everything saved, 130 interrupted.

    Errors that the user can fix print a message (and with --debug their traceback); all others are raised, and end the
    interpreter with a traceback and exit code 1.
    """
    # Names of files may be any bytes, and a terminal may know few characters.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Schedulers and containers stop a command with SIGTERM: end as on Ctrl-C, loader workers included.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        command(arguments)
    except KeyboardInterrupt:
        _print_error("interrupted")
        return 130
    except SystemExit as stopped:
        return int(stopped.code or 0)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("srzoo"):
            raise
        _print_error(
            f"error: {error.name} is not installed in {sys.executable}; activate the environment that the scripts made "
            "(source .venv/bin/activate), or pip install -r requirements.txt"
        )
        return 2
    except Exception as error:
        if not _user_can_fix(error):
            raise
        if getattr(arguments, "debug", False):
            traceback.print_exc()
        # Under torchrun the errors of all ranks arrive in one terminal.
        rank = os.environ.get("RANK")
        # All ranks read the same option file.
        if rank in (None, "0") or type(error).__name__ != "OptionsError":
            _print_error(f"error{f' (rank {rank})' if rank else ''}: {_text(error)}")
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)
        # A command that never imported torch has no process group to close, and should not wait for the import.
        if sys.modules.get("torch"):
            from srzoo import ranks

            ranks.finalise()
    return 0


def _text(error: Exception) -> str:
    """Return the message of an error; that of the system has its file first, and no error number."""
    if not isinstance(error, OSError) or error.errno is None or not error.strerror:
        return str(error)
    files = " -> ".join(str(file) for file in (error.filename, error.filename2) if file is not None)
    return f"{files}: {error.strerror}" if files else error.strerror


def _print_error(message: str) -> None:
    sys.stderr.write(message + "\n")


def _user_can_fix(error: Exception) -> bool:
    """Return True for the errors that docs/architecture.md lists under "Errors"."""
    # Subclasses of LookupError and ValueError that come from a mistake in the code, not in an option file.
    if isinstance(error, KeyError | IndexError | UnicodeError):
        return False
    # NonFiniteLossError is known by name: importing it would import torch.
    return isinstance(error, ValueError | LookupError | OSError) or type(error).__name__ == "NonFiniteLossError"
