"""The course of a training, read from its train.log: losses, learning rate, and scores of validation sets."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

# Steps -> values, in ascending order.
Course = dict[int, float]

_NUMBER = r"[-+.\w]+"
# The lines of srzoo.engine.log, behind time and level.
_PROGRESS = re.compile(rf" INFO \[ *(\d+)/\d+\] (.*?)  lr ({_NUMBER})  {_NUMBER} steps/s  ETA ")
_SCORES = re.compile(r" INFO \[(\d+)\] (.+?): ((?:\S+ \S+)(?:  \S+ \S+)*)(?:  \(best .*\))?$")


@dataclass(frozen=True)
class TrainingLog:
    """Numbers of a train.log by step.

    Args:
        losses: term -> mean since the line before.
        lr: learning rate of the coming update.
        scores: (dataset, metric) -> mean over the images.
    """

    losses: dict[str, Course] = field(default_factory=dict)
    lr: Course = field(default_factory=dict)
    scores: dict[tuple[str, str], Course] = field(default_factory=dict)


def read_log(file: Path) -> TrainingLog:
    """Read the progress and score lines of a log; a run that went back to an earlier step replaces what it repeats.

    A file that does not exist has none.
    """
    log = TrainingLog()
    if not file.is_file():
        return log
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := _PROGRESS.search(line):
            step = int(found[1])
            pairs = re.findall(rf"(\S+) ({_NUMBER})(?:  |$)", found[2])
            for name, value in pairs:
                _put(log.losses.setdefault(name, {}), step, value)
            _put(log.lr, step, found[3])
        elif found := _SCORES.search(line):
            for pair in found[3].split("  "):
                metric, value = pair.split(" ")
                _put(log.scores.setdefault((found[2], metric), {}), int(found[1]), value)
    return log


def _put(course: Course, step: int, text: str) -> None:
    """Add a value, and remove those of later steps, which belong to an abandoned part of the run."""
    try:
        value = float(text)
    except ValueError:
        return  # another line that looks alike
    for later in [known for known in course if known >= step]:
        del course[later]
    if math.isfinite(value):
        course[step] = value
