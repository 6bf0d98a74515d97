"""Score a network on a data set: the same code validates during training and benchmarks afterwards."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from srzoo import ranks
from srzoo.atomic import write_text
from srzoo.images import to_uint8, write_image

Metric = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Results:
    """Scores of every image of a data set, in the data set's order."""

    dataset: str
    images: list[dict[str, Any]]

    def mean(self) -> dict[str, float]:
        """The mean over images of each metric."""
        names = [name for name in self.images[0] if name != "key"]
        return {name: math.fsum(image[name] for image in self.images) / len(self.images) for name in names}

    def write(self, path: Path, network: Mapping[str, Any], weights: Mapping[str, Any] | None, protocols: Any) -> None:
        """Write results/<dataset>.json: network, weights, protocols in full, mean and every image."""
        content = {
            "dataset": self.dataset,
            "network": network,
            "weights": weights,
            "protocols": protocols,
            "mean": self.mean(),
            "images": self.images,
        }
        write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON knows no infinity, which is the PSNR of equal images: it is written as the text "inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    dataset: Dataset[dict[str, Any]],
    metrics: Mapping[str, Metric],
    *,
    name: str,
    device: torch.device,
    save_to: Path | None = None,
    progress: bool = True,
    show: Callable[[int, Tensor], None] | None = None,
) -> Results:
    """Run `net` over every image, each exactly once across all processes, and score it.

    Args:
        net: the network; put into evaluation mode for the time being. Its images come whole, one at a time.
        dataset: items {"lq": (3, h, w), "gt": (3, H, W), "key": str}, float in [0, 1].
        metrics: name -> metric over (1, 3, H, W) images.
        name: of the data set, for the bar and the results.
        device: where `net` is.
        save_to: folder to write the output images to as PNG; None: do not.
        progress: show a bar on the first process.
        show: called on the first process with (index, output (1, 3, H, W)).

    Raises:
        ValueError: the network's output has not the size of the ground truth.
    """
    was_training = net.training
    net.eval()
    total = len(dataset)  # pyright: ignore[reportArgumentType]  # map-style datasets have a length
    mine = list(range(ranks.rank(), total, ranks.world_size()))
    workers = 2 if device.type == "cuda" else 0
    loader = DataLoader(Subset(dataset, mine), num_workers=workers, generator=torch.Generator())
    scored: list[tuple[int, dict[str, Any]]] = []
    hidden = True if not progress or ranks.rank() != 0 else None  # None: on a terminal only
    for index, item in zip(mine, tqdm(loader, name, disable=hidden, leave=False, unit="img"), strict=True):
        gt, key = item["gt"].to(device), item["key"][0]
        sr = net(item["lq"].to(device))
        if sr.shape != gt.shape:
            raise ValueError(
                f"{name}: {key}: the network's output is {tuple(sr.shape)} but the ground truth {tuple(gt.shape)}; "
                "does `scale` fit the network and the data?"
            )
        scored.append((index, {"key": key} | {metric: float(score(sr, gt)) for metric, score in metrics.items()}))
        if save_to is not None:
            write_image(save_to / f"{key}.png", to_uint8(sr[0]))
        if show is not None and ranks.rank() == 0:
            show(index, sr)
    net.train(was_training)
    everyone = ranks.gather(scored)
    return Results(name, [scores for _, scores in sorted((pair for part in everyone for pair in part), key=_index)])


def _index(pair: tuple[int, Any]) -> int:
    return pair[0]
