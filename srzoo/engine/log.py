"""Log lines on the console and in train.log; only rank 0 writes."""

import logging
import logging.handlers
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from srzoo import ranks

logger = logging.getLogger("srzoo")


def log_to(file: Path | None = None) -> None:
    """Send srzoo's log lines to the console and, if given, to the end of `file`; errors only on ranks other than 0.

    Lines logged before there was a file, such as the weights that were loaded, go to its head.
    """
    waiting = [handler for handler in logger.handlers if isinstance(handler, logging.handlers.MemoryHandler)]
    logger.handlers.clear()
    logger.propagate = False
    logger.setLevel(logging.INFO if ranks.rank() == 0 else logging.ERROR)
    console = logging.StreamHandler(sys.stdout)
    console.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(console)
    if file is not None and ranks.rank() == 0:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        for record in (record for early in waiting for record in early.buffer):
            handler.handle(record)
    elif file is None:
        logger.addHandler(logging.handlers.MemoryHandler(1000))


def progress_line(step: int, total: int, terms: Mapping[str, float], lr: float, speed: float, waiting: float) -> str:
    """Format one line of training progress.

    Args:
        step: updates done.
        total: updates in all.
        terms: mean losses since the last line.
        lr: learning rate of the coming update.
        speed: updates per second since the last line.
        waiting: share of that time spent waiting for data.
    """
    losses = "  ".join(f"{name} {value:.4e}" for name, value in terms.items())
    eta = timedelta(seconds=round((total - step) / speed))
    return (
        f"[{step:>{len(str(total))}}/{total}] {losses}  lr {lr:.2e}  {speed:.2f} steps/s  ETA {eta}  data {waiting:.0%}"
    )


def score_line(step: int, dataset: str, mean: Mapping[str, float]) -> str:
    """Format the scores of one validation set after `step` updates."""
    return f"[{step}] {dataset}: " + "  ".join(f"{metric} {value:.4f}" for metric, value in mean.items())
