"""Deep degradation representations: how far the features of a layer tell degradations apart.

Liu et al., "Discovering Distinctive 'Semantics' in Super-Resolution Networks", arXiv:2108.00406; used as a measure of
generalisation (lower is better) by Kong et al., "Reflash Dropout in Image Super-Resolution", CVPR 2022. Written from
the papers; no code was released. An index belongs to its layer, reduction, number of images and of degradations: those
of other settings cannot be compared.
"""

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from srzoo.analysis.layers import recorded_layers
from srzoo.analysis.memory import MemoryLimit

Reduction = Literal["flattened", "spatial_mean"]
# Columns that are converted to float64 at once.
_COLUMNS = 16384


@torch.no_grad()
def layer_vectors(
    net: nn.Module, images: Iterable[Tensor], layer: str, *, reduction: Reduction, max_memory: int | None = None
) -> np.ndarray:
    """Return the features of a layer, one vector per image: (number of images, size of a vector) float32.

    Args:
        net: the network, in evaluation mode.
        images: each (C, h, w) in [0, 1]; of one size if features are flattened.
        layer: name, see :mod:`srzoo.analysis.layers`.
        reduction: flattened: all values; spatial_mean: the mean over pixels of each channel.
        max_memory: bound for the tensors alive at any moment, the vectors included [bytes].

    Raises:
        LookupError: no such layer.
        ValueError: no image, or vectors of different sizes.
        MemoryLimitError: more memory is needed.
    """
    vectors: list[Tensor] = []
    with MemoryLimit(max_memory):
        for image in images:
            with recorded_layers(net, [layer]) as outputs:
                net(image[None])
            features = outputs[layer][0].float()
            if reduction == "spatial_mean":
                # (C, H, W) -> (C,); rows of features (N, C) of transformers -> (C,)
                features = features.mean((1, 2)) if features.ndim == 3 else features.flatten(0, -2).mean(0)
            vectors.append(features.flatten().cpu())
    sizes = sorted({len(vector) for vector in vectors})
    if len(sizes) != 1:
        raise ValueError(
            f"expected images of one size, got vectors of {', '.join(map(str, sizes)) or 'no'} values: crop them, or "
            "take the spatial mean"
        )
    return torch.stack(vectors).numpy()


def calinski_harabasz(features: np.ndarray, labels: Sequence[int] | np.ndarray) -> float:
    """Return the Calinski-Harabasz index: separation of groups between over within, each by its degrees of freedom.

    CHI = (tr B / (K - 1)) / (tr W / (n - K)), tr B = sum_k n_k |m_k - m|^2, tr W = sum_k sum_i |x_i - m_k|^2, for n
    vectors in K groups; infinite if no group has any spread.

    Args:
        features: (n, number of features), any range.
        labels: (n,) group of each vector, such as its degradation.

    Raises:
        ValueError: shapes that do not fit, fewer than two groups, or no group with two vectors.
    """
    groups, members = np.unique(np.asarray(labels), return_inverse=True)
    count, num_groups = len(features), len(groups)
    if features.ndim != 2 or len(members) != count:
        raise ValueError(f"expected features (n, d) and n labels, got {features.shape} and {np.shape(labels)}")
    if not 2 <= num_groups < count:
        raise ValueError(f"expected at least 2 groups and more vectors than groups, got {count} in {num_groups}")
    sizes = np.bincount(members)
    between = within = 0.0
    for part in _columns(features):
        means = np.stack([part[members == group].mean(0) for group in range(num_groups)])  # (K, columns)
        between += float((sizes[:, None] * np.square(means - part.mean(0))).sum())
        within += float(np.square(part - means[members]).sum())
    return float("inf") if within == 0 else between / (num_groups - 1) / (within / (count - num_groups))


def principal_components(features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores on the first principal components and the shares of variance: (n, count), (count,) float64.

    Features are centred, neither scaled nor whitened. Signs are such that the largest score of a component is positive.

    Args:
        features: (n, number of features).
        count: of components, at most n - 1.

    Raises:
        ValueError: that many components do not exist.
    """
    if not 1 <= count < len(features):
        raise ValueError(f"{len(features)} vectors have up to {len(features) - 1} components, asked for {count}")
    # The products of centred vectors, (n, n), have the same components as the covariance of their many features.
    products = sum(
        (centred @ centred.T for part in _columns(features) for centred in [part - part.mean(0)]),
        np.zeros((len(features), len(features))),
    )
    values, vectors = np.linalg.eigh(products)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    scores = vectors[:, :count] * np.sqrt(values[:count])
    scores = scores * np.sign(scores[np.abs(scores).argmax(0), np.arange(count)])
    return scores, values[:count] / (values.sum() or 1.0)


def has_tsne() -> bool:
    """Return True if scikit-learn is installed."""
    return find_spec("sklearn") is not None


def tsne(features: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return t-SNE coordinates of vectors, for a picture only: (n, 2). They differ between versions and machines."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(features) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)


def _columns(features: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the features as float64, some columns at a time: (n, up to _COLUMNS)."""
    for start in range(0, features.shape[1], _COLUMNS):
        yield features[:, start : start + _COLUMNS].astype(np.float64)
