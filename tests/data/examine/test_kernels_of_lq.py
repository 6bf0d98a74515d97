"""The kernel of an LQ file is recognised by its residual, and files of unknown origin are not blamed."""

import cv2
import numpy as np
import pytest
import torch

from srzoo.data.examine.kernels import EXACT, NAMES, better_kernel, residuals
from srzoo.data.examine.region import region_of
from srzoo.data.reduction import KERNELS, reduced
from srzoo.images import jpeg_decoded, read_image
from srzoo.ops.resize import imresize
from tests.support import SHARED, needs_shared, photograph

OPENCV = {
    "opencv-cubic": cv2.INTER_CUBIC,
    "opencv-linear": cv2.INTER_LINEAR,
    "opencv-nearest": cv2.INTER_NEAREST,
    "opencv-lanczos": cv2.INTER_LANCZOS4,
}


def small(gt, scale, kernel):
    if kernel in KERNELS:
        return reduced(gt, scale, kernel)
    return cv2.resize(gt, (gt.shape[1] // scale, gt.shape[0] // scale), interpolation=OPENCV[kernel])


def found(lq, gt, scale, expected="matlab"):
    region = region_of(lq, gt, scale)
    assert region is not None
    return residuals(region, scale, expected)


@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("bits", [8, 16])
def test_each_kernel_is_recognised(kernel, bits):
    gt = photograph(192, 224, top=60, left=100)
    gt = gt if bits == 8 else gt.astype(np.uint16) * 257
    values = found(small(gt, 4, kernel), gt, 4)
    assert values[kernel] == EXACT
    assert better_kernel(values, "matlab") == (None if kernel == "matlab" else kernel)
    assert better_kernel(found(small(gt, 4, kernel), gt, 4, "pil"), "pil") == (None if kernel == "pil" else kernel)


def test_the_others_are_not_computed_if_the_expected_kernel_is_exact():
    gt = photograph(96, 120)
    assert found(reduced(gt, 3), gt, 3) == {"matlab": EXACT}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_border_of_a_tile_is_no_other_kernel(kernel, scale):
    photo = photograph(288, 288, top=60, left=100)
    whole = reduced(photo, scale, kernel)
    for top, left in ((0, 0), (48, 96), (144, 144)):
        gt = photo[top : top + 144, left : left + 144]
        side = 144 // scale
        lq = whole[top // scale : top // scale + side, left // scale : left // scale + side]
        assert found(lq, gt, scale, kernel) == {kernel: EXACT}
        spoilt = lq.copy()
        spoilt[side // 2, side // 2] ^= 1
        assert found(spoilt, gt, scale, kernel)[kernel] < EXACT


def test_rounding_once_is_no_other_kernel():
    gt = photograph(192, 224, top=60, left=100)
    chw = torch.from_numpy(np.ascontiguousarray(gt.transpose(2, 0, 1))).double()
    once = imresize(chw, 0.5).clamp(0, 255).round().to(torch.uint8).numpy().transpose(1, 2, 0)
    values = found(once, gt, 2)
    assert 50 < values["matlab"] < EXACT
    assert better_kernel(values, "matlab") is None


@pytest.mark.parametrize("change", ["blur", "noise", "nearest and noise", "jpeg", "brightness"])
def test_lq_that_no_kernel_explains_is_not_blamed(change):
    gt = photograph(192, 224, top=60, left=100)
    lq = gt[::2, ::2] if "nearest" in change else reduced(gt, 2, "pil")
    if change == "blur":
        lq = reduced(cv2.GaussianBlur(gt, (0, 0), 2), 2)
    elif "noise" in change:
        lq = (lq + np.random.default_rng(0).normal(0, 5, lq.shape)).clip(0, 255).round().astype(np.uint8)
    elif change == "jpeg":
        lq = jpeg_decoded(lq, 90)
    elif change == "brightness":
        lq = (lq * 0.9).round().astype(np.uint8)
    assert better_kernel(found(lq, gt, 2), "matlab") is None


def test_the_border_is_examined_in_large_images_too():
    gt = cv2.resize(photograph(400, 400, top=40, left=100), (1600, 1600), interpolation=cv2.INTER_CUBIC)
    assert better_kernel(found(reduced(gt, 2, "matlab-legacy"), gt, 2), "matlab") == "matlab-legacy"
    # No pixel of LQ that depends on GT beyond the cut counts.
    assert found(reduced(gt, 2), gt, 2)["matlab"] == EXACT


@needs_shared
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_published_files_are_matlabs(scale):
    folder = SHARED / "data/Set5"
    for path in sorted((folder / "GT").iterdir()):
        lq = read_image(folder / f"LRbicx{scale}" / f"{path.stem}x{scale}.png").rgb
        assert found(lq, read_image(path).rgb, scale) == {"matlab": EXACT}
