"""Files of a run that are kept: the newest, some along the way, and the best weights so far."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from srzoo.engine.evaluate import Results
from srzoo.engine.log import logger
from srzoo.tensor_files import CheckpointError, read_tensor_file

# (network to publish, file, where its weights come from) -> None
WriteWeights = Callable[[nn.Module, Path, Mapping[str, str]], None]


@dataclass(frozen=True)
class Keep:
    """Steps whose files are kept.

    Args:
        last: number of newest steps; None: all.
        every: steps divisible by this are kept too [updates].
    """

    last: int | None
    every: int | None = None

    def superfluous(self, steps: Sequence[int]) -> list[int]:
        """Return the steps, in ascending order, whose files are not kept."""
        older = [] if self.last is None else steps[: -self.last]
        return [step for step in older if self.every is None or step % self.every]


class Best:
    """The weights with the best score so far, in a file that carries the score.

    A file of the run's earlier part counts, unless it is of another score or of an update that is still to come.

    Args:
        file: of the weights.
        metric: name of the metric.
        dataset: name of the validation set.
        higher_is_better: of the metric.
        write_weights: writes a network.
        start: step that the run continues from.
    """

    def __init__(
        self, file: Path, metric: str, dataset: str, *, higher_is_better: bool, write_weights: WriteWeights, start: int
    ) -> None:
        self.file, self.metric, self.dataset = file, metric, dataset
        self.higher_is_better, self.write_weights = higher_is_better, write_weights
        self._best = self._known(start)

    def compare(self, results: Results, step: int) -> tuple[bool, str]:
        """Compare the scores after `step` updates with the best ones.

        Returns:
            (True if they are better, text for the line of these scores; empty for other datasets).
        """
        if results.dataset != self.dataset:
            return False, ""
        score = results.mean()[self.metric]
        if self._best is None or ((score > self._best[0]) == self.higher_is_better and score != self._best[0]):
            self._best = score, step
            return True, f"  (best {self.metric} so far)"
        return False, f"  (best {self.metric} {self._best[0]:.4f} after {self._best[1]})"

    def write(self, net: nn.Module) -> None:
        """Write the network that has just been found better."""
        assert self._best is not None
        score, step = self._best
        best = {"step": str(step), "score": repr(score), "score_of": f"{self.metric}/{self.dataset}"}
        self.write_weights(net, self.file, best)

    def _known(self, start: int) -> tuple[float, int] | None:
        if not self.file.is_file():
            return None
        try:
            _, metadata = read_tensor_file(self.file)  # verified, unlike the metadata alone
            score, step = float(metadata["score"]), int(metadata["step"])
        except (CheckpointError, KeyError, ValueError) as error:
            logger.warning(f"{self.file} says no score ({error}): the best weights are found anew")
            return None
        if metadata.get("score_of") != f"{self.metric}/{self.dataset}" or step > start:
            return None
        return score, step


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Refuse to begin a save that does not fit on the disk.

    Args:
        folder: of the run.
        needed: size of the files to write [bytes].

    Raises:
        OSError: there is less free space.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"a save in {folder} needs {gigabytes(needed)} and {gigabytes(free)} are free: make room, then --resume "
            "auto; earlier files are intact"
        )


def warn_of_full_disk(folder: Path, needed: int) -> None:
    """Warn if there is no room for one more save of `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        logger.warning(
            f"only {gigabytes(free)} are free for {folder}, and the next save needs {gigabytes(needed)}: make room"
        )


def gigabytes(size: int) -> str:
    """Write a size for people, in the largest unit that leaves a digit before the point."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size / 1000:.1f} kB"
