"""Attention with a bias: our CPU forms against the formula, in values and gradients."""

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.layers.attention import _fused, attention_by_products, biased_attention
from srzoo.layers.plain import plain_form
from srzoo.layers.window import (
    Permute,
    edge_masks,
    from_rows,
    plain_and_shifted_windows,
    relative_position_index,
    to_rows,
)

CPU = torch.device("cpu")


def formula(qkv, bias, counts):
    """softmax(q k^T / sqrt(c) + bias) v as written in the paper."""
    kinds = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    weights = (query @ key.mT / qkv.shape[-1] ** 0.5 + bias[kinds]).softmax(-1)
    return (weights @ value).transpose(1, 2).flatten(2)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=4).filter(any),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(0, 2**31),
)
def test_values_and_gradients_are_those_of_the_formula(counts, heads, pixels, width, seed):
    torch.manual_seed(seed)
    qkv = torch.randn(sum(counts), pixels, 3, heads, width, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(len(counts), heads, pixels, pixels, dtype=torch.float64, requires_grad=True)
    out, expected = biased_attention(qkv, bias, tuple(counts)), formula(qkv, bias, counts)
    torch.testing.assert_close(out, expected)
    probe = torch.randn_like(out)
    ours = torch.autograd.grad(out, (qkv, bias), probe)
    theirs = torch.autograd.grad(expected, (qkv, bias), probe)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("width", [3, 8, 30])
def test_heads_widened_by_zeros_give_the_same(width):
    torch.manual_seed(0)
    qkv, bias = torch.randn(2, 9, 3, 2, width, dtype=torch.float64), torch.randn(1, 2, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(_fused(qkv, bias[0], 0.0, multiple=8), formula(qkv, bias, (2,)))


def test_gradcheck():
    torch.manual_seed(0)
    qkv = torch.randn(3, 4, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda q, b: biased_attention(q, b, (2, 1)), (qkv, bias))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@torch.no_grad()
def test_inference_in_each_precision_is_close_to_the_formula(dtype, tolerance):
    torch.manual_seed(0)
    qkv, bias = torch.randn(5, 64, 3, 2, 16), torch.randn(2, 2, 64, 64)
    out = biased_attention(qkv.to(dtype), bias, (3, 2))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), formula(qkv, bias, (3, 2)), atol=tolerance, rtol=0)


def test_the_gradient_of_a_bias_shared_by_many_sets_is_summed_in_float32():
    torch.manual_seed(0)
    qkv = torch.randn(512, 16, 3, 1, 8)
    grads = []
    for dtype in (torch.float32, torch.bfloat16):
        bias = torch.zeros(1, 1, 16, 16, requires_grad=True)
        biased_attention(qkv.to(dtype), bias, (512,)).float().square().sum().backward()
        assert bias.grad is not None
        grads.append(bias.grad)
    # Each set is rounded to bfloat16, their sum is not: that alone would be off by several per cent.
    assert (grads[1] - grads[0]).norm() < 0.02 * grads[0].norm()


def test_dropout_of_weights_keeps_the_mean():
    torch.manual_seed(0)
    qkv, bias = torch.rand(1, 16, 3, 1, 4).expand(4000, -1, -1, -1, -1), torch.zeros(1, 1, 16, 16)
    dropped = biased_attention(qkv, bias, (4000,), dropout=0.4)
    torch.testing.assert_close(dropped.mean(0), formula(qkv[:1], bias, (1,))[0], atol=0.02, rtol=0)


@pytest.mark.parametrize("shared", [True, False])
def test_the_plain_form_is_the_formula(shared):
    torch.manual_seed(0)
    qkv = torch.randn(5, 9, 3, 2, 4, dtype=torch.float64)
    bias = torch.randn(1 if shared else 5, 2, 9, 9, dtype=torch.float64)
    expected = formula(qkv, bias, (5,) if shared else (1,) * 5)
    torch.testing.assert_close(attention_by_products(qkv, bias), expected)
    dropped = attention_by_products(qkv[:1].expand(4000, -1, -1, -1, -1), bias[:1], dropout=0.4)
    torch.testing.assert_close(dropped.mean(0), formula(qkv[:1], bias[:1], (1,))[0], atol=0.15, rtol=0)


