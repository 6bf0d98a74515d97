"""What happens between updates: progress lines, checkpoints, validation."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from srzoo import ranks
from srzoo.engine.evaluate import Metric, Results, evaluate
from srzoo.engine.loop import Model, Progress
from srzoo.engine.report import Board, logger, progress_line
from srzoo.engine.run_folder import RunFolder
from srzoo.state import save_state


class Print:
    """Every `freq` updates and at the end: losses, learning rate, speed, remaining time; console, log, TensorBoard."""

    def __init__(self, model: Model, board: Board, *, freq: int, total: int, device: torch.device) -> None:
        self.model, self.board = model, board
        self.freq, self.total, self.device = freq, total, device

    def __call__(self, step: int, progress: Progress) -> None:
        if step % self.freq and step != self.total:
            return
        terms, speed, waiting = progress.take(self.device)
        logger.info(progress_line(step, self.total, terms, self.model.lr, speed, waiting))
        self.board.scalars({f"loss/{name}": value for name, value in terms.items()}, step)
        self.board.scalars({"lr": self.model.lr, "speed/steps_per_s": speed, "speed/data_share": waiting}, step)


class Save:
    """Every `freq` updates and at the end: weights to publish and the state to resume from; old states are removed.

    Args:
        model: what to save.
        folder: of the run.
        write_weights: (step) -> None, writes the weights file of that step.
        options_text: the resolved options, kept in the state to tell a resumed run what changed.
        freq: interval [updates].
        total: the last step.
        keep: number of states to keep; None: all.
        data_state: what the data remember, asked on all processes.
    """

    def __init__(
        self,
        model: Model,
        folder: RunFolder,
        write_weights: Callable[[int], None],
        options_text: str,
        *,
        freq: int,
        total: int,
        keep: int | None,
        data_state: Callable[[], dict[str, Any]],
    ) -> None:
        self.model, self.folder = model, folder
        self.write_weights, self.options_text = write_weights, options_text
        self.freq, self.total, self.keep, self.data_state = freq, total, keep, data_state

    def __call__(self, step: int, progress: Progress) -> None:
        if step % self.freq and step != self.total:
            return
        with progress.pause():
            data = self.data_state()
            ranks.on_main(lambda: self._write(step, data))

    def _write(self, step: int, data: dict[str, Any]) -> None:
        self.write_weights(step)
        state = {"model": self.model.state_dict(), "data": data, "step": step, "options": self.options_text}
        save_state(self.folder.state_of(step), state)
        if self.keep is not None:
            for old in self.folder.saved_steps()[: -self.keep]:
                self.folder.state_of(old).unlink()


class Validate:
    """Every `freq` updates and at the end: score the inference network on all validation sets.

    Args:
        model: whose network to score.
        datasets: name -> data set.
        metrics: name -> metric.
        board: gets scores and the first images.
        write_results: (results) -> None, writes results/<dataset>.json.
        folder: of the run, for output images.
        freq: interval; None: only at the end [updates].
        total: the last step.
        device: where the network is.
        save_img: write output images to visualization/<dataset>/<step>/.
        num_tb_img: images per data set for TensorBoard.
        form: what is scored of the network: itself, merged, in tiles.
    """

    def __init__(
        self,
        model: Model,
        datasets: Mapping[str, Dataset[dict[str, Any]]],
        metrics: Mapping[str, Metric],
        board: Board,
        write_results: Callable[[Results], None],
        folder: RunFolder,
        *,
        freq: int | None,
        total: int,
        device: torch.device,
        save_img: bool,
        num_tb_img: int,
        form: Callable[[nn.Module], nn.Module],
    ) -> None:
        self.model, self.datasets, self.metrics = model, datasets, metrics
        self.board, self.write_results, self.folder = board, write_results, folder
        self.freq, self.total, self.device = freq, total, device
        self.save_img, self.num_tb_img, self.form = save_img, num_tb_img, form

    def due(self, step: int) -> bool:
        """Whether the network is scored after update number `step`."""
        return step == self.total or (self.freq is not None and step % self.freq == 0)

    def catch_up(self, step: int) -> None:
        """Score a resumed run now if it was stopped between saving step `step` and scoring it."""
        if self.due(step) and ranks.on_main(lambda: self._unscored(step)):
            self(step, Progress())

    def _unscored(self, step: int) -> bool:
        files = [self.folder.results / f"{name}.json" for name in self.datasets]
        return any(not file.is_file() or json.loads(file.read_text()).get("step") != step for file in files)

    def __call__(self, step: int, progress: Progress) -> None:
        if not self.due(step):
            return
        with progress.pause():
            net = self.model.inference_net
            ranks.broadcast_buffers(net)
            net = self.form(net)
            for name, dataset in self.datasets.items():
                results = self._score(net, name, dataset, step)
                mean = results.mean()
                logger.info(f"[{step}] {name}: " + "  ".join(f"{metric} {value:.4f}" for metric, value in mean.items()))
                self.board.scalars({f"val/{name}/{metric}": value for metric, value in mean.items()}, step)
                ranks.on_main(lambda results=results: self.write_results(results))

    def _score(self, net: nn.Module, name: str, dataset: Dataset[dict[str, Any]], step: int) -> Results:
        def show(index: int, sr: Tensor) -> None:
            if index < self.num_tb_img:
                self.board.image(f"{name}/{index}", sr[0], step)

        save_to = self.folder.visualization / name / str(step) if self.save_img else None
        return evaluate(
            net,
            dataset,
            self.metrics,
            name=name,
            device=self.device,
            save_to=save_to,
            show=show,
            step=step,
        )
