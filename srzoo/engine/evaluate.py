"""Scores of a network on one dataset: the same code validates during training and benchmarks afterwards."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from srzoo import ranks
from srzoo.atomic import write_text
from srzoo.batch import Sample
from srzoo.data.loading import start_worker
from srzoo.images import to_uint8, write_image
from srzoo.keys import file_of
from srzoo.metrics.protocol import shared_preparation
from srzoo.progress import shown

Metric = Callable[[Tensor, Tensor], Tensor]


class InterruptedEvaluationError(Exception):
    """An evaluation that was asked to end before its last image; `reason` is that of ``Watch.stop``."""

    def __init__(self, reason: int) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Results:
    """Scores of every image of a dataset, in the dataset's order.

    Args:
        dataset: name of the dataset.
        images: {"key": name of the image, metric: score, ...} per image.
        step: updates that the network had seen, if it was in training.
    """

    dataset: str
    images: list[dict[str, str | float]]
    step: int | None = None

    def mean(self) -> dict[str, float]:
        """Return the mean over images of each metric."""
        names = [name for name in self.images[0] if name != "key"]
        return {name: math.fsum(float(image[name]) for image in self.images) / len(self.images) for name in names}

    def write(
        self,
        path: Path,
        network: Mapping[str, object],
        weights: Mapping[str, str] | None,
        protocols: Mapping[str, object],
        conditions: Mapping[str, object],
    ) -> None:
        """Write a JSON file of everything that decides the scores, mean scores, and the scores of every image.

        Args:
            path: file to write.
            network: type, scale and options.
            weights: file and checksum; None: the network has none.
            protocols: metric -> its protocol in full.
            conditions: of :meth:`Scorer.conditions`.
        """
        content = {
            "dataset": self.dataset,
            "step": self.step,
            "network": network,
            "weights": weights,
            "protocols": protocols,
            **conditions,
            "mean": self.mean(),
            "images": self.images,
        }
        write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def _finite(value: object) -> object:
    """Replace infinity, the PSNR of equal images, with the text "inf": JSON has no number for it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    dataset: Dataset[Sample],
    metrics: Mapping[str, Metric],
    *,
    name: str,
    device: torch.device,
    save_to: Path | None = None,
    progress: bool = True,
    show: Callable[[int, Tensor], None] | None = None,
    step: int | None = None,
    interrupted: Callable[[], int] | None = None,
) -> Results:
    """Run `net` over every image, each exactly once over all ranks, and score its output.

    Args:
        net: the network; in evaluation mode meanwhile. It gets whole images, one at a time.
        dataset: items {"lq": (C, h, w), "gt": (C, H, W), "key": str}, float in [0, 1]; an item without "gt" gets no
            scores. Its method ``write_output(index, sr, path)``, if it has one, writes output images.
        metrics: name -> metric over (1, C, H, W) images.
        name: of the dataset, for the progress bar and the results.
        device: where `net` is.
        save_to: folder for the output images, written as PNG; None: do not write them.
        progress: show on rank 0 how many images are done.
        show: called on rank 0 with (index, output (1, C, H, W)).
        step: updates that the network has seen, for the results.
        interrupted: asked before every image for a reason to end the evaluation; 0: go on.

    Raises:
        InterruptedEvaluationError: on every rank, if there was such a reason on one.
        ValueError: the network's output is not finite or not of the size of the ground truth, or a metric cannot take
            an image; on every rank, naming the image.
    """
    was_training = net.training
    net.eval()
    total = len(dataset)  # pyright: ignore[reportArgumentType]  # map-style datasets have a length
    mine = list(range(ranks.rank(), total, ranks.world_size()))
    write_output = getattr(dataset, "write_output", _write_8_bits)
    workers = 2 if device.type == "cuda" else 0
    loader = DataLoader(
        Subset(dataset, mine), num_workers=workers, generator=torch.Generator(), worker_init_fn=start_worker
    )
    batches = shown(loader, name) if progress and ranks.rank() == 0 else loader
    scored: list[tuple[int, dict[str, str | float]]] = []
    error: Exception | None = None
    try:
        for index, item in zip(mine, batches, strict=True):
            if interrupted is not None and (reason := interrupted()):
                raise InterruptedEvaluationError(reason)
            sr, key, gt = net(item["lq"].to(device)), item["key"][0], item.get("gt")
            if not sr.isfinite().all():
                raise ValueError(f"{name}: {key}: the network's output has values that are not finite")
            scores = {} if gt is None else _scores(name, key, sr, gt.to(device), metrics)
            scored.append((index, {"key": key, **scores}))
            if save_to is not None:
                write_output(index, sr[0], file_of(save_to, key, ".png"))
            if show is not None and ranks.rank() == 0:
                show(index, sr)
    except Exception as caught:
        error = caught  # raised below: the other ranks wait in `gather` and must learn of it
    net.train(was_training)
    everyone = ranks.gather((scored, error))
    for _, failure in everyone:
        if failure is not None:
            raise failure
    pairs = sorted((pair for part, _ in everyone for pair in part), key=lambda pair: pair[0])
    return Results(name, [scores for _, scores in pairs], step)


def _write_8_bits(index: int, sr: Tensor, path: Path) -> None:
    del index
    write_image(path, to_uint8(sr))


def _scores(dataset: str, key: str, sr: Tensor, gt: Tensor, metrics: Mapping[str, Metric]) -> dict[str, float]:
    if sr.shape != gt.shape:
        raise ValueError(
            f"{dataset}: {key}: the network's output is {tuple(sr.shape)} but the ground truth {tuple(gt.shape)}; does "
            "`scale` fit the network and the data?"
        )
    scores: dict[str, float] = {}
    with shared_preparation():
        for name, metric in metrics.items():
            try:
                scores[name] = float(metric(sr, gt))
            except ValueError as error:
                raise ValueError(f"{dataset}: {key}: {name}: {error}") from error
            if math.isnan(scores[name]):  # infinity is the PSNR of equal images
                raise ValueError(f"{dataset}: {key}: {name} is not a number")
    return scores
