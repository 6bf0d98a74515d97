"""Tiles along an axis: complete, with their margins, balanced, and no more of them than needed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.infer.spans import fade_of, joined, spans_of


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(1, 300),
    tile=st.integers(1, 80),
    overlap=st.integers(0, 40),
    multiple=st.sampled_from([1, 2, 3, 4, 16]),
    flipped=st.booleans(),
)
def test_spans(size, tile, overlap, multiple, flipped):
    spans = spans_of(size, tile=tile, overlap=overlap, multiple=multiple, flipped=flipped)
    number, slack = len(spans), multiple - 1 if flipped else 0
    assert [span.first for span in spans] == [0, *(span.last for span in spans[:-1])]
    assert spans[-1].last == size
    for span in spans:
        assert span.first < span.last
        assert span.start == span.first == 0 or span.first - span.start == overlap
        assert span.stop == span.last == size or overlap <= span.stop - span.last <= overlap + slack
        assert span.start % multiple == 0
        assert not flipped or (size - span.stop) % multiple == 0
    lengths = [span.stop - span.start for span in spans]
    # Two margins for each cut, and nothing else.
    assert size <= sum(lengths) - 2 * overlap * (number - 1) <= size + slack * (number - 1)
    if number > 1:
        assert size > tile + 2 * overlap
        assert max(lengths) <= max(tile // multiple, 1) * multiple + 2 * overlap + slack
        assert max(lengths[:-1]) - min(lengths[:-1]) <= slack
        assert lengths[-1] <= max(lengths)
        # With one tile less, one of them would be too large.
        assert (number - 1) * max(tile // multiple, 1) * multiple < size - 2 * overlap


def test_tiles_are_balanced():
    # Tiles of 64 would leave a strip of 8 pixels.
    assert [span.stop - span.start for span in spans_of(136, tile=64, overlap=0)] == [46, 46, 44]
    assert [span.stop - span.start for span in spans_of(136, tile=64, overlap=0, multiple=16)] == [48, 48, 40]


def parts_of(image, spans, offset):
    """Cut an image into the outputs of its tiles at scale 2, and raise each above the one before by `offset`."""
    return [image[..., 2 * span.start : 2 * span.stop] + number * offset for number, span in enumerate(spans)]


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(1, 200),
    tile=st.integers(1, 60),
    overlap=st.integers(0, 40),
    multiple=st.sampled_from([1, 2, 8]),
    blended=st.booleans(),
)
def test_tiles_that_agree_come_out_as_they_are(size, tile, overlap, multiple, blended):
    image, spans = torch.rand(1, 1, 2, 2 * size), spans_of(size, tile=tile, overlap=overlap, multiple=multiple)
    fade = fade_of(spans) if blended else 0
    whole = torch.cat(list(joined(parts_of(image, spans, 0), spans, fade=fade, scale=2, dim=3)), 3)
    torch.testing.assert_close(whole, image, atol=1e-6, rtol=0)


def test_tiles_that_differ_fade_into_each_other():
    spans = spans_of(100, tile=20, overlap=6)
    parts = parts_of(torch.zeros(1, 1, 1, 200), spans, 1.0)
    cut, faded = (
        torch.cat(list(joined(parts, spans, fade=fade, scale=2, dim=3)), 3).diff(dim=3).flatten() for fade in (0, 6)
    )
    assert fade_of(spans) == 3
    assert cut.max() == 1
    # One step of 1 over 24 output pixels at each cut.
    assert faded.max() == pytest.approx(1 / 24, abs=1e-6)
    assert faded.min() >= -1e-6
    assert faded.sum() == pytest.approx(len(spans) - 1, abs=1e-5)
