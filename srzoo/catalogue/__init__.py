"""Published datasets and weights. `srzoo data get` fetches them; messages about missing files name it."""

from srzoo.catalogue.datasets import DATASETS, Archive, PublishedDataset
from srzoo.catalogue.hints import hint
from srzoo.catalogue.weights import WEIGHTS, PublishedWeights

__all__ = ["DATASETS", "WEIGHTS", "Archive", "PublishedDataset", "PublishedWeights", "hint", "names"]


def names() -> list[str]:
    """Return the names that `srzoo data get` knows: datasets, then weights."""
    return [*DATASETS, *WEIGHTS]
