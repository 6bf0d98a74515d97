"""Attention with a bias: our CPU forms against the formula, in values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.layers.attention import _fused, biased_attention
from srzoo.layers.window import (
    Permute,
    edge_masks,
    from_windows,
    relative_position_index,
    shifted_order,
    to_windows,
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


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([2, 4, 6]))
def test_shifted_rows_are_those_of_the_rolled_image(batch, down, across, window):
    height, width = down * window, across * window
    image = torch.arange(batch * height * width).view(batch, 1, height, width)
    rows = to_windows(image, window)
    assert torch.equal(from_windows(rows, window, (batch, height, width)), image)
    order = shifted_order((batch, height, width), window, CPU)
    shifted = rows[order.there]
    assert torch.equal(shifted[order.back], rows)
    assert order.counts == (
        batch * (down - 1) * (across - 1),
        batch * (down - 1),
        batch * (across - 1),
        batch,
    )
    rolled = to_windows(image.roll((-window // 2, -window // 2), (2, 3)), window).view(-1, window**2)
    assert {tuple(row) for row in shifted.view(-1, window**2).tolist()} == {tuple(row) for row in rolled.tolist()}


@given(st.sampled_from([2, 4, 8]))
def test_masks_separate_what_only_the_shift_brought_together(window):
    """A pixel may see another of its shifted window exactly if both lay on the same side of the image's edges."""
    order = shifted_order((1, 2 * window, 2 * window), window, CPU)
    assert order.counts == (1, 1, 1, 1)
    image = torch.arange(4 * window**2).view(1, 1, 2 * window, 2 * window)
    pixels = to_windows(image, window)[order.there].view(4, window**2)
    y, x = pixels // (2 * window), pixels % (2 * window)
    far = ((y[:, :, None] - y[:, None]).abs() >= window) | ((x[:, :, None] - x[:, None]).abs() >= window)
    assert torch.equal(edge_masks(window, CPU, torch.float32)[:, 0] == -100, far)


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
    order = shifted_order((1, 4, 4), 2, CPU)
    rows = torch.randn(16, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: Permute.apply(r, order.there, order.back), (rows,))
    assert torch.autograd.gradgradcheck(lambda r: Permute.apply(r, order.there, order.back), (rows,))
