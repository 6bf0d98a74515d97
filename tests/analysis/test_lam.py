"""Local attribution maps: the authors' values, flat images, windows, sizes."""

import json

import numpy as np
import pytest
import torch

from srzoo.analysis import lam
from srzoo.analysis.diffusion import DiffusionIndex, density, diffusion_index
from srzoo.analysis.lam import Window, local_attribution, path_of
from srzoo.analysis.memory import MemoryLimitError
from srzoo.images import read_image, to_tensor
from srzoo.registry import ARCHS
from srzoo.weights import load_network, load_weights
from tests.archs.test_all import build
from tests.archs.test_drct import build as build_drct
from tests.support import SHARED, needs_shared, photograph, reference_case, synthetic_weights


def case(name):
    folder = SHARED / "reference" / "insight"
    with np.load(folder / f"{name}.npz") as arrays:
        return json.loads((folder / "index.json").read_text())[name], dict(arrays)


def picture(path, rows=slice(None), columns=slice(None)):
    """Return a part of a picture of the reference pack, (1, 3, h, w) in [0, 1]."""
    return to_tensor(read_image(SHARED / "data" / path).rgb[rows, columns])[None]


def published(name):
    """Return network and input of a reference case."""
    if name == "lam_drct_tiny_x2_bird":
        net = build_drct().eval()
        load_weights(net, synthetic_weights(reference_case("drct_tiny_x2")[0]["keys"]))
        return net, picture("Set5/LRbicx2/birdx2.png", slice(40, 72), slice(30, 62))
    if name == "lam_imdn_x4_butterfly":
        return load_network(SHARED / "checkpoints/IMDN_x4.pth"), picture("Set5/LRbicx4/butterflyx4.png")
    net = load_network(SHARED / "checkpoints/IMDN_x2.pth")
    return net, picture("Set5/LRbicx2/birdx2.png", slice(40, 80), slice(50, 82))


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        "lam_imdn_x2_bird_gaussian_linear",
        pytest.param("lam_drct_tiny_x2_bird", marks=pytest.mark.slow),
        pytest.param("lam_imdn_x4_butterfly", marks=pytest.mark.slow),
    ],
)
def test_maps_and_index_are_the_authors(name):
    (facts, arrays), (net, lq) = case(name), published(name)
    window = Window(facts["h"], facts["w"], facts["window"])
    found = local_attribution(net, lq, window, path=facts["path"], sigma=facts["sigma"], fold=facts["fold"])
    np.testing.assert_allclose(found.saliency, arrays["saliency"], atol=5e-4)
    np.testing.assert_allclose(found.attribution, arrays["grad"], atol=5e-4 * np.abs(arrays["grad"]).max())
    np.testing.assert_allclose(found.heat, arrays["kde"], atol=2e-3)
    assert found.diffusion_index.value == pytest.approx(facts["diffusion_index"], abs=0.02)
    assert found.objective == pytest.approx(facts["objective_sharp"], rel=1e-5)
    assert found.objective_baseline == pytest.approx(facts["objective_baseline"], rel=1e-4)
    assert found.attribution.sum() == pytest.approx(facts["sum_of_attributions"], rel=1e-3)
    points, _ = path_of(lq, facts["path"], facts["sigma"], facts["fold"])
    np.testing.assert_allclose(points[0], arrays["interp_first"], atol=1e-6)
    rows, columns = (slice(first, first + window.size) for first in (window.top, window.left))
    np.testing.assert_allclose(found.sr[:, rows, columns], arrays["sr_window"], atol=1e-4)


@needs_shared
@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("lam_imdn_x4_butterfly", ("Set5/LRbicx4/butterflyx4.png",)),
        ("lam_drct_tiny_x2_bird", ("Set5/LRbicx2/birdx2.png", slice(40, 72), slice(30, 62))),
    ],
)
def test_the_path_starts_one_step_after_the_baseline_as_published(name, image):
    (facts, arrays), lq = case(name), picture(*image)
    points, steps = path_of(lq, "gaussian_blur", facts["sigma"], facts["fold"])
    np.testing.assert_allclose(points[0], arrays["interp_first"], atol=1e-6)
    np.testing.assert_allclose(points[-1], lq[0], atol=1e-6)
    # The steps lead from the baseline to the image.
    np.testing.assert_allclose(points[0] - steps[0] / facts["fold"] + steps.mean(0), lq[0], atol=1e-6)


@pytest.mark.parametrize("name", list(ARCHS))
@pytest.mark.parametrize("path", ["gaussian_blur", "linear"])
def test_every_network_has_a_map(name, path):
    net = build(name)
    trained = [parameter.requires_grad for parameter in net.parameters()]
    lq = to_tensor(photograph(20, 24))[None]
    found = local_attribution(net, lq, Window(8, 6, 4), path=path, fold=4)
    assert found.saliency.shape == (20, 24)
    assert found.saliency.max() == 1
    assert np.isfinite(found.heat).all()
    assert 0 < found.diffusion_index.value < 100
    assert [parameter.requires_grad for parameter in net.parameters()] == trained


