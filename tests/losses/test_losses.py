"""Image losses: properties shared by all, published and hand-computed values of each."""

import numpy as np
import pytest
import torch
from torch import nn

from srzoo.losses.criterion import Criterion
from srzoo.losses.frequency import fft_l1, high_frequencies
from srzoo.losses.pixel import MSELoss, charbonnier, huber, l1, mse
from srzoo.losses.structure import total_variation
from srzoo.registry import LOSSES
from tests.support import photograph

IMAGE_LOSSES = [name for name in LOSSES if getattr(LOSSES[name], "takes", "sr") == "sr" and name != "PerceptualLoss"]


def images(count=2, height=13, width=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(2, 3, height, width, dtype=torch.float64, generator=generator) for _ in range(count))


@pytest.mark.parametrize("name", IMAGE_LOSSES)
def test_properties_of_every_image_loss(name):
    loss = LOSSES.build(name, {})
    sr, gt = images()
    value = loss(sr, gt)
    assert value.ndim == 0
    assert torch.isfinite(value)
    if getattr(loss, "compares_with_gt", True):
        assert loss(gt, gt) < value
    assert torch.autograd.gradcheck(lambda x: loss(x, gt), (sr.requires_grad_(),))
    with pytest.raises(ValueError, match="one shape"):
        loss(sr, gt[:, :1])


def test_values_by_hand():
    sr, gt = torch.tensor([[[[0.0, 3.0]]]]), torch.tensor([[[[4.0, 3.0]]]])
    assert l1(sr, gt).item() == 2
    assert mse(sr, gt).item() == 8
    assert charbonnier(sr, gt, eps=3.0).item() == pytest.approx((5 + 3) / 2)
    assert huber(sr, gt, delta=2.0).item() == pytest.approx(2 * (4 - 1) / 2)
    # Vertical differences 1 and 2, horizontal ones 3 and 4.
    steps = torch.tensor([[[[0.0, 3.0], [1.0, 5.0]]]])
    assert total_variation(steps).item() == pytest.approx((1 + 2) / 2 + (3 + 4) / 2)
    assert LOSSES.build("TVLoss", {})(steps, torch.zeros_like(steps)).item() == total_variation(steps).item()
    # One wave of amplitude a along a side of n: the half spectrum has one nonzero entry, a * n * n / 2.
    n = 8
    wave = 0.3 * torch.cos(2 * torch.pi * torch.arange(n) / n).view(1, 1, 1, n).expand(1, 1, n, n)
    expected = 0.3 * n * n / 2 / (n * (n // 2 + 1) * 2)
    assert fft_l1(wave, torch.zeros(1, 1, n, n)).item() == pytest.approx(expected, rel=1e-5)


def test_other_libraries_agree():
    sr, gt = images(seed=1)
    torch.testing.assert_close(l1(sr, gt), nn.functional.l1_loss(sr, gt))
    torch.testing.assert_close(mse(sr, gt), nn.functional.mse_loss(sr, gt))
    torch.testing.assert_close(huber(sr, gt, 0.3), nn.functional.huber_loss(sr, gt, delta=0.3))
    from skimage.metrics import structural_similarity

    photo = photograph(40, 44)
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 12, photo.shape), 0, 255) / 255
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    theirs = structural_similarity(photo / 255, noisy, channel_axis=2, data_range=1.0, **gaussian)
    tensors = [torch.from_numpy(np.asarray(image)).permute(2, 0, 1)[None] for image in (photo / 255, noisy)]
    assert 1 - LOSSES.build("SSIMLoss", {})(*tensors).item() == pytest.approx(theirs, abs=2e-3)


def test_high_frequencies_are_the_image_minus_torchvisions_blur():
    from torchvision.transforms.functional import gaussian_blur

    image = images(1)[0]
    torch.testing.assert_close(high_frequencies(image, 5, 1.0), image - gaussian_blur(image, [5, 5], [1.0, 1.0]))
    torch.testing.assert_close(high_frequencies(image, 7, 2.5), image - gaussian_blur(image, [7, 7], [2.5, 2.5]))
    assert LOSSES.build("HighFrequencyLoss", {})(image + 0.3, image).item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="kernel_size must be odd, got 4"):
        LOSSES.build("HighFrequencyLoss", {"kernel_size": 4})


def test_criterion_weights_and_names_its_terms():
    criterion = Criterion({"a": LOSSES.build("L1Loss", {}), "b": LOSSES.build("MSELoss", {})}, {"a": 0.5, "b": 2.0})
    terms = criterion(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 3.0))
    assert {name: term.item() for name, term in terms.items()} == {"a": 1.5, "b": 18.0}


def test_options_reach_the_formula():
    sr, gt = images(seed=2)
    torch.testing.assert_close(LOSSES.build("CharbonnierLoss", {"eps": 0.3})(sr, gt), charbonnier(sr, gt, 0.3))
    torch.testing.assert_close(LOSSES.build("HuberLoss", {"delta": 0.2})(sr, gt), huber(sr, gt, 0.2))
    high = LOSSES.build("HighFrequencyLoss", {"kernel_size": 7, "sigma": 2.5})(sr, gt)
    torch.testing.assert_close(high, l1(high_frequencies(sr, 7, 2.5), high_frequencies(gt, 7, 2.5)))


def test_criterion_selects_by_input_and_keeps_weights():
    losses = {name: LOSSES.build(name, {}) for name in ("L1Loss", "DivergenceLoss", "MSELoss", "GANLoss")}
    criterion = Criterion(losses, {"L1Loss": 0.5, "DivergenceLoss": 2.0, "MSELoss": 3.0, "GANLoss": 0.1})
    images_only = criterion.of("sr")
    assert (images_only.names, images_only.weights) == (["L1Loss", "MSELoss"], [0.5, 3.0])
    assert (criterion.of("leaves").names, criterion.of("logits").names) == (["DivergenceLoss"], ["GANLoss"])
    assert (len(criterion), len(images_only)) == (4, 2)
    squared = criterion.where(lambda loss: isinstance(loss, MSELoss))
    assert (squared.names, squared.weights) == (["MSELoss"], [3.0])
    assert squared.losses[0] is losses["MSELoss"]


def test_a_recipe_refuses_losses_that_it_cannot_compute():
    criterion = Criterion(
        {"pixel": LOSSES.build("L1Loss", {}), "gan": LOSSES.build("GANLoss", {})}, {"pixel": 1, "gan": 1}
    )
    assert criterion.only("sr", "logits", model="GANModel") is criterion
    with pytest.raises(ValueError, match=r"train\.losses\.gan: GANLoss is computed from logits, .* \(it has sr\)"):
        criterion.only("sr", model="SRModel")
