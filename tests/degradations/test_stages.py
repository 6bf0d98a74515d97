"""Every registered stage: range, shape, its own random numbers; each stage against formulas and published values."""

import functools
import io
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats

from srzoo.degradations.blur import SHAPES, Blur
from srzoo.degradations.jpeg import JPEG
from srzoo.degradations.levels import USM, Clip, Round
from srzoo.degradations.noise import GaussianNoise, GaussianOrPoissonNoise, PoissonNoise
from srzoo.degradations.resize import Mode, Resize
from srzoo.degradations.samples import Samples
from srzoo.ops.filter2d import filter2d
from srzoo.ops.poisson import poisson
from srzoo.ops.resize import imresize
from srzoo.ops.sharpen import usm_sharpen
from srzoo.registry import DEGRADATIONS
from tests.support import SHARED, needs_shared, photograph


def samples(count, seed=0, gt_size=(64, 80)):
    streams = [np.random.default_rng((seed, number)) for number in range(count)]
    return Samples(streams, np.random.default_rng((seed, 99)), gt_size)


def photos(count=4, height=64, width=80):
    images = [photograph(height, width, top=20 * n, left=30 * n) for n in range(count)]
    return [torch.from_numpy(image).permute(2, 0, 1).float() / 255 for image in images]


STAGES = [
    *[pytest.param(functools.partial(DEGRADATIONS.build, name, {}, scale=4), id=name) for name in DEGRADATIONS],
    pytest.param(lambda: JPEG(codec="exact"), id="JPEG-exact"),
    pytest.param(
        lambda: Resize(scale=4, relative_to="image", direction_weights=(1, 1, 1), factor_range=(0.5, 2)),
        id="Resize-any",
    ),
]


@pytest.mark.parametrize("build", STAGES)
def test_each_stage_keeps_type_channels_and_range_and_leaves_its_input_alone(build):
    images = photos()
    before = [image.clone() for image in images]
    for image, old in zip(build()(images, samples(4)), images, strict=True):
        assert image.dtype == old.dtype
        assert image.shape[0] == 3
        assert image.min() >= 0
        assert image.max() <= 1
    assert all(torch.equal(image, old) for image, old in zip(images, before, strict=True))


@pytest.mark.parametrize("build", STAGES)
def test_what_happens_to_a_sample_does_not_depend_on_the_others(build):
    images, stage = photos(), build()
    together = stage(images, samples(4))
    for number, image in enumerate(images):
        (alone,) = stage([image], samples(4).select([number]))
        torch.testing.assert_close(alone, together[number], atol=1e-6, rtol=0)


@pytest.mark.parametrize("build", STAGES)
def test_images_of_different_sizes_are_one_batch(build):
    images = [photos(1, 30, 40)[0], photos(1, 64, 80)[0], photos(1, 9, 5)[0]]
    assert len(build()(images, samples(3))) == 3


def test_a_stage_draws_other_numbers_for_other_samples_and_seeds():
    image = photos(1)[0]
    for stage in (Blur(), GaussianNoise(), PoissonNoise(), JPEG()):
        first, second = stage([image, image], samples(2))
        (other,) = stage([image], samples(1, seed=1))
        assert not torch.equal(first, second)
        assert not torch.equal(first, other)


def test_the_limits_of_the_stages_are_identities():
    images = photos()
    for stage in (
        GaussianNoise(sigma_range=(0, 0)),
        PoissonNoise(scale_range=(0, 0)),
        Blur(kernel_range=(1, 1)),
        Resize(scale=4, relative_to="image"),
        USM(weight=0),
        Clip(),
        Round(),
    ):
        for image, old in zip(stage(images, samples(4)), images, strict=True):
            torch.testing.assert_close(image, old, atol=1e-6, rtol=0)


# --- blur ---


