"""Deep degradation representations: scikit-learn's values, principal components, every network."""

import numpy as np
import pytest
import torch

from srzoo.analysis.degradation import calinski_harabasz, layer_vectors, principal_components
from srzoo.analysis.layers import feature_layers
from srzoo.registry import ARCHS
from srzoo.weights import load_weights
from tests.analysis.test_lam import case
from tests.archs.test_all import build
from tests.support import needs_shared, reference_case, synthetic_weights


@needs_shared
def test_the_index_is_that_of_scikit_learn():
    facts, arrays = case("ddr_array_4x30")
    features, labels = arrays["X"], arrays["labels"]
    assert calinski_harabasz(features, labels) == pytest.approx(facts["chi"]["raw"], rel=1e-6)
    for count in (2, 10, 50):
        scores, shares = principal_components(features, count)
        assert calinski_harabasz(scores, labels) == pytest.approx(facts["chi"][f"pca{count}"], rel=1e-6)
    np.testing.assert_allclose(shares, arrays["explained_variance_ratio"], rtol=1e-6)
    np.testing.assert_allclose(np.abs(scores[:, :2]), arrays["pca2_abs"], atol=1e-4)


@needs_shared
@pytest.mark.parametrize(
    ("layer", "reduction"),
    [
        ("body.3", "flattened"),
        pytest.param("body.3", "spatial_mean", marks=pytest.mark.slow),
        pytest.param("body.15", "flattened", marks=pytest.mark.slow),
        pytest.param("body.15", "spatial_mean", marks=pytest.mark.slow),
    ],
)
def test_features_of_a_network_have_the_separation_of_scikit_learn(layer, reduction):
    facts, arrays = case("ddr_msrresnet_x4")
    net = ARCHS.build("SRResNet", {}, scale=4).eval()
    load_weights(net, synthetic_weights(reference_case("msrresnet_x4")[0]["keys"]))
    images = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2) / 255  # (N, 3, 24, 24)
    vectors = layer_vectors(net, images, layer, reduction=reduction)
    chi = facts["chi"][layer][reduction]
    assert calinski_harabasz(vectors, arrays["labels"]) == pytest.approx(chi["raw"], rel=1e-4)
    reduced, _ = principal_components(vectors, 2)
    assert calinski_harabasz(reduced, arrays["labels"]) == pytest.approx(chi["pca2"], rel=1e-4)
    if reduction == "spatial_mean":
        np.testing.assert_allclose(vectors, arrays[f"mean_{layer.replace('.', '_')}"], atol=1e-5)


def test_the_index_follows_its_formula_and_all_components_leave_it():
    rng = np.random.default_rng(3)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])
    features = rng.standard_normal((9, 40_000)) + labels[:, None]  # more columns than are converted at once
    mean = features.mean(0)
    groups = [features[labels == group] for group in range(3)]
    between = sum(len(group) * np.square(group.mean(0) - mean).sum() for group in groups)
    within = sum(np.square(group - group.mean(0)).sum() for group in groups)
    assert calinski_harabasz(features, labels) == pytest.approx((between / 2) / (within / 6), rel=1e-12)
    scores, shares = principal_components(features, 8)
    assert calinski_harabasz(scores, labels) == pytest.approx(calinski_harabasz(features, labels), rel=1e-9)
    assert shares.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("count", "labels", "message"),
    [(4, [0, 0, 0, 0], "at least 2 groups"), (3, [0, 1, 2], "more vectors than groups"), (4, [0, 1], "n labels")],
)
def test_groups_that_have_no_index_are_refused(count, labels, message):
    with pytest.raises(ValueError, match=message):
        calinski_harabasz(np.ones((count, 2)), labels)


def test_groups_without_spread_are_infinitely_apart():
    assert calinski_harabasz(np.array([[0.0], [0.0], [1.0], [1.0]]), [0, 0, 1, 1]) == float("inf")


@pytest.mark.parametrize("name", [name for name in ARCHS if name != "Bicubic"])
def test_every_network_has_vectors(name):
    net, images = build(name), torch.rand(3, 3, 16, 16)
    layer = feature_layers(net)[-2]
    flat = layer_vectors(net, images, layer, reduction="flattened")
    mean = layer_vectors(net, images, layer, reduction="spatial_mean")
    assert flat.shape[0] == mean.shape[0] == 3
    assert flat.shape[1] > mean.shape[1] > 0


def test_images_of_different_sizes_are_refused_unless_averaged():
    net, images = build("IMDN_RTC"), [torch.rand(3, 8, 8), torch.rand(3, 8, 9)]
    assert layer_vectors(net, images, "model.0", reduction="spatial_mean").shape == (2, 12)
    with pytest.raises(ValueError, match="images of one size"):
        layer_vectors(net, images, "model.0", reduction="flattened")
