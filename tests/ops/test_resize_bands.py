"""Images resized band by band equal images resized whole."""

import pytest
import torch

from srzoo.ops.resize import imresize, imresize_bands


@pytest.mark.parametrize("size", [(37, 21), (74, 42), (91, 50), (20, 60), (9, 5), (1, 1), (37, 40), (111, 21)])
@pytest.mark.parametrize("cuts", [[37], [1, 36], [5] * 7 + [2], [1] * 37])
def test_bands_equal_the_whole(size, cuts):
    image = torch.rand(2, 3, 37, 21, generator=torch.manual_seed(0), dtype=torch.float64)
    bands = list(imresize_bands(iter(image.split(cuts, 2)), (37, 21), size))
    torch.testing.assert_close(torch.cat(bands, 2), imresize(image, size=size), atol=1e-12, rtol=0)


def test_bands_of_an_image_smaller_than_the_filter():
    image = torch.rand(1, 1, 2, 1, generator=torch.manual_seed(0), dtype=torch.float64)
    bands = list(imresize_bands(iter(image.split(1, 2)), (2, 1), (1, 7)))
    torch.testing.assert_close(torch.cat(bands, 2), imresize(image, size=(1, 7)), atol=1e-12, rtol=0)


def test_rows_that_are_not_needed_any_more_are_dropped():
    largest = 0
    image = torch.rand(1, 1, 2000, 3, generator=torch.manual_seed(0))
    alive: list[int] = []

    def bands():
        for band in image.split(10, 2):
            alive.append(1)
            yield band

    for number, part in enumerate(imresize_bands(bands(), (2000, 3), (3000, 3))):
        largest = max(largest, part.shape[2])
        # Outputs follow their inputs closely.
        assert len(alive) <= number * 2 + 12
    assert largest <= 100
