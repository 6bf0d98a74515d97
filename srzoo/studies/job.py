"""One training of a study and its test, in a process started for them: ``python -m srzoo.studies.job``.

The process is that of `srzoo train --resume auto`, then that of `srzoo test --overwrite`, and its exit code is theirs.
It gets SIGTERM when the process that started it ends, so that a study that was killed leaves no training behind.
"""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

from srzoo.command import Arguments, execute

# Of Linux's prctl(2).
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Train, test and end the interpreter with the exit code."""
    parser = argparse.ArgumentParser(description="Train and test as one job of a study.")
    parser.add_argument("--train", type=Path, help="option file of the training (default: it is done)")
    parser.add_argument("--test", type=Path, help="option file of the test (default: none)")
    parser.add_argument("--parent", type=int, required=True, help="process whose end stops the job")
    arguments = parser.parse_args()
    end_with(arguments.parent)
    code = 0
    if arguments.train is not None:
        from srzoo.train import train

        settings = {"opt": arguments.train, "resume": "auto", "accept_changes": False}
        code = execute(train, Arguments(**settings, set=[], debug=False))
    if code == 0 and arguments.test is not None:
        from srzoo.test import test

        code = execute(test, Arguments(opt=[arguments.test], overwrite=True, set=[], debug=False))
    sys.exit(code)


def end_with(parent: int) -> None:
    """Ask the system for SIGTERM when the parent ends; without Linux the job goes on to its own end."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the request
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