def windows_of(size, window):
    return plain_and_shifted_windows(size, window, CPU, torch.float32)


def cut(image, window):
    """Windows of (B, 1, H, W) in raster order, as tuples of pixels."""
    batch, _, height, width = image.shape
    return [
        tuple(image[b, 0, y : y + window, x : x + window].flatten().tolist())
        for b in range(batch)
        for y in range(0, height, window)
        for x in range(0, width, window)
    ]


@pytest.mark.parametrize("form", [nullcontext, plain_form])
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([2, 4, 6]))
def test_windows_are_those_of_the_image_and_of_the_rolled_image(form, batch, down, across, window):
    size = (batch, down * window, across * window)
    image = torch.arange(batch * size[1] * size[2]).view(batch, 1, *size[1:])
    rolled = image.roll((-window // 2, -window // 2), (2, 3))
    count = batch * down * across
    with form():
        rows = to_rows(image, window)
        assert torch.equal(from_rows(rows, window, size), image)
        for windows, expected in zip(windows_of(size, window), (image, rolled), strict=True):
            ordered = windows.partition(rows)
            assert torch.equal(windows.merge(ordered), rows)
            found = [tuple(row) for row in ordered.view(-1, window**2).tolist()[:count]]
            # The fast form sorts shifted windows by kind.
            assert (found if windows.counts is None else sorted(found)) == (
                cut(expected, window) if windows.counts is None else sorted(cut(expected, window))
            )
    interior = (down - 1) * (across - 1)
    counts = tuple(batch * number for number in (interior, down - 1, across - 1, 1))
    assert [windows.counts for windows in windows_of(size, window)] == [(count,), counts]


@pytest.mark.parametrize("form", [nullcontext, plain_form])
@given(st.sampled_from([2, 4, 8]), st.integers(1, 2), st.integers(2, 3), st.integers(2, 3))
def test_masks_separate_what_only_the_shift_brought_together(form, window, batch, down, across):
    """A pixel may see another of its shifted window exactly if both were near each other before the shift."""
    height, width = size = (down * window, across * window)
    with form():
        _, shifted = windows_of((batch, *size), window)
        pixels = to_rows(torch.arange(batch * height * width).view(batch, 1, *size), window)
        pixels = shifted.partition(pixels).view(-1, window**2)[: batch * down * across]
    y, x = pixels // width % height, pixels % width
    far = ((y[:, :, None] - y[:, None]).abs() >= window) | ((x[:, :, None] - x[:, None]).abs() >= window)
    assert shifted.masks is not None
    masks = (
        shifted.masks if shifted.counts is None else shifted.masks.repeat_interleave(torch.tensor(shifted.counts), 0)
    )
    assert torch.equal(masks[: len(far), 0] == -100, far)
    assert torch.equal(edge_masks(window, CPU, torch.float32).unique(), torch.tensor([-100.0, 0.0]))


def test_each_offset_has_its_own_row_of_the_table():
    window = 3
    index = relative_position_index(window, CPU).view(window**2, window**2)
    seen = {}
    for a in range(window**2):
        for b in range(window**2):
            offset = (a // window - b // window, a % window - b % window)
            assert seen.setdefault(offset, int(index[a, b])) == index[a, b]
    assert len(set(seen.values())) == len(seen) == (2 * window - 1) ** 2
    assert index[0, 0] == (2 * window - 1) ** 2 // 2


def test_the_gradient_of_a_permutation_is_the_inverse_permutation():
    _, shifted = windows_of((1, 4, 4), 2)
    rows = torch.randn(16, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: Permute.apply(r, shifted.order, shifted.inverse), (rows,))
    assert torch.autograd.gradgradcheck(lambda r: Permute.apply(r, shifted.order, shifted.inverse), (rows,))
