"""Softmax attention of many small sets of pixels, with an additive bias per kind of set.

On a GPU and under torch.compile this is PyTorch's fused attention. On a CPU the fused kernel neither gives the bias a
gradient nor gains from bfloat16, so that two forms of our own step in: training recomputes the weights set by set, in
the cache, instead of keeping them (Dao et al., "FlashAttention", NeurIPS 2022, arXiv:2205.14135, section 3.1), and
bfloat16 uses plain products.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

Counts = tuple[int, ...]


def biased_attention(qkv: Tensor, bias: Tensor, counts: Counts, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(c) + bias) v for each set of pixels and each head.

    Args:
        qkv: query, key and value (S, N, 3, heads, c) of S sets of N pixels, sets of one kind side by side.
        bias: what to add before the softmax for each kind of set (kinds, heads, N, N).
        counts: sets of each kind; they add up to S.
        dropout: probability that a weight is dropped.

    Returns (S, N, heads * c).
    """
    bias = bias.to(qkv.dtype)
    if qkv.device.type == "cpu" and not torch.compiler.is_compiling() and not dropout:
        return _Recomputed.apply(qkv, bias, counts)
    return _of_each_kind(qkv, bias, counts, dropout)


def _of_each_kind(qkv: Tensor, bias: Tensor, counts: Counts, dropout: float = 0.0) -> Tensor:
    kinds = [(part, own) for part, own in zip(qkv.split(counts), bias.unbind(0), strict=True) if len(part)]
    multiple = 8 if qkv.is_cuda else 1  # what the fused kernels of GPUs ask for
    parts = [_fused(part, own, dropout, multiple) for part, own in kinds]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _fused(qkv: Tensor, bias: Tensor, dropout: float, multiple: int = 1) -> Tensor:
    """One kind of set, with heads made a multiple of some width by zeros, which change nothing."""
    width = qkv.shape[-1]
    qkv = F.pad(qkv, (0, -width % multiple))
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None], dropout_p=dropout, scale=width**-0.5)
    return out[..., :width].transpose(1, 2).flatten(2)


def _in_products(qkv: Tensor, bias: Tensor, counts: Counts) -> Tensor:
    """One set at a time, so that its weights stay in a core's cache."""
    sets, pixels, _, heads, width = qkv.shape
    out = qkv.new_empty(sets, pixels, heads, width)
    for kind, one, target in zip(_kinds(counts), qkv, out, strict=True):
        query, key, value = _heads_first(one)
        target.copy_(torch.bmm(_weights(query, key, bias[kind]), value).transpose(0, 1))
    return out.flatten(2)


def _kinds(counts: Counts) -> list[int]:
    """The kind of each set."""
    return [kind for kind, count in enumerate(counts) for _ in range(count)]


def _heads_first(qkv: Tensor) -> tuple[Tensor, ...]:
    """(N, 3, heads, c) -> three times (heads, N, c), views."""
    return qkv.permute(1, 2, 0, 3).unbind(0)


def _weights(query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias, query, key.mT, alpha=query.shape[-1] ** -0.5).softmax(-1)


class _Recomputed(torch.autograd.Function):
    """Attention that keeps its inputs and output for the backward pass, not its weights."""

    @staticmethod
    def forward(ctx: FunctionCtx, qkv: Tensor, bias: Tensor, counts: Counts) -> Tensor:
        # Detached: a bias that asks for a gradient, even one that nobody will take, keeps the fused kernel away.
        with torch.autocast("cpu", enabled=False):
            form = _of_each_kind if qkv.dtype == torch.float32 else _in_products
            out = form(qkv.detach(), bias.detach(), counts)
        ctx.save_for_backward(qkv, bias, out)
        ctx.counts = counts  # pyright: ignore[reportAttributeAccessIssue]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        qkv, bias, out = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        counts: Counts = ctx.counts  # pyright: ignore[reportAttributeAccessIssue]
        _, pixels, _, heads, width = qkv.shape
        # Summed over many sets: in float32, whatever the precision of each.
        grad_qkv, grad_bias = (
            torch.empty_like(qkv),
            torch.zeros_like(bias, dtype=torch.promote_types(bias.dtype, torch.float32)),
        )
        for kind, one, grad, attended, target in zip(_kinds(counts), qkv, grads[0], out, grad_qkv, strict=True):
            query, key, value = _heads_first(one)
            weights = _weights(query, key, bias[kind])
            grad = grad.view(pixels, heads, width).transpose(0, 1)
            attended = attended.view(pixels, heads, width).transpose(0, 1)
            # Through the softmax: weights * (grad_weights - their mean under the weights), which is grad * out summed.
            grad_scores = torch.bmm(grad, value.mT)
            grad_scores.sub_((grad * attended).sum(-1, keepdim=True)).mul_(weights)
            grad_bias[kind] += grad_scores
            scaled = grad_scores.mul_(width**-0.5)
            for_each = target.permute(1, 2, 0, 3)
            for_each[0] = torch.bmm(scaled, key)
            for_each[1] = torch.bmm(scaled.mT, query)
            for_each[2] = torch.bmm(weights.mT, grad)
        return grad_qkv, grad_bias.to(bias.dtype), None
