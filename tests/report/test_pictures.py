"""Pictures of a report: without loss, and within the size of the page."""

from pathlib import Path

import numpy as np
import pytest

from srzoo.images import decode_image, to_uint8
from srzoo.ops.resize import imresize
from srzoo.report.pictures import LEAST_WINDOW, SCALE, fitted, in_colours, pictured, window_sentence
from tests.support import photograph


def images(height=96, width=120, top=100):
    """Return GT and a worse version of it."""
    import torch

    gt = photograph(height, width, top)
    chw = torch.from_numpy(gt).permute(2, 0, 1).double() / 255
    worse = to_uint8(imresize(imresize(chw, 0.5), size=(height, width)))
    return {"network": worse, "GT": gt}


def decoded(content):
    return decode_image(content, Path("picture")).rgb


def test_pixels_are_stored_without_loss():
    columns = images()
    image = pictured("a", columns, "GT")
    assert (image.size, image.window, image.grey) == ((96, 120), (0, 0, 96, 120), False)
    for name, pixels in columns.items():
        np.testing.assert_array_equal(decoded(image.pixels[name]), pixels)
    assert max(decoded(image.thumbnail).shape) == 112


def test_grey_images_become_three_equal_channels():
    grey = {name: image[:, :, :1] for name, image in images().items()}
    image = pictured("a", grey, "GT")
    assert image.grey
    np.testing.assert_array_equal(decoded(image.pixels["GT"]), np.repeat(grey["GT"], 3, 2))


def test_the_first_crop_lies_where_errors_are_largest():
    gt = np.full((200, 220, 3), 90, np.uint8)
    sr = gt.copy()
    sr[120:150, 130:160] += 40
    top, left, height, width = pictured("a", {"network": sr, "GT": gt}, "GT").start
    assert (height, width) == (64, 64)
    assert top <= 120
    assert top + 64 >= 150
    assert left <= 130
    assert left + 64 >= 160


def test_pictures_that_fit_stay_whole():
    whole = [pictured(str(top), images(top=top), "GT") for top in (0, 100)]
    assert fitted(whole, "GT", sum(image.num_bytes for image in whole)) == whole
    assert window_sentence(whole) == "Pictures are whole, without loss."


def test_pictures_that_do_not_fit_are_cut_to_exact_windows():
    columns = [images(180, 200, top) for top in (0, 100, 300)]
    whole = [pictured(str(number), each, "GT") for number, each in enumerate(columns)]
    budget = sum(image.num_bytes for image in whole) // 3
    cut = fitted(whole, "GT", budget)
    assert sum(image.num_bytes for image in cut) <= budget
    # Cut no more than needed.
    assert sum(image.num_bytes for image in cut) > budget / 2
    for image, each in zip(cut, columns, strict=True):
        top, left, height, width = image.window
        assert height == width >= LEAST_WINDOW
        np.testing.assert_array_equal(decoded(image.pixels["GT"]), each["GT"][top : top + height, left : left + width])
    assert "3 of 3 pictures are cut" in window_sentence(cut)
    # Windows of windows have their places in the whole picture too.
    (again,) = fitted(cut[:1], "GT", cut[0].num_bytes * 2 // 3)
    top, left, height, width = again.window
    inside = columns[0]["GT"][top : top + height, left : left + width]
    np.testing.assert_array_equal(decoded(again.pixels["GT"]), inside)


def test_a_budget_that_no_window_meets_is_refused():
    whole = [pictured("a", images(), "GT")]
    with pytest.raises(ValueError, match=r"choose fewer \(--images\) or allow more"):
        fitted(whole, "GT", 1000)


def test_amounts_are_opaque_where_they_are_large():
    colours = in_colours(np.array([[0.0, 0.25, 1.0, np.nan]]))
    assert colours.shape == (1, 4, 4)
    assert colours[0, :, 3].tolist() == [0, 128, 255, 0]
    assert [tuple(colours[0, place, :3]) for place in range(3)] == [SCALE[0], SCALE[1], SCALE[4]]
