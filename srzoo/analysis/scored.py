"""Scores of networks: image by image on each dataset, once or with several seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from srzoo.analysis.seeds import SeedMean, mean_over_seeds


@dataclass(frozen=True, eq=False)
class SetScores:
    """Scores of a network on each image of a dataset, with everything that decides them beside the network.

    Args:
        keys: names of the images.
        values: metric -> (n,) float64 in the order of `keys`; the PSNR of equal images is infinite.
        protocols: metric -> its protocol in full, with crops of images.
        inference: how the network was applied: tiles, self-ensemble, precision.
        data_sha256: checksum over names and contents of the images' files; None: the dataset has no files.
        scale: magnification.
        data: options of the dataset, such as the reduction that makes LQ; empty: unknown.
        step: updates that the network had seen, for scores of a training's validation.
        machine: device and codecs, which may change the last digits.
    """

    keys: tuple[str, ...]
    values: Mapping[str, np.ndarray]
    protocols: Mapping[str, Mapping[str, object]]
    inference: Mapping[str, object]
    data_sha256: str | None
    scale: int
    data: Mapping[str, object]
    step: int | None = None
    machine: Mapping[str, object] = field(default_factory=dict)

    def higher_is_better(self, metric: str) -> bool:
        """Return the direction of a metric."""
        return self.protocols.get(metric, {}).get("higher_is_better") is not False


@dataclass(frozen=True, eq=False)
class Method:
    """Scores of a network, trained once or with several seeds.

    Args:
        name: in tables.
        seeds: label of the run -> dataset -> scores; one run for each seed.
    """

    name: str
    seeds: Mapping[str, Mapping[str, SetScores]]

    @property
    def datasets(self) -> list[str]:
        """Datasets that every seed was scored on."""
        first, *others = self.seeds.values()
        return [dataset for dataset in first if all(dataset in sets for sets in others)]

    def metrics(self, dataset: str) -> list[str]:
        """Return the metrics that every seed has on a dataset."""
        first, *others = (sets[dataset].values for sets in self.seeds.values())
        return [metric for metric in first if all(metric in values for values in others)]

    def any_scores(self, dataset: str) -> SetScores:
        """Return the scores of the first seed on a dataset."""
        return next(iter(self.seeds.values()))[dataset]

    def values(self, dataset: str, metric: str, keys: Sequence[str]) -> np.ndarray:
        """Return scores (seeds, n) in the order of `keys`."""
        rows = []
        for sets in self.seeds.values():
            place = {key: index for index, key in enumerate(sets[dataset].keys)}
            rows.append(sets[dataset].values[metric][[place[key] for key in keys]])
        return np.stack(rows)  # (seeds, n)

    def seed_means(self, dataset: str, metric: str) -> np.ndarray:
        """Return the mean over images for each seed, (seeds,)."""
        return self.values(dataset, metric, self.any_scores(dataset).keys).mean(1)

    def over_seeds(self, dataset: str, metric: str) -> SeedMean:
        """Return the mean over seeds of the means over images, with its 95 % interval."""
        return mean_over_seeds(self.seed_means(dataset, metric).tolist())

    def mean(self, dataset: str, metric: str) -> float:
        """Return the mean over images and seeds."""
        return float(self.seed_means(dataset, metric).mean())
