"""Phase correlation finds planted shifts, and none where there is none."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.data.examine.alignment import Shift, shift_between
from srzoo.data.examine.region import luma_levels, region_of
from srzoo.data.reduction import reduced
from srzoo.images import jpeg_decoded, read_image
from tests.support import SHARED, needs_shared, photograph


def moved(image, down, right):
    """Move an image by a fraction of a pixel, exactly for periodic images, by the phase of its Fourier transform."""
    rows, columns = (np.fft.fftfreq(length) for length in image.shape[:2])
    phase = np.exp(-2j * np.pi * (rows[:, None] * down + columns[None] * right))
    spectrum = np.fft.fft2(image.astype(float), axes=(0, 1)) * phase[..., None]
    return np.fft.ifft2(spectrum, axes=(0, 1)).real.clip(0, 255).round().astype(np.uint8)


def measured(lq, gt, scale):
    small = gt if scale == 1 else reduced(gt, scale)
    shift = shift_between(luma_levels(lq), luma_levels(small), scale)
    assert shift is not None
    return shift


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("shift", [(0.25, 0.0), (-0.5, 0.5), (1.0, -1.0), (0.0, 2.3)])
def test_planted_shifts_are_found_in_gt_pixels(scale, shift):
    gt = photograph(240, 288, top=60, left=100)
    lq = moved(gt, *shift)
    found = measured(lq if scale == 1 else reduced(lq, scale), gt, scale)
    assert (found.down, found.right) == pytest.approx(shift, abs=0.05)
    assert found.counts


@settings(max_examples=10)
@given(down=st.floats(-6, 6), right=st.floats(-6, 6))
def test_any_shift_at_equal_size(down, right):
    gt = photograph(128, 144, top=80, left=160)
    found = measured(moved(gt, down, right), gt, 1)
    assert (found.down, found.right) == pytest.approx((down, right), abs=0.1)
    assert found.counts == (max(abs(found.down), abs(found.right)) > found.least)


def test_nearest_neighbour_moves_lq_by_half_a_scale():
    # A pixel of LQ has the content of the first pixel of a block, whose middle lies 1.5 pixels further.
    gt = photograph(320, 320, top=60, left=100)
    found = measured(cv2.GaussianBlur(gt, (0, 0), 2)[::4, ::4], gt, 4)
    assert (found.down, found.right) == pytest.approx((1.5, 1.5), abs=0.1)


@pytest.mark.parametrize("kernel", ["matlab", "matlab-legacy", "pil", "area"])
def test_kernels_do_not_move(kernel):
    gt = photograph(240, 288, top=60, left=100)
    assert not measured(reduced(gt, 3, kernel), gt, 3).counts


def test_noise_and_compression_do_not_move():
    gt = photograph(240, 288, top=60, left=100)
    small = reduced(gt, 2)
    noisy = (small + np.random.default_rng(0).normal(0, 15, small.shape)).clip(0, 255).round().astype(np.uint8)
    for lq in (noisy, jpeg_decoded(small, 30), jpeg_decoded(noisy, 50)):
        assert not measured(lq, gt, 2).counts
    # Blocks of JPEG pull the peak away and lower it.
    gt = photograph(320, 320, top=60, left=100)
    found = measured(jpeg_decoded(reduced(gt, 4), 10), gt, 4)
    assert max(abs(found.down), abs(found.right)) > 0.2
    assert not found.counts


def test_flat_and_small_images_are_not_measured():
    flat = np.full((64, 64), 128, np.float32)
    assert shift_between(flat, flat, 2) is None
    assert shift_between(flat + np.random.default_rng(0).normal(0, 0.5, flat.shape), flat, 2) is None
    tiny = luma_levels(photograph(16, 80))
    assert shift_between(tiny, tiny, 2) is None


def test_unrelated_images_have_no_shift():
    gt, other = photograph(128, 128, top=20, left=150), photograph(128, 128, top=300, left=300)
    assert not measured(other, gt, 1).counts


def test_a_low_peak_needs_a_large_shift():
    assert Shift(0.3, 0.0, 0.95, 0.2).counts
    assert not Shift(0.3, 0.0, 0.7, 0.48).counts
    assert not Shift(5.0, 0.0, 0.4, 0.48).counts


@needs_shared
def test_pairs_of_cameras_are_aligned_until_one_is_moved():
    for path in sorted((SHARED / "data/RealSR_x1/GT").iterdir()):
        region = region_of(read_image(SHARED / "data/RealSR_x1/LQ" / path.name).rgb, read_image(path).rgb, 1)
        assert region is not None
        assert not measured(region.lq, region.gt, 1).counts
        found = measured(moved(region.lq, 0.0, 1.0), region.gt, 1)
        assert found.counts
        assert found.right == pytest.approx(1, abs=0.15)