def kernels_and_grid(stage, count=4000):
    kernels = stage.kernels(samples(count))
    side = kernels.shape[-1]
    y, x = np.mgrid[:side, :side] - side // 2
    return kernels.numpy(), x, y


def test_kernels_are_as_often_of_each_side_as_the_range_says():
    kernels, x, y = kernels_and_grid(Blur(sigma_range=(3, 3), sinc_prob=0))
    np.testing.assert_allclose(kernels.sum((1, 2)), 1)
    radius = np.array([np.maximum(abs(x), abs(y))[kernel != 0].max() for kernel in kernels])
    counts = np.bincount(radius, minlength=11)
    assert counts[:3].sum() == 0
    assert stats.chisquare(counts[3:]).pvalue > 1e-3


def test_kinds_and_sigmas_follow_their_options():
    stage = Blur(kinds={"iso": 1, "aniso": 1}, sinc_prob=0, kernel_range=(21, 21), sigma_range=(1, 2))
    kernels, x, y = kernels_and_grid(stage)
    xx, yy, xy = ((kernels * part).sum((1, 2)) for part in (x * x, y * y, x * y))
    isotropic = np.isclose(xx, yy, atol=1e-6) & np.isclose(xy, 0, atol=1e-6)
    assert stats.binomtest(int(isotropic.sum()), len(kernels), 0.5).pvalue > 1e-3
    sigmas = np.sqrt(xx[isotropic])
    # The standard deviation of a sampled Gaussian is its sigma, which is even between 1 and 2.
    assert stats.kstest(sigmas, stats.uniform(1, 1).cdf).pvalue > 1e-3
    spread = np.sqrt((xx + yy) / 2 + np.hypot((xx - yy) / 2, xy))
    assert spread.min() > 0.99
    assert spread.max() < 2.01


def test_sinc_filters_come_as_often_as_asked_and_ring():
    kernels, _, _ = kernels_and_grid(Blur(sinc_prob=0.3))
    ringing = (kernels < 0).any((1, 2))
    # A cutoff near pi leaves next to nothing negative, so some go uncounted.
    assert 0.25 < ringing.mean() < 0.31
    every, _, _ = kernels_and_grid(Blur(sinc_prob=1, kernel_range=(21, 21), cutoff_range=(2.0, 2.0)), 2)
    if (SHARED / "reference" / "kernels.npz").is_file():
        with np.load(SHARED / "reference" / "kernels.npz") as published:
            np.testing.assert_allclose(every[0], published["sinc_c2.0"], atol=1e-7)


def test_every_kind_of_kernel_can_be_had_alone():
    for kind in SHAPES:
        kernels = Blur(kinds={kind: 1}, sinc_prob=0).kernels(samples(50))
        assert torch.isfinite(kernels).all()
        assert (kernels >= 0).all()


def test_blur_is_the_filter_with_the_samples_own_kernels():
    images, stage = photos(), Blur()
    kernels = stage.kernels(samples(4))
    for image, kernel, blurred in zip(images, kernels, stage(images, samples(4)), strict=True):
        torch.testing.assert_close(blurred, filter2d(image[None], kernel[None])[0].clamp(0, 1), atol=1e-6, rtol=0)


# --- resize ---


def test_resize_goes_to_the_lq_size_by_default():
    assert {tuple(image.shape) for image in Resize(scale=4)(photos(), samples(4))} == {(3, 16, 20)}


def test_factors_follow_their_options_and_belong_to_the_sample():
    stage = Resize(scale=4, relative_to="gt", direction_weights=(0.2, 0.7, 0.1), factor_range=(0.15, 1.5))
    images = [torch.zeros(3, 2, 2)] * 2000
    widths = np.array([image.shape[2] for image in stage(images, samples(2000, gt_size=(1, 1000)))])
    factors = widths / 1000
    for chosen, prob in ((factors > 1, 0.2), (factors < 1, 0.7), (factors == 1, 0.1)):
        assert abs(chosen.mean() - prob) < 0.04
    assert stats.kstest(factors[factors < 1], stats.uniform(0.15, 0.85).cdf).pvalue > 1e-3
    assert stats.kstest(factors[factors > 1], stats.uniform(1, 0.5).cdf).pvalue > 1e-3


