"""Swapped colours of LQ or GT are found; images without colours are not blamed."""

from itertools import permutations

import numpy as np
import pytest

from srzoo.data.examine.colours import channel_order, in_order
from srzoo.data.examine.region import levels
from srzoo.data.reduction import reduced
from srzoo.images import jpeg_decoded, read_image
from tests.support import SHARED, needs_shared, photograph

ORDERS = ["".join("RGB"[channel] for channel in order) for order in permutations(range(3))]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_is_found_and_undone(order):
    gt = photograph(96, 120, top=100, left=100)
    small = reduced(gt, 2)
    stored = small[..., ["RGB".index(name) for name in order]]
    lossy = jpeg_decoded(np.ascontiguousarray(stored), 60)
    assert channel_order(levels(lossy), levels(small)).order == order
    np.testing.assert_array_equal(in_order(stored, channel_order(levels(stored), levels(small)).order), small)


def test_grey_images_have_no_order():
    grey = np.repeat(photograph(96, 120)[..., :1], 3, 2)
    found = channel_order(levels(reduced(grey, 2)), levels(reduced(grey, 2)))
    assert (found.order, found.lq_grey, found.gt_grey) == ("RGB", False, False)


def test_a_tinted_grey_image_is_no_swap():
    grey = photograph(96, 120)[..., 1].astype(int)
    tinted = np.stack([grey + 1, grey, grey - 1], 2).clip(0, 255).astype(np.uint8)
    assert channel_order(levels(tinted[..., ::-1]), levels(tinted)).order == "RGB"


def test_grey_lq_of_coloured_gt_is_reported():
    gt = levels(photograph(96, 120, top=100, left=100))
    grey = np.repeat(gt.mean(2, keepdims=True), 3, 2)
    assert channel_order(grey, gt).lq_grey
    assert channel_order(gt, grey).gt_grey


@needs_shared
def test_pairs_of_cameras_keep_their_order():
    for path in sorted((SHARED / "data/RealSR_x1/GT").iterdir()):
        lq, gt = (levels(read_image(SHARED / f"data/RealSR_x1/{n}" / path.name).rgb[:400, :400]) for n in ("LQ", "GT"))
        assert channel_order(lq, gt).order == "RGB"
        assert channel_order(lq[..., ::-1], gt).order == "BGR"
