"""Work between updates: progress lines, checkpoints, validation."""

import functools
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from srzoo import ranks
from srzoo.batch import StateDict
from srzoo.engine.evaluate import InterruptedEvaluationError
from srzoo.engine.keep import Best, Keep, gigabytes, refuse_full_disk, warn_of_full_disk
from srzoo.engine.log import logger, progress_line, score_line
from srzoo.engine.loop import Model, Progress
from srzoo.engine.run_folder import RunFolder
from srzoo.engine.scorer import Scorer
from srzoo.engine.tensorboard import Board, side_by_side
from srzoo.engine.watch import EXIT_STOPPED, Watch
from srzoo.state import TrainingState, num_bytes, save_state


class Print:
    """Losses, learning rate, speed and remaining time, every `freq` updates and at the end.

    They go to the console, the log file and TensorBoard. The learning rate is that of the generator's coming update.

    Args:
        model: the training recipe.
        board: TensorBoard.
        freq: interval [updates].
        total: the last step.
        device: where the model is.
    """

    def __init__(self, model: Model, board: Board, *, freq: int, total: int, device: torch.device) -> None:
        self.model, self.board = model, board
        self.freq, self.total, self.device = freq, total, device

    def __call__(self, step: int, progress: Progress) -> None:
        if step % self.freq and step != self.total:
            return
        self.model.g.verify()
        terms, speed, waiting = progress.take(self.device)
        lr = self.model.g.lr
        logger.info(progress_line(step, self.total, terms, lr, speed, waiting))
        passes = self.model.g.take_passes()
        if passes.again:
            logger.info(
                f"{passes.again} of {passes.number} forward passes overflowed in fp16 and were computed again with the "
                "range of float32"
            )
        self.board.scalars({f"loss/{name}": value for name, value in terms.items()}, step)
        self.board.scalars({"lr": lr, "speed/steps_per_s": speed, "speed/data_share": waiting}, step)


class Save:
    """Weights to publish and the state to resume from, after numbers of updates, minutes, and at the end.

    Superfluous files are removed, once the newer ones are written.

    Args:
        model: the training recipe.
        folder: of the run.
        gather_weights: called on all ranks; returns (step) -> None, which writes the weights files of that step.
        options_text: the resolved options, kept in the state so that a resumed run can name differences.
        freq: interval [updates].
        total: the last step.
        keep: for states and for weights, the steps to keep.
        data_state: returns the state of the data; called on all ranks.
        inputs: files that decide the training, kept in the state too.
        watch: says when it is time to save in between.
    """

    def __init__(
        self,
        model: Model,
        folder: RunFolder,
        gather_weights: Callable[[], Callable[[int], None]],
        options_text: str,
        *,
        freq: int,
        total: int,
        keep: tuple[Keep, Keep],
        data_state: Callable[[], StateDict],
        inputs: Mapping[str, str],
        watch: Watch,
    ) -> None:
        self.model, self.folder, self.watch, self.last = model, folder, watch, model.g.iteration.number
        self.gather_weights, self.options_text = gather_weights, options_text
        self.freq, self.total, self.keep, self.data_state = freq, total, keep, data_state
        self.inputs = inputs
        # Weights of steps without a state, which were to be kept when they were written, stay.
        self._steps = folder.saved_steps()

    def __call__(self, step: int, progress: Progress) -> None:
        if step % self.freq == 0 or step == self.total or self.watch.save_now:
            self.save(step, progress)

    def save(self, step: int, progress: Progress) -> None:
        """Save now, unless this step has been saved."""
        if step == self.last:
            return
        self.model.g.verify()
        with progress.pause():
            started = time.perf_counter()
            # On all ranks: a pool of pairs and sharded networks are gathered.
            data, model, write_weights = self.data_state(), self.model.state_dict(), self.gather_weights()
            ranks.on_main(lambda: self._write(step, model, data, write_weights, started))
        self.last = step
        self.watch.saved()

    def _write(
        self, step: int, model: StateDict, data: StateDict, write_weights: Callable[[int], None], started: float
    ) -> None:
        state: TrainingState = {
            "model": model,
            "data": data,
            "step": step,
            "options": self.options_text,
            "inputs": dict(self.inputs),
            "accumulate": self.model.g.stepper.accumulate,
        }
        size = num_bytes(state)
        # Weights files hold a network each, averaged or not.
        needed = size + sum(num_bytes(model.get(name)) for name in ("net_g", "net_d"))
        refuse_full_disk(self.folder.path, needed)
        # Weights first: a state without its weights would look like a finished step.
        write_weights(step)
        save_state(self.folder.state_of(step), state)
        self._remove_superfluous(step)
        logger.info(f"saved {self.folder.state_of(step)} ({gigabytes(size)}) in {time.perf_counter() - started:.1f} s")
        warn_of_full_disk(self.folder.path, needed)

    def _remove_superfluous(self, step: int) -> None:
        self._steps = sorted({*self._steps, step})
        states, weights = (keep.superfluous(self._steps) for keep in self.keep)
        for old in states:
            self.folder.state_of(old).unlink(missing_ok=True)
        for old in weights:
            self.folder.weights_of(old).unlink(missing_ok=True)
            self.folder.discriminator_of(old).unlink(missing_ok=True)