def test_one_factor_per_batch_is_the_same_for_all_samples():
    options = {"relative_to": "gt", "direction_weights": (0, 1, 0), "factor_range": (0.2, 1.0)}
    shared = Resize(scale=4, per="batch", **options)(photos(), samples(4))
    own = Resize(scale=4, **options)(photos(), samples(4))
    assert len({image.shape for image in shared}) == 1
    assert len({image.shape for image in own}) > 1


def test_plain_bicubic_is_imresize():
    image = photos(1)[0]
    (lq,) = Resize(scale=4, modes=("matlab",))([image], samples(1))
    torch.testing.assert_close(lq, imresize(image, 0.25).clamp(0, 1))


@given(*[st.integers(1, 40)] * 4)
def test_the_published_modes_are_pytorchs(height, width, new_height, new_width):
    image = torch.from_numpy(np.random.default_rng(height).random((3, height, width), dtype=np.float32))
    size = (new_height, new_width)
    modes: tuple[Mode, ...] = ("area", "bilinear", "bicubic")
    for mode in modes:
        (resized,) = Resize(scale=1, modes=(mode,))([image], samples(1, gt_size=size))
        expected = F.interpolate(image[None], size=size, mode=mode)[0].clamp(0, 1)
        torch.testing.assert_close(resized, expected, atol=1e-6, rtol=0)


# --- noise ---


@needs_shared
def test_noise_has_the_published_moments():
    numbers = json.loads((SHARED / "reference" / "numbers.json").read_text())["noise"]
    half = [torch.full((3, 400, 400), 0.5)] * 2
    (gaussian, _) = GaussianNoise(sigma_range=(20, 20), grey_prob=0)(half, samples(2))
    assert abs((gaussian - 0.5).std().item() - numbers["gauss_sigma20_std"]) < 3e-4
    # Values beyond [0, 1] are clipped by the stage: the moment is that of the noise itself.
    counts = poisson(torch.full((400, 400), 128, dtype=torch.int32), 1 / 255, seed=0).float()
    assert abs((counts - 128 / 255).std().item() - numbers["poisson_scale1_half_std"]) < 5e-3


def test_gaussian_noise_has_its_standard_deviation():
    (noisy,) = GaussianNoise(sigma_range=(20, 20), grey_prob=0)([torch.full((3, 200, 200), 0.5)], samples(1))
    assert (noisy - 0.5).std().item() * 255 == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize("level", [0, 1, 20, 200, 255])
@pytest.mark.parametrize("peak", [1, 16, 256])
def test_the_table_of_poisson_numbers_has_their_distribution(level, peak):
    rate = level * peak / 255
    counts = poisson(torch.full((200_000,), level, dtype=torch.int32), peak / 255, seed=1)
    if not rate:
        assert not counts.any()
        return
    observed = np.bincount(counts.long().numpy(), minlength=2)
    expected = stats.poisson.pmf(np.arange(len(observed)), rate) * counts.numel()
    enough = expected > 10
    statistic = ((observed - expected)[enough] ** 2 / expected[enough]).sum()
    assert stats.chi2(max(int(enough.sum()) - 1, 1)).sf(statistic) > 1e-4


def test_poisson_noise_grows_with_the_square_root_of_the_light():
    ramp = torch.linspace(0.1, 0.6, 9).view(1, 9, 1).expand(3, 9, 40000).contiguous()
    (noisy,) = PoissonNoise(scale_range=(0.3, 0.3), grey_prob=0)([ramp], samples(1))
    spread = (noisy - ramp).std(2).mean(0)
    # Nine values count as sixteen levels.
    expected = 0.3 * ((ramp[0, :, 0] * 255).round() / 255 / 16).sqrt()
    torch.testing.assert_close(spread, expected, rtol=0.02, atol=0)


