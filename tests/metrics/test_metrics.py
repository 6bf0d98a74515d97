"""PSNR and SSIM under each protocol, against BasicSR's, MATLAB's and scikit-image's numbers."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import skimage.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.images import read_image, to_tensor
from srzoo.metrics.protocol import PROTOCOLS, shared_preparation
from srzoo.metrics.psnr import PSNR, psnr
from srzoo.metrics.ssim import SSIM, ssim
from srzoo.ops.resize import imresize
from srzoo.registry import METRICS
from tests.support import SHARED, needs_shared, photograph


def batch(rgb: np.ndarray) -> torch.Tensor:
    return to_tensor(rgb)[None]


def noisy(rgb: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-20, 21, rgb.shape)
    return np.clip(rgb.astype(int) + noise, 0, 255).astype(np.uint8)


@needs_shared
def test_values_agree_with_basicsr():
    numbers = json.loads((SHARED / "reference" / "numbers.json").read_text())
    bgr = read_image(SHARED / "data" / "Set5" / "GT" / "butterfly.png").rgb[..., ::-1]
    noise_on_bgr = np.clip(bgr.astype(int) + np.random.default_rng(7).integers(-20, 21, bgr.shape), 0, 255)
    pairs = {
        "random": [np.random.default_rng(seed).integers(0, 256, (64, 80, 3), dtype=np.uint8) for seed in (1, 2)],
        "butterfly_noise": [bgr, noise_on_bgr.astype(np.uint8)],
        "same": [bgr, bgr],
    }
    checked = 0
    for case in numbers["metrics"]:
        if "psnr" not in case:
            continue
        sr, gt = (batch(np.ascontiguousarray(image[..., ::-1])) for image in pairs[case["pair"]])
        protocol = replace(PROTOCOLS["basicsr-y" if case["y"] else "basicsr-rgb"], crop_border=case["crop"])
        prepared = protocol.prepare(sr, gt, scale=1)
        assert psnr(*prepared).item() == pytest.approx(case["psnr"], abs=1e-4)
        assert ssim(*prepared).item() == pytest.approx(case["ssim"], abs=1e-5)
        checked += 1
    assert checked == 18


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(f"{dataset}_x{scale}", marks=[pytest.mark.slow] if dataset == "BSD100" else [])
        for dataset in ("Set5", "Set14", "BSD100")
        for scale in (2, 3, 4)
    ],
)
def test_values_agree_with_matlab(name):
    """Test resize, luma, PSNR and SSIM together: bicubic down and up with an older MATLAB's border."""
    expected = json.loads((SHARED / "reference" / "matlab_bicubic.json").read_text())[name]
    dataset, scale = name.split("_x")
    scale = int(scale)
    assert len(expected) == {"Set5": 5, "Set14": 14, "BSD100": 100}[dataset]
    for key, (expected_psnr, expected_ssim) in expected.items():
        gt = to_tensor(read_image(SHARED / "data" / dataset / "GT" / f"{key}.png").rgb)
        height, width = (side // scale * scale for side in gt.shape[1:])
        gt = (gt[:, :height, :width] * 255).round().to(torch.uint8)
        lq = imresize(gt, 1 / scale, border="replicate")
        sr = imresize(lq, size=(height, width), border="replicate")
        # img_003 was a grey file for MATLAB, compared without luma conversion: like equal channels under RGB.
        protocol = "basicsr-rgb" if (dataset, key) == ("Set14", "img_003") else "matlab-y"
        images = sr[None] / 255, gt[None] / 255
        assert PSNR(scale=scale, protocol=protocol)(*images).item() == pytest.approx(expected_psnr, abs=1e-4), key
        assert SSIM(scale=scale, protocol=protocol)(*images).item() == pytest.approx(expected_ssim, abs=5e-6), key


def test_ssim_agrees_with_scikit_image():
    gt = photograph(60, 70)
    ours = SSIM(scale=1, protocol="rt4ksr-rgb")(batch(noisy(gt)), batch(gt)).item()
    theirs = skimage.metrics.structural_similarity(
        noisy(gt), gt, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("name", ["PSNR", "SSIM"])
def test_properties_of_every_metric_and_protocol(name, protocol):
    metric = METRICS.build(name, {"protocol": protocol}, scale=2)
    gt = batch(photograph(48, 56))
    best, worse = metric(gt, gt), metric(batch(noisy(photograph(48, 56))), gt)
    assert best.item() == {"PSNR": math.inf, "SSIM": pytest.approx(1.0)}[name]
    assert metric.higher_is_better
    assert math.isfinite(worse.item())
    assert worse < best
    two = metric(torch.cat([gt, batch(noisy(photograph(48, 56)))]), torch.cat([gt, gt]))
    torch.testing.assert_close(two[1:], worse)
    with pytest.raises(ValueError, match="of one shape"):
        metric(gt, gt[..., :-1])
    described = metric.protocol.describe(2)
    assert described["name"] == protocol
    assert described["crop_border"] == metric.protocol.border(2)
    json.dumps(described)


def test_images_smaller_than_the_border_are_refused():
    with pytest.raises(ValueError, match="nothing inside a border of 4"):
        PSNR(scale=4)(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match="SSIM needs at least 11x11"):
        SSIM(scale=4)(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16))


def test_each_protocol_has_its_hand_computed_value():
    """Compare one image pair with a constant error of one level in red only."""
    gt = torch.full((1, 3, 32, 32), 100 / 255)
    sr = gt.clone()
    sr[:, 0] += 1 / 255

    def value(protocol):
        return PSNR(scale=2, protocol=protocol)(sr, gt).item()

    def decibels(error):
        return 10 * math.log10(255**2 / error**2)

    assert value("basicsr-rgb") == pytest.approx(decibels(1 / math.sqrt(3)), abs=1e-4)
    assert value("basicsr-y") == pytest.approx(decibels(65.481 / 255), abs=1e-4)
    assert value("rt4ksr-fixed") == pytest.approx(decibels(65.481 / 255), abs=1e-4)
    assert value("rt4ksr") == pytest.approx(decibels(24.966 / 255), abs=1e-4)
    # The authors' first weight meets blue.
    assert value("d2c-y") == pytest.approx(decibels(25.064 / 256), abs=1e-4)
    assert value("d2c-y-fixed") == pytest.approx(decibels(65.738 / 256), abs=1e-4)
    # Luma 101.894 + 0.257: both round to 102, so the rounded protocols see no difference.
    assert value("imdn-y") == math.inf
    assert value("matlab-y") == math.inf


def test_less_than_half_a_level_vanishes_only_under_rounding():
    gt = torch.full((1, 3, 32, 32), 100 / 255)
    sr = gt + 0.4 / 255
    assert PSNR(scale=2, protocol="basicsr-rgb")(sr, gt).item() == math.inf
    assert math.isfinite(PSNR(scale=2, protocol="d2c-y")(sr, gt).item())


def test_borders_are_cropped_by_the_scale_or_by_the_protocol():
    gt = torch.rand(1, 3, 32, 32)
    sr = gt.clone()
    sr[..., :3, :] = 0
    assert math.isfinite(PSNR(scale=2, protocol="basicsr-rgb")(sr, gt).item())
    assert PSNR(scale=3, protocol="basicsr-rgb")(sr, gt).item() == math.inf
    assert PSNR(scale=2, protocol="reflash-rgb")(sr, gt).item() == math.inf
    assert math.isfinite(PSNR(scale=4, protocol="rt4ksr-rgb")(sr, gt).item())


@pytest.mark.parametrize(
    ("protocol", "black", "white"),
    [
        ("basicsr-rgb", [0, 0, 0], [255, 255, 255]),
        ("basicsr-y", [16], [235]),
        ("matlab-y", [16], [235]),
        ("rt4ksr", [16], [235]),
        ("d2c-y", [0], [(65.738 + 129.057 + 25.064) * 255 / 256]),
        ("d2c-y-fixed", [0], [(65.738 + 129.057 + 25.064) * 255 / 256]),
    ],
)
def test_black_and_white_have_the_levels_of_the_protocol(protocol, black, white):
    images = torch.zeros(1, 3, 12, 12), torch.ones(1, 3, 12, 12)
    prepared = PROTOCOLS[protocol].prepare(*images, scale=2)
    for image, levels in zip(prepared, (black, white), strict=True):
        assert image.dtype == torch.float64
        assert image[0, :, 0, 0].tolist() == pytest.approx(levels)


def test_values_outside_the_range_are_clipped():
    gt, sr = batch(photograph(32, 32)), torch.from_numpy(np.random.default_rng(0).normal(0.5, 1, (1, 3, 32, 32)))
    for protocol in PROTOCOLS:
        metric = METRICS.build("PSNR", {"protocol": protocol}, scale=2)
        assert metric(sr, gt).item() == metric(sr.clamp(0, 1), gt).item()


def test_all_four_borders_are_cropped():
    gt = torch.rand(1, 3, 20, 24)
    for border in ((..., 0, slice(None)), (..., -1, slice(None)), (..., 0), (..., -1)):
        sr = gt.clone()
        sr[border] = 1 - sr[border]
        assert PSNR(scale=1, protocol="basicsr-rgb")(sr, gt).item() == math.inf
        assert math.isfinite(PSNR(scale=1, protocol="rt4ksr-rgb")(sr, gt).item())


def test_ssim_windows_follow_the_protocol():
    gt = photograph(32, 36)
    images = batch(noisy(gt)), batch(gt)
    prepared = PROTOCOLS["d2c-y-fixed"].prepare(*images, scale=2)
    zero_padded = ssim(*prepared, padding="zero").item()
    assert SSIM(scale=2, protocol="d2c-y-fixed")(*images).item() == zero_padded
    assert zero_padded != pytest.approx(ssim(*prepared).item(), abs=1e-5)
    # Zero padding: the weights of the window that fall outside the image are missing from both means.
    flat = torch.full((1, 1, 16, 16), 100.0, dtype=torch.float64)
    assert ssim(flat, flat, padding="zero").item() == pytest.approx(1)


def test_raw_ssim_sees_borders_and_values_outside_the_range():
    gt = batch(photograph(32, 36))
    brighter, bordered = gt + 0.9, gt.clone()
    bordered[..., 0] = 1 - bordered[..., 0]
    raw, cropped = SSIM(scale=2, protocol="d2c-y"), SSIM(scale=2, protocol="d2c-y-fixed")
    assert raw(bordered, gt) < cropped(bordered, gt)
    assert raw(brighter, gt) != raw(brighter.clamp(0, 1), gt)
    assert cropped(brighter, gt) == cropped(brighter.clamp(0, 1), gt)


@needs_shared
@pytest.mark.parametrize(("protocol", "expected"), [("d2c-y", (28.6057, 0.81306)), ("d2c-y-fixed", (28.4321, 0.81629))])
def test_the_authors_of_d2c_sr_get_these_values_for_bicubic_interpolation(protocol, expected):
    # The 8-bit LQ files of Set5, enlarged in floating point, neither rounded nor clipped.
    scores = []
    for path in sorted((SHARED / "data" / "Set5" / "GT").glob("*.png")):
        lq = batch(read_image(SHARED / "data" / "Set5" / "LRbicx4" / f"{path.stem}x4.png").rgb)
        sr = imresize(lq.double(), 4)
        gt = batch(read_image(path).rgb)[..., : sr.shape[2], : sr.shape[3]].double()
        scores.append([metric(scale=4, protocol=protocol)(sr, gt).item() for metric in (PSNR, SSIM)])
    assert np.mean(scores, 0) == pytest.approx(expected, abs=6e-5)


@given(
    st.integers(1, 2), st.integers(1, 3), st.integers(11, 90), st.integers(11, 40), st.sampled_from(["valid", "zero"])
)
@settings(max_examples=25)
def test_ssim_in_strips_equals_ssim_by_convolution(images, channels, height, width, padding):
    # Heights on both sides of one and two strips.
    generator = torch.Generator().manual_seed(height * width)
    gt = 255 * torch.rand(images, channels, height, width, generator=generator, dtype=torch.float64)
    sr = (gt + 30 * torch.randn(gt.shape, generator=generator, dtype=torch.float64)).requires_grad_()
    by_convolution = ssim(sr, gt, padding)  # because a gradient is wanted
    assert by_convolution.requires_grad
    torch.testing.assert_close(ssim(sr.detach(), gt, padding), by_convolution.detach(), atol=1e-13, rtol=0)


def test_large_images_are_converted_as_small_ones():
    # Pixels are converted strip by strip: the strips join.
    sr, gt = torch.rand(2, 3, 150, 20), torch.rand(2, 3, 150, 20)
    for protocol in PROTOCOLS.values():
        whole = protocol.prepare(sr, gt, scale=2)
        b = protocol.border(2)
        for top in range(0, 140, 10):  # parts that no strip of the whole image begins with
            part = slice(top, top + 10 + 2 * b)
            for image, large in zip(protocol.prepare(sr[:, :, part], gt[:, :, part], scale=2), whole, strict=True):
                assert torch.equal(image, large[:, :, top : top + 10][:, :, : image.shape[2]])


def test_one_channel_is_compared_as_it_is():
    gt = torch.rand(1, 1, 24, 24)
    sr = gt + 3 / 255
    for name, protocol in PROTOCOLS.items():
        prepared = protocol.prepare(sr.clamp(0, 1), gt, scale=2)
        assert prepared[0].shape[1] == 1
        if protocol.color == "y":
            same = replace(protocol, color="rgb").prepare(sr.clamp(0, 1), gt, scale=2)
            assert all(torch.equal(a, b) for a, b in zip(prepared, same, strict=True)), name


@pytest.mark.parametrize("name", ["PSNR", "SSIM"])
@pytest.mark.parametrize("protocol", ["basicsr-y", "reflash-rgb", "rt4ksr", "d2c-y", "d2c-y-fixed"])
def test_least_side_is_the_smallest_image_that_can_be_measured(name, protocol):
    metric = METRICS.build(name, {"protocol": protocol}, scale=3)
    side = metric.least_side
    assert metric(torch.rand(1, 3, side, side + 1), torch.rand(1, 3, side, side + 1)).shape == (1,)
    if (name, protocol) == ("SSIM", "d2c-y"):
        assert side == 1
        return
    with pytest.raises(ValueError, match=r"nothing inside|SSIM needs"):
        metric(torch.rand(1, 3, side - 1, side), torch.rand(1, 3, side - 1, side))


# As in docs/protocols.md: border at scale 3, and compared channels.
BORDERS = {
    "basicsr-y": (3, 1), "basicsr-rgb": (3, 3), "matlab-y": (3, 1), "imdn-y": (3, 1), "rt4ksr": (0, 1),
    "rt4ksr-rgb": (0, 3), "rt4ksr-fixed": (0, 1), "d2c-y": (3, 1), "d2c-y-fixed": (3, 1), "reflash-rgb": (4, 3),
    "imdn-as-y": (0, 1), "imdn-as-rgb": (0, 3),
}  # fmt: skip


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_each_protocol_crops_its_border_and_compares_its_channels(protocol):
    border, channels = BORDERS[protocol]
    sr, gt = PROTOCOLS[protocol].prepare(torch.rand(1, 3, 20, 24), torch.rand(1, 3, 20, 24), scale=3)
    assert sr.shape == gt.shape == (1, channels, 20 - 2 * border, 24 - 2 * border)


def test_metrics_of_one_pair_share_its_preparation_and_others_do_not():
    sr, gt = batch(photograph(40, 50)), batch(noisy(photograph(40, 50)))
    protocol, other = PROTOCOLS["basicsr-y"], PROTOCOLS["d2c-y"]
    alone = [measure(sr, gt).item() for measure in (PSNR(scale=4), SSIM(scale=4))]
    with shared_preparation():
        prepared = protocol.prepare(sr, gt, 4)
        assert protocol.prepare(sr, gt, 4) is prepared
        assert [measure(sr, gt).item() for measure in (PSNR(scale=4), SSIM(scale=4))] == alone
        for changed in (
            protocol.prepare(gt, sr, 4),
            protocol.prepare(sr.clone(), gt, 4),
            protocol.prepare(sr, gt, 2),
            other.prepare(sr, gt, 4),
            other.prepare(sr, gt, 4, raw=True),
        ):
            assert changed[0] is not prepared[0]
        # A raw preparation of the same border differs from the clipped one.
        whole = replace(protocol, crop_border=0)
        assert whole.prepare(sr + 1, gt, 4)[0].max() < whole.prepare(sr + 1, gt, 4, raw=True)[0].max()
    assert protocol.prepare(sr, gt, 4) is not prepared
