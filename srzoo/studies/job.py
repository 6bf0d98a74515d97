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
    sys.exit(run_job(arguments.train, arguments.test))


def run_job(training: Path | None, testing: Path | None) -> int:
    """Run `srzoo train --resume auto` and `srzoo test --overwrite`, and return the exit code of the last that ran.

    Args:
        training: option file of the training; None: it is done.
        testing: option file of the test; None: there is none.
    """
    code = 0
    if training is not None:
        from srzoo.train import train

        code = execute(train, Arguments(opt=training, set=[], resume="auto", accept_changes=False, debug=False))
    if code == 0 and testing is not None:
        from srzoo.test import test

        code = execute(test, Arguments(opt=[testing], set=[], overwrite=True, debug=False))
    return code


def end_with(parent: int) -> None:
    """Ask the system for SIGTERM when the parent ends; without Linux the job goes on to its own end."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the request
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
