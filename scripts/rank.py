"""One rank of scripts/dist_train.sh: srzoo/train.py, whose exit code for "state saved, work left" reaches the launcher.

torchrun takes every code but 0 for a failure and starts all ranks again, and ends with 1 whatever their code was. So a
rank that stops with that code notes it in the file that $SRZOO_STOPPED names, and ends with 0.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

STOPPED = 75

if __name__ == "__main__":
    # The launcher makes torchrun ignore these signals, and ranks inherit that until the training handles them.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[0] = str(Path(__file__).resolve().parents[1] / "srzoo" / "train.py")
    sys.path[0] = str(Path(sys.argv[0]).parent)  # as if it were run itself
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        if ended.code != STOPPED:
            raise
        Path(os.environ["SRZOO_STOPPED"]).touch()