def test_grey_noise_is_the_same_in_all_channels():
    grey = [torch.full((3, 40, 40), 0.5)]
    for stage in (GaussianNoise(grey_prob=1), PoissonNoise(grey_prob=1, scale_range=(0.1, 0.1))):
        noise = stage(grey, samples(1))[0] - 0.5
        assert noise.std() > 0
        torch.testing.assert_close(noise[0], noise[2])
    colour = GaussianNoise(grey_prob=0)(grey, samples(1))[0]
    assert not torch.equal(colour[0], colour[1])


@pytest.mark.parametrize("seed", range(4))
def test_one_of_the_two_noises_is_chosen_for_each_sample_or_for_the_batch(seed):
    images = photos(8)

    def changed(stage):
        return {not torch.equal(a, b) for a, b in zip(stage(images, samples(8, seed)), images, strict=True)}

    one = GaussianOrPoissonNoise(sigma_range=(10, 10), poisson_range=(0, 0), grey_prob=0)
    assert changed(one) == {True, False}
    one = GaussianOrPoissonNoise(sigma_range=(10, 10), poisson_range=(0, 0), grey_prob=0, per="batch")
    assert len(changed(one)) == 1


# --- JPEG, levels ---


def test_the_exact_codec_is_a_real_one():
    image = photos(1)[0]
    (decoded,) = JPEG(quality_range=(70, 70), codec="exact")([image], samples(1))
    encoded = io.BytesIO()
    levels = (image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(encoded, "JPEG", quality=70)
    difference = (decoded * 255).round().permute(1, 2, 0).numpy() - np.asarray(Image.open(encoded)).astype(float)
    # Two builds of libjpeg may round differently.
    assert abs(difference).max() <= 2


def test_the_simulation_is_close_to_the_exact_codec():
    for quality in (30, 60, 90):
        exact = JPEG(quality_range=(quality, quality), codec="exact")(photos(), samples(4))
        simulated = JPEG(quality_range=(quality, quality))(photos(), samples(4))
        error = torch.cat([(a - b).flatten() for a, b in zip(exact, simulated, strict=True)]).square().mean()
        assert -10 * math.log10(error) > 33


def test_usm_and_rounding_do_what_they_say():
    images = photos()
    for image, sharp in zip(images, USM()(images, samples(4)), strict=True):
        torch.testing.assert_close(sharp, usm_sharpen(image[None])[0])
    (rounded,) = Round()([torch.tensor([[[-0.3, 0.5001, 1.2]]])], samples(1))
    torch.testing.assert_close(rounded, torch.tensor([[[0.0, 128 / 255, 1.0]]]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Blur(kernel_range=(6, 21)), "kernel_range: sides of kernels are odd, got \\[6, 21\\]"),
        (lambda: Blur(sigma_range=(3, 1)), "sigma_range: expected 0.001 <= low <= high, got 3 and 1"),
        (
            lambda: Blur(generalized_range=(0.5, 0.8)),
            "generalized_range: expected 0 < low <= 1 <= high, got 0.5 and 0.8",
        ),
        (lambda: Blur(kinds={"iso": 0}), "kinds: at least one must be above 0"),
        (lambda: JPEG(quality_range=(0, 50)), "quality_range: expected 1 <= low <= high <= 100, got 0 and 50"),
        (lambda: JPEG(codec="exact", table="basicsr"), "codec: exact has standard tables only"),
        (lambda: Resize(scale=2, direction_weights=(1, 0, 0), factor_range=(0.2, 0.8)), "has no factor on a side"),
        (lambda: Resize(scale=2, modes=()), "modes: at least one"),
        (lambda: GaussianNoise(sigma_range=(-1, 3)), "sigma_range"),
    ],
)
def test_options_that_make_no_sense_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
