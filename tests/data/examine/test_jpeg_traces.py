"""Images that were JPEG before are found with their quality; others are not."""

import cv2
import numpy as np
import pytest
import skimage.data

from srzoo.data.examine.compression import jpeg_traces
from srzoo.data.examine.region import luma_levels
from srzoo.images import jpeg_decoded, read_image
from tests.support import SHARED, needs_shared


def clean(image):
    """Reduce an image, which may come from a JPEG file, until no block is left."""
    height, width = image.shape[:2]
    return cv2.resize(image, (width * 2 // 3, height * 2 // 3), interpolation=cv2.INTER_AREA)


def traces_in(levels):
    traces = jpeg_traces(levels)
    assert traces is not None
    return traces


PHOTOGRAPHS = [clean(skimage.data.astronaut()), clean(skimage.data.coffee())]


@pytest.mark.parametrize("quality", [50, 75, 90])
@pytest.mark.parametrize("offset", [(0, 0), (3, 5)])
def test_compression_is_found_with_its_quality_and_wherever_its_grid_begins(quality, offset):
    for image in PHOTOGRAPHS:
        found = traces_in(luma_levels(jpeg_decoded(image, quality)[offset[0] :, offset[1] :]))
        # Coarse blocks show where the grid begins; those of quality 90 may not.
        if offset == (0, 0) or quality < 90:
            assert found.counts
            assert found.quality == pytest.approx(quality, abs=3)


def test_clean_images_have_no_traces():
    for image in PHOTOGRAPHS:
        assert not traces_in(luma_levels(image)).counts
        # Coarse levels are no grid.
        assert not traces_in(luma_levels(image // 8 * 8)).counts


def test_flat_and_small_images_have_no_traces():
    assert not traces_in(np.full((128, 128), 9, np.float32)).counts
    assert jpeg_traces(np.zeros((39, 128), np.float32)) is None


@needs_shared
def test_published_files():
    found = {p.stem: traces_in(luma_levels(read_image(p).rgb)) for p in (SHARED / "data/Set5/GT").iterdir()}
    # This published file was a JPEG before.
    assert [name for name, traces in found.items() if traces.counts] == ["woman"]
    assert found["woman"].quality == 75
    for path in sorted((SHARED / "data/BSD100/GT").iterdir())[:20]:
        assert not traces_in(luma_levels(read_image(path).rgb)).counts
