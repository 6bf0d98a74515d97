"""Softmax attention within many small sets of pixels, with an additive bias per kind of set.

On a GPU and under torch.compile this is PyTorch's fused attention. On a CPU its fused kernel gives the bias no gradient
and is slow in bfloat16, so that there are two other forms: training recomputes the attention weights of one set after
the other in the backward pass, in the cache, instead of keeping them (Dao et al., "FlashAttention", NeurIPS 2022,
arXiv:2205.14135, section 3.1), and bfloat16 uses batched products.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

Counts = tuple[int, ...]


def attention_by_products(qkv: Tensor, bias: Tensor, dropout: float = 0.0) -> Tensor:
    """Compute softmax(q k^T / sqrt(c) + bias) v as written: the plain form, for every device and every exporter.

    Args:
        qkv: query, key and value (S, N, 3, heads, c) of S sets of N pixels.
        bias: added to the scores, (S, heads, N, N) or (1, heads, N, N).
        dropout: probability of dropping an attention weight.

    Returns (S, N, heads * c).
    """
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (S, heads, N, c)
    scores = (query * query.shape[-1] ** -0.5) @ key.mT + bias.to(qkv.dtype)  # (S, heads, N, N)
    weights = F.dropout(scores.softmax(-1), dropout, training=dropout > 0)
    return (weights @ value).transpose(1, 2).flatten(2)  # (S, N, heads * c)


def biased_attention(qkv: Tensor, bias: Tensor, counts: Counts, dropout: float = 0.0) -> Tensor:
    """Compute softmax(q k^T / sqrt(c) + bias) v for each set of pixels and each head, in the fastest form.

    Args:
        qkv: query, key and value (S, N, 3, heads, c) of S sets of N pixels, sorted by kind.
        bias: added to the scores of each kind of set, (kinds, heads, N, N).
        counts: number of sets of each kind; they add up to S.
        dropout: probability of dropping an attention weight.

    Returns (S, N, heads * c).
    """
    bias = bias.to(qkv.dtype)
    if qkv.device.type == "cpu" and not torch.compiler.is_compiling() and not dropout:
        return _Recomputed.apply(qkv, bias, counts)
    return _kind_by_kind(qkv, bias, counts, dropout)


def _kind_by_kind(qkv: Tensor, bias: Tensor, counts: Counts, dropout: float = 0.0) -> Tensor:
    """Apply fused attention to the sets of each kind: (S, N, 3, heads, c) -> (S, N, heads * c)."""
    kinds = [(part, own) for part, own in zip(qkv.split(counts), bias.unbind(0), strict=True) if len(part)]
    multiple = 8 if qkv.is_cuda else 1  # alignment of a head's width that the fused kernels of GPUs require
    parts = [_fused(part, own, dropout, multiple) for part, own in kinds]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _fused(qkv: Tensor, bias: Tensor, dropout: float, multiple: int = 1) -> Tensor:
    """Apply fused attention to sets of one kind, with heads widened by zeros to a multiple, which changes nothing."""
    width = qkv.shape[-1]
    if width % multiple:  # padding by nothing would copy
        qkv = F.pad(qkv, (0, -width % multiple))
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (S, heads, N, c)
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None], dropout_p=dropout, scale=width**-0.5)
    return out[..., :width].transpose(1, 2).flatten(2)  # (S, N, heads * c)


def _set_by_set(qkv: Tensor, bias: Tensor, counts: Counts) -> Tensor:
    """Attend in one set after the other, so that its weights stay in a core's cache."""
    sets, pixels, _, heads, width = qkv.shape
    out = qkv.new_empty(sets, pixels, heads, width)
    for kind, one, target in zip(_kinds(counts), qkv, out, strict=True):
        query, key, value = _heads_first(one)
        target.copy_(torch.bmm(_weights(query, key, bias[kind]), value).transpose(0, 1))  # (N, heads, c)
    return out.flatten(2)  # (S, N, heads * c)


def _kinds(counts: Counts) -> list[int]:
    """Return the kind of each set."""
    return [kind for kind, count in enumerate(counts) for _ in range(count)]


def _heads_first(qkv: Tensor) -> tuple[Tensor, ...]:
    """Return query, key and value of one set (N, 3, heads, c) as views (heads, N, c)."""
    return qkv.permute(1, 2, 0, 3).unbind(0)  # (3, heads, N, c) -> 3 times (heads, N, c)


def _weights(query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
    """Return softmax(q k^T / sqrt(c) + bias) of one set: (heads, N, N)."""
    return torch.baddbmm(bias, query, key.mT, alpha=query.shape[-1] ** -0.5).softmax(-1)


class _Recomputed(torch.autograd.Function):
    """Attention that keeps its inputs and output for the backward pass, not its weights."""

    @staticmethod
    def forward(ctx: FunctionCtx, qkv: Tensor, bias: Tensor, counts: Counts) -> Tensor:
        # Detached: PyTorch refuses the fused kernel if the bias requires a gradient, even inside a custom function.
        with torch.autocast("cpu", enabled=False):
            form = _kind_by_kind if qkv.dtype == torch.float32 else _set_by_set
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
        # The gradient of the bias is a sum over many sets: in float32 at least, whatever the precision of a set.
        grad_qkv, grad_bias = (
            torch.empty_like(qkv),
            torch.zeros_like(bias, dtype=torch.promote_types(bias.dtype, torch.float32)),
        )
        for kind, one, grad, attended, target in zip(_kinds(counts), qkv, grads[0], out, grad_qkv, strict=True):
            query, key, value = _heads_first(one)
            weights = _weights(query, key, bias[kind])
            grad = grad.view(pixels, heads, width).transpose(0, 1)  # (heads, N, c)
            attended = attended.view(pixels, heads, width).transpose(0, 1)  # (heads, N, c)
            # Softmax backward: weights * (grad_weights - row sum of weights * grad_weights); the sum is grad . out.
            grad_scores = torch.bmm(grad, value.mT)  # (heads, N, N)
            grad_scores.sub_((grad * attended).sum(-1, keepdim=True)).mul_(weights)
            grad_bias[kind] += grad_scores
            scaled = grad_scores.mul_(width**-0.5)
            grad_query, grad_key, grad_value = _heads_first(target)
            grad_query.copy_(torch.bmm(scaled, key))
            grad_key.copy_(torch.bmm(scaled.mT, query))
            grad_value.copy_(torch.bmm(weights.mT, grad))
        return grad_qkv, grad_bias.to(bias.dtype), None
