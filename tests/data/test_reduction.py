"""The fast reduction of 8-bit images: that of `imresize`, bit for bit."""

import numpy as np
import pytest
import torch

from srzoo.data import reduction
from srzoo.data.reduction import reduced
from srzoo.ops.resize import Border, imresize
from tests.support import photograph


def slowly(image, scale, border: Border = "symmetric"):
    chw = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))  # (C, H, W)
    return imresize(chw, 1 / scale, border=border).numpy().transpose(1, 2, 0)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_levels_are_those_of_imresize(scale, channels):
    rng = np.random.default_rng(scale)
    for height, width in ((1, 1), (1, 7), (2, 3), (5, 4), (33, 20), (70, 64)):
        shape = (height * scale, width * scale, channels)
        noise = rng.integers(0, 256, shape).astype(np.uint8)
        extremes = (rng.integers(0, 2, shape) * 255).astype(np.uint8)
        for image in (noise, extremes, np.asfortranarray(noise), noise[::-1]):
            np.testing.assert_array_equal(reduced(image, scale), slowly(image, scale))
            np.testing.assert_array_equal(reduced(image, scale, "matlab-legacy"), slowly(image, scale, "replicate"))
    image = photograph(96, 120)
    assert reduced(image, scale).dtype == np.uint8
    np.testing.assert_array_equal(reduced(image, scale), slowly(image, scale))


@pytest.mark.parametrize("scale", [2, 4])
def test_float32_holds_all_sums_exactly(scale):
    weights = reduction._weights(scale).astype(np.float64)
    numerators = weights * 4096
    np.testing.assert_array_equal(numerators, np.round(numerators))
    assert weights.sum() == 1
    assert np.abs(numerators).sum() * 255 < 2**23  # and half a level more is still a multiple of 1/4096


def test_halves_are_rounded_up():
    image = np.zeros((32, 32, 1), np.uint8)
    rng = np.random.default_rng(0)
    halves = 0
    for _ in range(20):
        image[:] = rng.integers(0, 4, image.shape) * 64
        rows = np.einsum("bs,bs...->...", reduction._weights(2), image[4:12].reshape(4, 2, 32, 1).astype(np.float64))
        halves += int((rows % 1 == 0.5).sum())
        np.testing.assert_array_equal(reduced(image, 2), slowly(image, 2))
    assert halves > 0
