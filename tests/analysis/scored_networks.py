"""Made-up scores of networks, for tests of comparisons."""

from collections.abc import Mapping, Sequence

import numpy as np

from srzoo.analysis.scored import Method, SetScores

PROTOCOL = {"name": "basicsr-y", "crop_border": 4, "modcrop": 4, "lq_multiple": 1, "metric": "PSNR"}
INFERENCE = {"tile_rule": "exact", "tile": None, "tile_overlap": None, "ensemble": "none", "precision": "float32"}


def set_scores(values: Mapping[str, Sequence[float] | np.ndarray], **facts: object) -> SetScores:
    """Return scores by metric; `facts` replaces any field, and `protocol` and `inference` some entries."""
    n = len(next(iter(values.values())))
    protocol = PROTOCOL | dict(facts.pop("protocol", {}))
    fields = {
        "keys": tuple(f"img_{number:03}" for number in range(n)),
        "protocols": dict.fromkeys(values, protocol),
        "data_sha256": "1234",
        "scale": 4,
        "data": {},
    }
    return SetScores(
        values={metric: np.asarray(scores, float) for metric, scores in values.items()},
        inference=INFERENCE | dict(facts.pop("inference", {})),
        **(fields | facts),
    )


def network(name: str, *seeds: Sequence[float] | np.ndarray, dataset: str = "Set14", **facts: object) -> Method:
    """Return a network with PSNR on one dataset, once or with several seeds."""
    runs = {f"{name}_s{number}": {dataset: set_scores({"psnr": seed}, **facts)} for number, seed in enumerate(seeds)}
    return Method(name, runs)
