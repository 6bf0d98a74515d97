"""Made-up scores of networks, for tests of comparisons."""

import dataclasses
from typing import Any

import numpy as np

from srzoo.analysis.scored import Method, SetScores

PROTOCOL = {"name": "basicsr-y", "crop_border": 4, "modcrop": 4, "lq_multiple": 1, "metric": "PSNR"}
INFERENCE = {"tile_rule": "exact", "tile": None, "tile_overlap": None, "ensemble": "none", "precision": "float32"}


def set_scores(values: dict[str, Any], *, protocol: Any = None, inference: Any = None, **fields: Any) -> SetScores:
    """Return scores by metric; `protocol` and `inference` replace some of their entries, `fields` whole fields."""
    n = len(next(iter(values.values())))
    scores = SetScores(
        keys=tuple(f"img_{number:03}" for number in range(n)),
        values={metric: np.asarray(each, float) for metric, each in values.items()},
        protocols=dict.fromkeys(values, PROTOCOL | (protocol or {})),
        inference=INFERENCE | (inference or {}),
        data_sha256="1234",
        scale=4,
        data={},
    )
    return dataclasses.replace(scores, **fields)


def network(name: str, *seeds: Any, dataset: str = "Set14", **facts: Any) -> Method:
    """Return a network with PSNR on one dataset, once or with several seeds."""
    runs = {f"{name}_s{number}": {dataset: set_scores({"psnr": seed}, **facts)} for number, seed in enumerate(seeds)}
    return Method(name, runs)
