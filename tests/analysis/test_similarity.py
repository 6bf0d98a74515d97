"""Linear CKA: its formula, its invariances, every network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.analysis.layers import feature_layers, recorded_layers
from srzoo.analysis.similarity import layer_similarity, linear_cka
from srzoo.registry import ARCHS
from tests.archs.test_all import build


def closed_form(x, y):
    """Return CKA as <K, L> / (|K| |L|) of centred Gram matrices, K = X X^T and L = Y Y^T."""
    centre = np.eye(len(x)) - 1 / len(x)
    k, m = (centre @ features @ features.T @ centre for features in (x, y))
    return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(3, 12), first=st.integers(1, 6), second=st.integers(1, 6),
    scale=st.floats(0.01, 100), shift=st.floats(-3, 3),
)  # fmt: skip
def test_the_formula_and_invariance_to_rotation_scale_and_shift(seed, count, first, second, scale, shift):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((count, first)), rng.standard_normal((count, second))
    found = linear_cka(x, y)
    assert found == pytest.approx(closed_form(x, y), rel=1e-8)
    assert 0 <= found <= 1 + 1e-9
    rotation, _ = np.linalg.qr(rng.standard_normal((first, first)))
    assert linear_cka(scale * x @ rotation + shift, y) == pytest.approx(found, rel=1e-5, abs=1e-9)
    assert linear_cka(x, x @ rotation) == pytest.approx(1)
    assert linear_cka(y, x) == pytest.approx(found)


def test_it_is_not_invariant_to_any_linear_map_and_unlike_features_are_far_apart():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 4))
    assert linear_cka(x, x * [1, 1, 1, 10]) < 0.7
    assert linear_cka(x, rng.standard_normal((2000, 4))) < 0.01
    assert np.isnan(linear_cka(x, np.ones((2000, 2))))
    with pytest.raises(ValueError, match="of the same examples"):
        linear_cka(x, x[:5])


@pytest.mark.parametrize("name", [name for name in ARCHS if name != "Bicubic"])
def test_layers_of_every_network_are_like_themselves(name):
    net, images = build(name), torch.rand(2, 3, 16, 16)
    layers = feature_layers(net)[:: max(1, len(feature_layers(net)) // 3)]
    found = layer_similarity((net, net), images, (layers, layers))
    alive = ~np.isnan(np.diag(found))
    assert alive.any()
    np.testing.assert_allclose(np.diag(found)[alive], 1, atol=1e-6)
    np.testing.assert_allclose(found, found.T, atol=1e-9)


def test_images_are_added_up_and_resolutions_meet():
    net, other = build("SRResNet"), build("SRResNet", seed=1)
    images = torch.rand(3, 3, 12, 10)
    # lrelu@2 has the size of the output, body.0 that of the input.
    found = layer_similarity((net, other), images, (["body.0"], ["lrelu@2"]))
    features = []
    for model, layer in ((net, "body.0"), (other, "lrelu@2")):
        rows = []
        for image in images:
            with recorded_layers(model, [layer]) as outputs, torch.no_grad():
                model(image[None])
            small = torch.nn.functional.adaptive_avg_pool2d(outputs[layer], (12, 10))
            rows.append(small[0].flatten(1).T)
        features.append(torch.cat(rows).numpy())
    assert found[0, 0] == pytest.approx(linear_cka(*features), rel=1e-4)
