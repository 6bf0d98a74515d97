"""What a run says while it works: console, train.log, TensorBoard. Only the first process speaks."""

import logging
import logging.handlers
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch import Tensor

from srzoo import ranks

logger = logging.getLogger("srzoo")


def log_to(file: Path | None = None) -> None:
    """Send srzoo's log lines to the console and, if given, to the end of `file`; silent on other processes.

    Lines from before there was a file (which weights were loaded, say) go to its head.
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
        handler = logging.FileHandler(file, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        for record in (record for early in waiting for record in early.buffer):
            handler.handle(record)
    elif file is None:
        logger.addHandler(logging.handlers.MemoryHandler(1000))


def progress_line(step: int, total: int, terms: dict[str, float], lr: float, speed: float, waiting: float) -> str:
    """One line of training progress.

    Args:
        step: updates done.
        total: updates in all.
        terms: mean of each weighted loss since the last line.
        lr: learning rate of the next update.
        speed: updates per second since the last line.
        waiting: share of that time spent waiting for data.
    """
    losses = "  ".join(f"{name} {value:.4e}" for name, value in terms.items())
    eta = timedelta(seconds=round((total - step) / speed))
    return (
        f"[{step:>{len(str(total))}}/{total}] {losses}  lr {lr:.2e}  {speed:.2f} steps/s  ETA {eta}  data {waiting:.0%}"
    )


class Board:
    """TensorBoard scalars and images; writes nothing when switched off or on other processes than the first."""

    def __init__(self, folder: Path, enabled: bool, purge_step: int) -> None:
        self._writer: Any = None
        if enabled and ranks.rank() == 0:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ValueError(
                    "TensorBoard is not installed: pip install tensorboard, or set logger.use_tb_logger: false"
                ) from error
            self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    def scalars(self, values: dict[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def image(self, name: str, image: Tensor, step: int) -> None:
        """(3, H, W) in [0, 1]."""
        if self._writer is not None:
            self._writer.add_image(name, image.clamp(0, 1).float().cpu(), step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def score_table(title: str, scores: Mapping[str, Mapping[str, float]], metrics: Mapping[str, object]) -> str:
    """Mean scores as text: a row a data set, a column a metric with its protocol."""
    heads = [f"{name} ({_protocol(metric)})" for name, metric in metrics.items()]
    rows = [[title, *heads]]
    for dataset, means in scores.items():
        rows.append([dataset, *(_number(means.get(name)) for name in metrics)])
    return table(rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.{5 if value <= 1 else 4}f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text under each other, columns aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _protocol(metric: object) -> str:
    return getattr(getattr(metric, "protocol", None), "name", type(metric).__name__)
