"""Options of stages and the draws behind them: each reaches the images, in its proportion."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from srzoo.degradations import blur
from srzoo.degradations.jpeg import JPEG
from srzoo.degradations.levels import USM, Clip
from srzoo.degradations.noise import GaussianOrPoissonNoise
from srzoo.degradations.resize import Mode, Resize
from srzoo.degradations.samples import RandomStreams, Samples, apply_in_stacks
from srzoo.ops.jpeg import jpeg
from srzoo.ops.sharpen import usm_sharpen
from tests.degradations.test_stages import photos, samples


def test_numbers_come_from_each_samples_stream_or_from_the_shared_one():
    def fresh():
        return Samples([np.random.default_rng(n) for n in range(3)], np.random.default_rng(9), (8, 8))

    own = [np.random.default_rng(n).uniform(2, 5) for n in range(3)]
    np.testing.assert_array_equal(fresh().random.uniform(2, 5), own)
    np.testing.assert_array_equal(fresh().random_per("sample").uniform(2, 5), own)
    np.testing.assert_array_equal(
        fresh().random_per("batch").uniform(2, 5), [np.random.default_rng(9).uniform(2, 5)] * 3
    )
    np.testing.assert_array_equal(fresh().select([2, 0]).random.uniform(2, 5), [own[2], own[0]])
    assert fresh().noise_seed(1) == np.random.default_rng(1).integers(2**63)


def test_draws_have_their_distributions():
    random = RandomStreams([np.random.default_rng(n) for n in range(4000)])
    assert set(random.integers(2, 4).tolist()) == {2, 3, 4}
    assert stats.binomtest(int(random.chance(0.2).sum()), 4000, 0.2).pvalue > 1e-3
    counts = np.bincount(random.choice([1, 0, 3]), minlength=3)
    assert counts[1] == 0
    assert stats.binomtest(int(counts[0]), 4000, 0.25).pvalue > 1e-3
    assert random.permutations(3).shape == (4000, 3)


def test_stacks_hold_images_of_one_shape_and_key_in_order():
    images = [torch.full((1, side, side), float(n)) for n, side in enumerate((2, 3, 2, 2))]
    seen = []

    def double(stack, indices):
        seen.append(indices)
        return 2 * stack

    for n, image in enumerate(apply_in_stacks(images, double, ["a", "a", "b", "a"])):
        assert torch.equal(image, 2 * images[n])
    assert sorted(seen) == [[0, 3], [1], [2]]


# --- blur ---


def drawn_parameters(monkeypatch, stage, count=2000):
    """Return the arguments that a stage calls its kernel functions with."""
    calls: dict[str, list[Any]] = {}
    for name in ("gaussian_kernels", "sinc_kernels"):

        def record(side, *tensors, support, name=name):
            calls[name] = [*(tensor for tensor in tensors if isinstance(tensor, torch.Tensor)), support]
            return torch.ones(len(support), side, side, dtype=torch.float64)

        monkeypatch.setattr(blur, name, record)
    stage.kernels(samples(count))
    return {name: [tensor.numpy() for tensor in tensors] for name, tensors in calls.items()}


@pytest.mark.parametrize(
    ("kind", "option", "high"), [("generalized_iso", "generalized_range", 4), ("plateau_aniso", "plateau_range", 2)]
)
def test_half_of_the_exponents_are_below_one(monkeypatch, kind, option, high):
    options: dict[str, Any] = {option: (0.5, high)}
    stage = blur.Blur(kinds={kind: 1}, sinc_prob=0, **options)
    _, _, beta, _ = drawn_parameters(monkeypatch, stage)["gaussian_kernels"]
    assert stats.binomtest(int((beta < 1).sum()), len(beta), 0.5).pvalue > 1e-3
    assert stats.kstest(beta[beta < 1], stats.uniform(0.5, 0.5).cdf).pvalue > 1e-3
    assert stats.kstest(beta[beta > 1], stats.uniform(1, high - 1).cdf).pvalue > 1e-3


def test_kernels_are_rotated_by_any_angle(monkeypatch):
    stage = blur.Blur(kinds={"aniso": 1}, sinc_prob=0)
    sigma, theta, *_ = drawn_parameters(monkeypatch, stage)["gaussian_kernels"]
    assert stats.kstest(theta, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    assert (sigma[:, 0] != sigma[:, 1]).all()


def test_small_sinc_filters_begin_at_a_higher_cutoff(monkeypatch):
    cutoff, side = drawn_parameters(monkeypatch, blur.Blur(sinc_prob=1))["sinc_kernels"]
    for chosen, low in ((side < 13, np.pi / 3), (side >= 13, np.pi / 5)):
        assert stats.kstest(cutoff[chosen], stats.uniform(low, np.pi - low).cdf).pvalue > 1e-3


def test_types_of_kernels_come_in_proportion_to_their_weights(monkeypatch):
    stage = blur.Blur(kinds={"iso": 1, "aniso": 3}, sinc_prob=0.25)
    calls = drawn_parameters(monkeypatch, stage)
    sigma = calls["gaussian_kernels"][0]
    isotropic = int((sigma[:, 0] == sigma[:, 1]).sum())
    assert stats.binomtest(isotropic, len(sigma), 0.25).pvalue > 1e-3
    assert stats.binomtest(len(calls["sinc_kernels"][0]), 2000, 0.25).pvalue > 1e-3


# --- resize, noise, JPEG, levels ---


def test_modes_are_equally_likely():
    image = photos(1)[0]
    modes: tuple[Mode, ...] = ("area", "bilinear", "bicubic", "matlab")
    single = {mode: Resize(scale=4, modes=(mode,))([image], samples(1))[0] for mode in modes}
    resized = Resize(scale=4, modes=modes)([image] * 400, samples(400))
    counts = [sum(torch.allclose(result, expected, atol=1e-6) for result in resized) for expected in single.values()]
    assert sum(counts) == 400
    assert stats.chisquare(counts).pvalue > 1e-3


def test_factor_one_is_the_size_of_the_image_of_gt_or_of_lq():
    sides = {}
    for relative_to in ("image", "gt", "lq"):
        (resized,) = Resize(scale=4, relative_to=relative_to)([torch.zeros(3, 6, 10)], samples(1))
        sides[relative_to] = tuple(resized.shape[1:])
    assert sides == {"image": (6, 10), "gt": (64, 80), "lq": (16, 20)}


def test_a_mode_for_the_batch_is_one_for_all_samples():
    image = photos(1)[0]
    modes: tuple[Mode, ...] = ("area", "bilinear", "bicubic")
    for seed in range(4):
        first, *others = Resize(scale=4, modes=modes, per="batch")([image] * 8, samples(8, seed))
        assert all(torch.equal(first, other) for other in others)


def test_gaussian_noise_comes_with_its_probability():
    images = [torch.full((3, 8, 8), 0.5)] * 1000
    stage = GaussianOrPoissonNoise(gaussian_prob=0.2, sigma_range=(10, 10), poisson_range=(0, 0))
    changed = sum(not torch.equal(noisy, images[0]) for noisy in stage(images, samples(1000)))
    assert stats.binomtest(changed, 1000, 0.2).pvalue > 1e-3


@pytest.mark.parametrize("gaussian_prob", [0, 1])
@pytest.mark.parametrize("grey_prob", [0, 1])
def test_the_choice_of_noises_passes_its_options_on(gaussian_prob, grey_prob):
    image = torch.full((3, 60, 60), 0.5)
    stages = [
        GaussianOrPoissonNoise(
            gaussian_prob=gaussian_prob, sigma_range=(level, level), poisson_range=(level, level), grey_prob=grey_prob
        )
        for level in (1, 2)
    ]
    weak, strong = (stage([image], samples(1))[0] - image for stage in stages)
    assert torch.equal(weak[0], weak[1]) == bool(grey_prob)
    assert 1.5 < (strong.std() / weak.std()).item() < 2.5 or not gaussian_prob  # Poisson noise of factor 1 is clipped
    assert strong.std() > weak.std()


def test_the_table_of_the_simulation_is_an_option():
    image = photos(1)[0]
    for table in ("standard", "basicsr"):
        (simulated,) = JPEG(quality_range=(40, 40), table=table)([image], samples(1))
        torch.testing.assert_close(simulated, jpeg(image[None], torch.tensor([40.0]), table=table)[0])


def test_sharpening_follows_its_options():
    image = photos(1)[0]
    changes: list[dict[str, Any]] = [{"radius": 9}, {"weight": 1.5}, {"threshold": 40.0}]
    for options in changes:
        (sharp,) = USM(**options)([image], samples(1))
        torch.testing.assert_close(sharp, usm_sharpen(image[None], **options)[0])
        assert not torch.equal(sharp, usm_sharpen(image[None])[0])


def test_values_are_clipped():
    (clipped,) = Clip()([torch.tensor([[[-0.3, 0.4, 1.2]]])], samples(1))
    assert torch.equal(clipped, torch.tensor([[[0.0, 0.4, 1.0]]]))
