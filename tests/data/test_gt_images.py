"""GT images alone, as the published programs read them: LQ without rounding, small images, limits of sources."""

import cv2
import numpy as np
import pytest
import torch

from srzoo.data.enlarge import enlarged
from srzoo.data.gt_images import GTImages, Source
from srzoo.data.paired import PairedImages
from srzoo.images import read_image, write_image
from srzoo.ops.resize import imresize
from tests.support import photograph, write_photographs


@pytest.fixture
def one_image(tmp_path):
    """(height, width, options) -> (a training dataset of one image, the image)."""

    def make(height, width, **options):
        image = photograph(height, width, 0, 0)
        write_image(tmp_path / "gt" / "a.png", image)
        return GTImages(**{"scale": 4, "phase": "train", "gt": tmp_path / "gt", "gt_size": 256} | options), image

    return make


def chw(image):
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lq_may_keep_its_fractions(tmp_path, dtype):
    image = photograph(48, 60).astype(dtype)
    image[:, :24], image[:, 24:40] = 0, np.iinfo(dtype).max  # the edge overshoots when it is reduced
    write_image(tmp_path / "gt" / "a.png", image)
    options = {"scale": 4, "gt": tmp_path / "gt"}
    exact = GTImages(**options, phase="eval", round_lq=False)[0]
    expected = imresize(chw(image).double() / np.iinfo(dtype).max, 1 / 4).float()
    torch.testing.assert_close(exact["lq"], expected, atol=1e-6, rtol=0)
    assert exact["lq"].min() < 0
    assert exact["lq"].max() > 1
    rounded = GTImages(**options, phase="eval")[0]["lq"]
    assert (rounded - exact["lq"].clamp(0, 1)).abs().max() < 1.1 / 255
    assert not torch.equal(rounded, exact["lq"])
    # A training crop reduces its surroundings only, with equal results.
    crops = GTImages(**options, phase="train", gt_size=16, round_lq=False)
    item = crops.draw(0, np.random.default_rng(2))
    windows = exact["lq"].unfold(1, 4, 1).unfold(2, 4, 1)  # (3, rows, columns, 4, 4)
    assert (windows - item["lq"][:, None, None]).abs().amax((0, 3, 4)).min() < 1e-6


def test_each_side_is_enlarged_separately_and_bilinearly(one_image):
    dataset, image = one_image(200, 440, enlarge="each_side", round_lq=False)
    whole = dataset._read(dataset.pairs[0].gt)
    assert whole.shape == (256, 440, 3)
    assert whole.dtype == np.float32
    expected = cv2.resize(image.astype(np.float32) / 255, (440, 256))
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    item = dataset.draw(0, np.random.default_rng(0))
    assert item["gt"].shape == (3, 256, 256)
    assert item["lq"].shape == (3, 64, 64)
    # Neither GT nor LQ has whole levels.
    for name in ("gt", "lq"):
        levels = item[name] * 255
        assert (levels - levels.round()).abs().mean() > 0.1, name


def test_each_side_crops_to_the_scale_first(one_image):
    dataset, image = one_image(203, 442, enlarge="each_side")
    expected = cv2.resize(image[:200, :440].astype(np.float32) / 255, (440, 256))
    np.testing.assert_allclose(dataset._read(dataset.pairs[0].gt), expected, atol=1e-6)
    levels = dataset.draw(0, np.random.default_rng(0))["lq"] * 255
    assert torch.allclose(levels, levels.round(), atol=1e-4), "round_lq rounds LQ of enlarged images too"


def test_small_images_are_mirrored_at_the_bottom_and_right(one_image):
    dataset, image = one_image(60, 300, enlarge="reflect", gt_size=400)
    whole = dataset._read(dataset.pairs[0].gt)
    assert whole.shape == (400, 400, 3)
    assert np.array_equal(whole[:60, :300], image)
    assert np.array_equal(whole[60:119, :300], image[-2::-1]), "the edge is not repeated"
    assert np.array_equal(whole[:60, 300:], image[:, -2:-102:-1])
    assert not any(fault for faults in dataset.check(full=True) for fault in faults)


@pytest.mark.parametrize("rule", [True, "bicubic", "each_side", "reflect"])
def test_images_that_hold_a_crop_stay_as_they_are(one_image, rule):
    dataset, image = one_image(80, 100, enlarge=rule, gt_size=64)
    assert np.array_equal(dataset._read(dataset.pairs[0].gt), image)


def test_a_limit_counts_images_before_they_are_cut(tmp_path):
    names = ["a_s001", "a_s002", "b_s001", "c_s001", "c_s002", "d_s0010"]
    for name in names:
        write_image(tmp_path / "sub" / f"{name}.png", photograph(40, 40))
    sources = {"LSDIR": Source(gt=tmp_path / "sub", limit=2)}
    dataset = GTImages(scale=2, phase="train", sources=sources, gt_size=32)
    assert [pair.key for pair in dataset.pairs] == ["LSDIR/a_s001", "LSDIR/a_s002", "LSDIR/b_s001"]


def test_lq_is_cut_to_a_multiple_and_gt_to_match(tmp_path):
    (gt_file,) = write_photographs(tmp_path / "gt", 1, 33, 45)
    lq = photograph(11, 15)
    write_image(tmp_path / "lq" / "00.png", lq)
    folders = {"scale": 3, "gt": tmp_path / "gt", "lq": tmp_path / "lq"}
    item = PairedImages(**folders, phase="eval", lq_multiple=2)[0]
    torch.testing.assert_close(item["lq"] * 255, chw(lq[:10, :14]).float())
    torch.testing.assert_close(item["gt"] * 255, chw(read_image(gt_file).rgb[:30, :42]).float())
    with pytest.raises(ValueError, match="lq_multiple belongs to evaluation"):
        PairedImages(**folders, phase="train", gt_size=12, lq_multiple=2)


@pytest.mark.parametrize("rule", [True, "each_side", "reflect"])
def test_enlarged_images_of_one_channel_keep_it(rule):
    grey = photograph(20, 60)[..., :1]
    rgb = enlarged(np.repeat(grey, 3, 2), 32, 2, rule)
    np.testing.assert_array_equal(enlarged(grey, 32, 2, rule), rgb[..., :1])
