"""Error maps, classes of frequency and edges, hallucination and omission, consistency."""

import numpy as np
import pytest
import torch

from srzoo.analysis.errors import consistency, edge_classes, error_maps, frequency_classes, worst_and_best_crops
from srzoo.images import to_tensor
from srzoo.ops.filter import gaussian_blur
from srzoo.ops.resize import imresize
from srzoo.registry import ARCHS
from tests.archs.test_all import build
from tests.support import photograph

EDGES, FREQUENCIES = np.array([0.0, 2, 8, 256]), np.linspace(0, 0.5, 6)


@pytest.fixture
def gt():
    return to_tensor(photograph(64, 80))[None]


@pytest.mark.parametrize("name", list(ARCHS))
@torch.no_grad()
def test_every_network_has_error_maps(name):
    net = build(name)
    lq = to_tensor(photograph(24, 32))[None]
    sr = net(lq)
    maps = error_maps(sr, torch.rand_like(sr))
    assert maps.error.shape == maps.hallucination.shape == maps.omission.shape == sr.shape[-2:]
    assert np.isfinite(maps.hallucination).all()
    assert np.isfinite(consistency(sr, lq)[0])


def test_maps_add_up_to_the_score(gt):
    sr = (gt + 0.1 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    maps = error_maps(sr, gt)
    levels = [(image * 255).round().double() for image in (sr, gt)]
    mse = float((levels[0] - levels[1]).square().mean())
    assert maps.psnr == pytest.approx(10 * np.log10(255**2 / mse))
    np.testing.assert_allclose(maps.error, (levels[0] - levels[1]).abs().mean(1)[0], atol=1e-9)
    for classes in (edge_classes(sr, gt, EDGES), frequency_classes(sr, gt, FREQUENCIES)):
        area = 63 * 79 if len(classes.count) == 3 else 4 * 5
        assert classes.count.sum() == area
        assert 10 * np.log10(255**2 * area / classes.squared.sum()) == pytest.approx(maps.psnr, abs=0.2)


def test_equal_images_have_nothing_invented_and_nothing_lost(gt):
    maps = error_maps(gt, gt)
    assert maps.psnr == float("inf")
    assert not maps.error.any()
    assert maps.hallucination.max() < 1e-3
    assert maps.omission.max() < 1e-3


def test_blur_is_an_omission_and_noise_a_hallucination(gt):
    blurred = error_maps(gaussian_blur(gt, 13, 2.0), gt)
    assert blurred.omission.mean() > 2.5 * blurred.hallucination.mean()
    noise = 0.06 * torch.randn(gt.shape, generator=torch.Generator().manual_seed(1))
    noisy = error_maps((gt + noise).clamp(0, 1), gt)
    assert noisy.hallucination.mean() > 5 * noisy.omission.mean()
    # Twice the noise is twice the hallucination.
    twice = error_maps((0.5 + 2 * noise).clamp(0, 1), torch.full_like(gt, 0.5))
    once = error_maps((0.5 + noise).clamp(0, 1), torch.full_like(gt, 0.5))
    assert twice.hallucination.mean() == pytest.approx(2 * once.hallucination.mean(), rel=0.05)


def test_classes_follow_the_frequency_and_edges_of_gt():
    x = torch.arange(64.0)
    wave = (0.5 + 0.4 * torch.sin(2 * torch.pi * x / 4)).expand(1, 3, 64, 64)  # 0.25 cycles per pixel
    classes = frequency_classes(wave, wave, np.linspace(0, 0.5, 11))
    assert classes.count.argmax() == 5 or classes.count.argmax() == 4
    flat = torch.full((1, 3, 64, 64), 0.5)
    flat[..., 32:] = 1.0
    classes = edge_classes(flat, flat, EDGES)
    assert classes.count.tolist() == [63 * 62, 0, 63]
    assert np.isnan(classes.psnr[1])
    assert classes.psnr[0] == float("inf")


def test_an_enlargement_that_keeps_lq_is_consistent(gt):
    lq = (imresize(gt, 0.5).clamp(0, 1) * 255).round() / 255
    kept, map_kept = consistency(gt, lq)
    assert kept > 55
    assert map_kept.shape == (32, 40)
    assert consistency((gt + 0.1).clamp(0, 1), lq)[0] < 25


def test_crops_are_listed_from_the_worst_to_the_best():
    error = np.zeros((64, 96))
    error[32:, 64:] = 10
    error[:32, :32] = 5
    crops = worst_and_best_crops(error, 32, 2)
    assert crops[0] == (32, 64, 10.0)
    assert crops[1] == (0, 0, 5.0)
    assert [rms for _, _, rms in crops[2:]] == [0, 0]
    assert len(worst_and_best_crops(error, 200, 2)) == 1


def test_images_of_unlike_shapes_are_refused():
    with pytest.raises(ValueError, match="of one shape"):
        error_maps(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 33))
