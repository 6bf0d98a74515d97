"""Similarity of layers: linear centred kernel alignment (CKA) between features of two networks.

Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations Revisited", ICML 2019, arXiv:1905.00414,
written from the paper. Examples are pixels of all images, at the coarser resolution of two layers: with images as
examples, of which there are fewer than features, all layers would look alike.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.analysis.layers import recorded_layers
from srzoo.analysis.memory import MemoryLimit
from srzoo.analysis.saliency import require_image


def linear_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Return the linear CKA of two sets of features of the same examples: 1 for equal ones, 0 for unrelated ones.

    |Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F) of centred features; unchanged by rotations and by scales of either. NaN if the
    features of one set are all equal.

    Args:
        first: X, (n, p).
        second: Y, (n, q).

    Raises:
        ValueError: the numbers of examples differ.
    """
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second):
        raise ValueError(f"expected features (n, p) and (n, q) of the same examples, got {first.shape}, {second.shape}")
    moments = _Moments()
    moments.add(*(torch.from_numpy(np.asarray(features, dtype=np.float64)) for features in (first, second)))
    return moments.cka()


class _Moments:
    """Sums over examples from which CKA follows, so that the features of one image at a time are enough."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: list[Tensor] = []
        self.products: list[Tensor] = []

    def add(self, first: Tensor, second: Tensor) -> None:
        """Add the features (n, p) and (n, q) of n examples, float64."""
        sums = [first.sum(0), second.sum(0)]
        products = [first.T @ first, second.T @ second, second.T @ first]  # (p, p), (q, q), (q, p)
        # The first call starts the sums.
        self.sums = [own + new for own, new in zip(self.sums or [0, 0], sums, strict=True)]
        self.products = [own + new for own, new in zip(self.products or [0, 0, 0], products, strict=True)]
        self.count += len(first)

    def cka(self) -> float:
        """Return the linear CKA of all examples."""
        x, y = self.sums
        pairs = ((x, x), (y, y), (y, x))
        # Sums of products about the means.
        norms = [
            float((products - torch.outer(left, right) / self.count).norm())
            for products, (left, right) in zip(self.products, pairs, strict=True)
        ]
        scale = norms[0] * norms[1]
        return norms[2] ** 2 / scale if scale > 0 else float("nan")


@torch.no_grad()
def layer_similarity(
    nets: tuple[nn.Module, nn.Module],
    images: Iterable[Tensor],
    layers: tuple[Sequence[str], Sequence[str]],
    *,
    max_memory: int | None = None,
) -> np.ndarray:
    """Return the linear CKA between layers of two networks: (layers of the first, layers of the second).

    Args:
        nets: in evaluation mode.
        images: each (C, h, w) in [0, 1], given to both networks.
        layers: names for each network, see :mod:`srzoo.analysis.layers`.
        max_memory: bound for the tensors alive at any moment, of one image [bytes].

    Raises:
        LookupError: no such layer.
        ValueError: no image, or a layer whose output is no image of features.
        MemoryLimitError: more memory is needed.
    """
    moments = [[_Moments() for _ in layers[1]] for _ in layers[0]]
    count = 0
    for image in images:
        with MemoryLimit(max_memory):
            features = [_features(net, image, names) for net, names in zip(nets, layers, strict=True)]
            for row, first in enumerate(features[0]):
                for column, second in enumerate(features[1]):
                    moments[row][column].add(*_examples(first, second))
        count += 1
    if not count:
        raise ValueError("no images: similarity is measured on images")
    return np.array([[each.cka() for each in row] for row in moments])


def _features(net: nn.Module, image: Tensor, layers: Sequence[str]) -> list[Tensor]:
    with recorded_layers(net, layers) as outputs:
        net(image[None])
    for layer, output in outputs.items():
        require_image(layer, output)
    return [outputs[layer].double() for layer in layers]


def _examples(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Average two images of features to the coarser size of both: (1, C, H, W) -> (pixels, C) each."""
    height, width = (min(first.shape[dim], second.shape[dim]) for dim in (2, 3))
    small = [F.adaptive_avg_pool2d(features, (height, width))[0].flatten(1).T for features in (first, second)]
    return small[0], small[1]