class Validate:
    """Scores of the inference network on all validation sets, every `freq` updates and at the end.

    Args:
        model: the training recipe.
        scorer: validation sets and metrics.
        board: gets scores and the first images.
        freq: interval; None: only at the end [updates].
        total: the last step.
        num_tb_img: images per dataset for TensorBoard.
        watch: may interrupt a validation, which a resumed run repeats.
        best: the best weights so far, if a score decides them.
    """

    def __init__(
        self,
        model: Model,
        scorer: Scorer,
        board: Board,
        *,
        freq: int | None,
        total: int,
        num_tb_img: int,
        watch: Watch,
        best: Best | None,
    ) -> None:
        self.model, self.scorer, self.board, self.watch, self.best = model, scorer, board, watch, best
        self.freq, self.total, self.num_tb_img = freq, total, num_tb_img

    def due(self, step: int) -> bool:
        """Return True if the network is scored after update number `step`."""
        return step == self.total or (self.freq is not None and step % self.freq == 0)

    def catch_up(self, step: int) -> None:
        """Score a resumed run now if it was stopped between saving step `step` and scoring it."""
        if self.due(step) and ranks.on_main(lambda: self._is_unscored(step)):
            self(step, Progress())

    def _is_unscored(self, step: int) -> bool:
        files = [self.scorer.folder.results_of(name) for name in self.scorer.datasets]
        return any(_scored_step(file) != step for file in files)

    def __call__(self, step: int, progress: Progress) -> None:
        if not self.due(step) or self.watch.stop:
            return
        self.model.g.verify()
        with progress.pause():
            try:
                self._score(step)
            except InterruptedEvaluationError as interruption:
                self.watch.stop = interruption.reason

    def _score(self, step: int) -> None:
        """Score the inference network on every validation set."""
        net = self.model.g.inference_net
        ranks.broadcast_buffers(net)
        file = self.scorer.folder.weights_of(step)
        # Steps that are scored need not be saved.
        weights = file if ranks.on_main(file.is_file) else None

        def show(dataset: str, index: int, sr: Tensor) -> None:
            if index < self.num_tb_img and self.board.is_on:
                sample = self.scorer.datasets[dataset][index]
                self.board.image(f"{dataset}/{index}", side_by_side(sample["lq"], sr[0], sample.get("gt")), step)

        for results in self.scorer.score(net, weights, step=step, show=show, interrupted=self.watch.requested):
            mean = results.mean()
            is_best, text = self.best.compare(results, step) if self.best is not None else (False, "")
            if is_best and self.best is not None:
                ranks.on_main(functools.partial(self.best.write, net))
            logger.info(score_line(step, results.dataset, mean) + text)
            self.board.scalars({f"val/{results.dataset}/{metric}": value for metric, value in mean.items()}, step)


def _scored_step(file: Path) -> object:
    """Return the step of a results file; None if there is no such file, or an empty or broken one."""
    try:
        results = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return results.get("step") if isinstance(results, dict) else None


class Stop:
    """Ends the process with everything saved, if the watch asks for it; the last of the hooks.

    Args:
        watch: for reasons to stop.
        save: saves the step if no other hook has.
    """

    def __init__(self, watch: Watch, save: Save) -> None:
        self.watch, self.save = watch, save

    def __call__(self, step: int, progress: Progress) -> None:
        if not self.watch.stop:
            return
        self.save.save(step, progress)
        total, state = self.save.total, self.save.folder.state_of(step)
        logger.info(
            f"{self.watch.reason}: stopped after {step} of {total} updates; {state} has "
            "everything, and --resume auto continues from it"
        )
        raise SystemExit(EXIT_STOPPED)
