"""Enlarged images have a cliff in their spectrum; photographs have none."""

import cv2
import numpy as np
import pytest
import skimage.data

from srzoo.data.examine.region import luma_levels
from srzoo.data.examine.spectrum import spectral_cliff
from srzoo.images import jpeg_decoded, read_image
from tests.support import SHARED, needs_shared

FILTERS = {"cubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}


def enlarged(image, factor, interpolation):
    """Reduce an image and enlarge it again to its size."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=interpolation)


def cliff_in(levels):
    cliff = spectral_cliff(levels)
    assert cliff is not None
    return cliff


@pytest.mark.parametrize("factor", [1.5, 2, 3, 4])
@pytest.mark.parametrize("name", FILTERS)
def test_enlarged_images_are_found_with_their_factor(name, factor):
    for image in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()):
        cliff = cliff_in(luma_levels(enlarged(image, factor, FILTERS[name])))
        assert cliff.counts
        assert cliff.factor == pytest.approx(factor, rel=0.15)


def test_linear_enlargement_is_found():
    cliff = cliff_in(luma_levels(enlarged(skimage.data.astronaut(), 2, cv2.INTER_LINEAR)))
    assert cliff.counts


@pytest.mark.parametrize("quality", [None, 90, 30])
def test_photographs_have_no_cliff(quality):
    for image in (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()):
        kept = image if quality is None else jpeg_decoded(np.ascontiguousarray(image), quality)
        assert not cliff_in(luma_levels(kept)).counts


@pytest.mark.parametrize(("along", "across"), [(0.21, 0.11), (0.36, 0.05)])
def test_a_periodic_texture_is_no_cliff(along, across):
    # The lines of a grid put much power into few frequencies, above which there is less.
    y, x = np.mgrid[:320, :320]
    grid = np.cos(2 * np.pi * (along * x + across * y)) + np.cos(2 * np.pi * (across * x - along * y))
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(320)] * 2)) + 0.005
    noise = np.fft.ifft2(np.fft.fft2(np.random.default_rng(0).normal(size=(320, 320))) / frequency).real
    assert not cliff_in((128 + 30 * grid + 12 * noise / noise.std()).astype(np.float32)).counts


def test_small_and_flat_images_are_not_measured():
    assert spectral_cliff(np.zeros((127, 127), np.float32)) is None
    assert spectral_cliff(np.full((200, 200), 77, np.float32)) is None


@needs_shared
def test_published_datasets_have_no_cliff():
    files = [SHARED / "data/BSDS400/198023.jpg"]  # a grid as background
    files += [*sorted((SHARED / "data/Set5/GT").iterdir()), *sorted((SHARED / "data/Set14/GT").iterdir())]
    files += sorted((SHARED / "data/RealSR_x1/GT").iterdir())
    for file in files:
        assert not cliff_in(luma_levels(read_image(file).rgb)).counts, file