def test_a_flat_part_of_the_image_does_not_remove_the_rest():
    # The authors' gradient is NaN wherever a place of equal pixels is seen, and 37 % of the map is lost.
    lq = to_tensor(photograph(24, 24))[None]
    lq[..., :12] = 0.5
    whole = Window(0, 0, 48)
    found = local_attribution(ARCHS.build("Bicubic", {}, scale=2), lq, whole, fold=5, path="linear")
    assert np.isfinite(found.attribution).all()
    assert (found.saliency[:, 14:] > 0).mean() > 0.98
    assert not found.saliency[:, :8].any()


def test_a_flat_image_has_no_attribution_and_no_index():
    found = local_attribution(ARCHS.build("Bicubic", {}, scale=2), torch.full((1, 3, 16, 16), 0.5), Window(4, 4, 8))
    assert not found.saliency.any()
    assert not found.heat.any()
    assert np.isnan(found.diffusion_index.value)


@pytest.mark.parametrize("window", [Window(30, 0, 16), Window(-1, 0, 4), Window(0, 0, 0), Window(39, 39, 1)])
def test_a_window_outside_the_image_is_refused(window):
    with pytest.raises(ValueError, match="does not lie in the SR image of 40x40 pixels"):
        local_attribution(ARCHS.build("Bicubic", {}, scale=2), torch.rand(1, 3, 20, 20), window)


@pytest.mark.parametrize("name", ["IMDN_RTE", "SRResNet", "RT4KSR"])
def test_only_what_a_window_sees_is_computed_and_nothing_is_lost(name, monkeypatch):
    net, lq = build(name), torch.rand(1, 3, 64, 230)
    window = Window(20, 60, 6)
    seen = lam._seen_by(net, lq, window, 2)
    found = local_attribution(net, lq, window, fold=3)
    monkeypatch.setattr(lam, "_seen_by", lambda *_: (slice(0, 64), slice(0, 230)))
    whole = local_attribution(net, lq, window, fold=3)
    np.testing.assert_allclose(found.attribution, whole.attribution, atol=1e-5 * np.abs(whole.attribution).max())
    assert seen[1].stop - seen[1].start < 230


def test_points_that_change_nothing_are_left_out():
    net, lq = build("Bicubic"), torch.rand(1, 3, 16, 16)
    found = local_attribution(net, lq, Window(8, 8, 8), fold=50)
    assert 40 <= found.evaluated < 46
    assert local_attribution(net, lq, Window(8, 8, 8), fold=50, path="linear").evaluated == 50


def test_batches_do_not_change_the_map_and_memory_bounds_them():
    net, lq = build("IMDN_RTC"), torch.rand(1, 3, 20, 20)
    calls = []
    net.register_forward_hook(lambda _, args, __: calls.append(len(args[0])))
    one = local_attribution(net, lq, Window(8, 8, 8), fold=6, batch=1)
    many = local_attribution(net, lq, Window(8, 8, 8), fold=6, batch=6)
    assert max(calls) > 1
    np.testing.assert_allclose(one.saliency, many.saliency, atol=1e-5)
    calls.clear()
    bounded = local_attribution(net, lq, Window(8, 8, 8), fold=6, batch=6, max_memory=3 * 2**20)
    assert max(calls) == 1 or max(calls) < 6
    np.testing.assert_allclose(bounded.saliency, many.saliency, atol=1e-5)
    with pytest.raises(MemoryLimitError, match="allow more"):
        local_attribution(net, lq, Window(8, 8, 8), fold=6, max_memory=2**16)


def test_indices_of_unlike_sizes_are_not_compared():
    rng = np.random.default_rng(0)
    small, large = diffusion_index(rng.random((8, 8))), diffusion_index(rng.random((16, 8)))
    assert (small.height, small.width) == (8, 8)
    with pytest.raises(ValueError, match="8x8 and 16x8 pixels cannot be compared"):
        _ = small - large
    assert DiffusionIndex(12.0, 8, 8) - DiffusionIndex(10.5, 8, 8) == 1.5


def test_the_index_of_one_box_depends_on_the_size_of_the_map():
    values = []
    for side in (64, 128):
        box = np.zeros((side, side))
        box[:20, :20] = 1
        values.append(round(diffusion_index(box).value, 2))
    assert values == [9.77, 2.44]


def test_the_density_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    saliency = np.random.default_rng(1).random((7, 9)) ** 4
    rows, columns = np.mgrid[:7, :9]
    places = np.stack([columns.ravel(), rows.ravel()])
    expected = stats.gaussian_kde(places, weights=saliency.ravel())(places).reshape(7, 9)
    np.testing.assert_allclose(density(saliency), expected / expected.max(), atol=1e-12)


def test_the_density_of_a_single_pixel_is_finite():
    saliency = np.zeros((6, 6))
    saliency[2, 3] = 1
    heat = density(saliency)
    assert np.isfinite(heat).all()
    assert np.unravel_index(heat.argmax(), heat.shape) == (2, 3)
