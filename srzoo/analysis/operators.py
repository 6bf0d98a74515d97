"""PyTorch's operators, as far as costs go: those that multiply, and those known not to.

Convention of every count: one multiply-add is 1; convolutions and matrix products are counted; biases, activations,
norms, pooling, interpolation and moving data are not. An operator in neither list is unknown, and a network that needs
it cannot be counted: guessing zero is how a transformer gets a tenth of its cost.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch._ops import OpOverload

# Arguments of an operator and its first output -> multiply-adds.
Rule = Callable[[tuple[object, ...], Tensor], int]


def _convolution(args: tuple[object, ...], out: Tensor) -> int:
    image, weight, transposed = args[0], args[1], args[6]
    assert isinstance(image, Tensor)
    assert isinstance(weight, Tensor)
    # Each output is a sum over (C_in / groups, kernel); transposed, each input goes to (C_out / groups, kernel).
    return (image if transposed else out).numel() * math.prod(weight.shape[1:])


def _product(first: int) -> Rule:
    """Return the rule of a matrix product whose left factor (..., N, K) is the argument at `first`."""

    def rule(args: tuple[object, ...], out: Tensor) -> int:
        left = args[first]
        assert isinstance(left, Tensor)
        return out.numel() * left.shape[-1]

    return rule


def _summed_products(args: tuple[object, ...], out: Tensor) -> int:
    left = args[1]  # (B, N, K): B products, added
    assert isinstance(left, Tensor)
    return out.numel() * left.shape[0] * left.shape[-1]


def _attention(args: tuple[object, ...], out: Tensor) -> int:
    query, key = args[:2]  # (..., N, c) and (..., M, c); the output is (..., N, c of the values)
    assert isinstance(query, Tensor)
    assert isinstance(key, Tensor)
    rows = math.prod(query.shape[:-1])
    return rows * key.shape[-2] * (query.shape[-1] + out.shape[-1])


CONVOLUTIONS = {"aten::convolution": _convolution, "aten::_convolution": _convolution}
# Operator -> its rule and the place of its left factor; the right one follows it.
PRODUCTS: dict[str, tuple[Rule, int]] = {
    "aten::mm": (_product(0), 0),
    "aten::bmm": (_product(0), 0),
    "aten::mv": (_product(0), 0),
    "aten::dot": (_product(0), 0),
    "aten::addmm": (_product(1), 1),
    "aten::addmv": (_product(1), 1),
    "aten::baddbmm": (_product(1), 1),
    "aten::addbmm": (_summed_products, 1),
    "aten::_scaled_dot_product_flash_attention_for_cpu": (_attention, 0),
    "aten::_scaled_dot_product_flash_attention": (_attention, 0),
    "aten::_scaled_dot_product_efficient_attention": (_attention, 0),
    "aten::_scaled_dot_product_cudnn_attention": (_attention, 0),
    "aten::_scaled_dot_product_fused_attention_overrideable": (_attention, 0),
}
# Multiply-adds of operators of other packages: "package::operator" -> rule. Their products count as linear layers if
# one factor comes from the network's weights, and as attention products otherwise.
OTHERS: dict[str, Rule] = {}

_FREE = """
alias arange as_strided clone contiguous copy_ copy detach detach_ empty empty_like empty_permuted empty_strided eye
fill_ fill full full_like lift lift_fresh lift_fresh_copy linspace new_empty new_empty_strided new_full new_ones
new_zeros ones ones_like resize_ scalar_tensor set_ zero_ zeros zeros_like _to_copy _unsafe_view _reshape_copy

bernoulli bernoulli_ exponential_ native_dropout normal normal_ rand rand_like randint randint_like randn randn_like
randperm uniform_

cat channel_shuffle col2im constant_pad_nd diag_embed embedding flip gather im2col index index_copy index_fill
index_put index_put_ index_select masked_fill masked_fill_ masked_scatter native_channel_shuffle pixel_shuffle
pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat repeat_interleave replication_pad1d
replication_pad2d replication_pad3d roll rot90 scatter scatter_ scatter_add scatter_add_ slice_scatter select_scatter
stack tril tril_indices triu triu_indices unfold _pad_circular

all amax amin aminmax any argmax argmin argsort cummax cummin cumprod cumsum linalg_vector_norm logcumsumexp logsumexp
max mean median min mode nansum norm prod sort std std_mean sum topk var var_mean _log_softmax _safe_softmax _softmax

batch_norm cudnn_batch_norm native_batch_norm native_group_norm native_layer_norm _batch_norm_with_update
_fused_rms_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _weight_norm_interface

adaptive_avg_pool1d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d
max_pool2d_with_indices max_pool3d_with_indices _adaptive_avg_pool2d _adaptive_avg_pool3d

grid_sampler_2d grid_sampler_3d upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d
upsample_nearest2d upsample_nearest3d upsample_trilinear3d _upsample_bicubic2d_aa _upsample_bilinear2d_aa
_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d

celu_ elu elu_ floor_divide gelu glu hardsigmoid hardswish hardswish_ hardtanh hardtanh_ leaky_relu leaky_relu_ mish
mish_ prelu relu6 rrelu_with_noise selu_ silu silu_ softplus softshrink threshold _prelu_kernel
"""
# Operators that move, choose, reduce, normalise or interpolate values; those that work on each element are known by
# PyTorch's own tag.
FREE = frozenset(f"aten::{name}" for name in _FREE.split())


def is_free(operator: OpOverload) -> bool:
    """Return True if an operator is known to have no multiply-adds under the convention above."""
    name = operator._schema.name
    if not name.startswith("aten::") or name in CONVOLUTIONS or name in PRODUCTS:
        return False  # another package's operator may carry any tag
    return name in FREE or torch.Tag.pointwise in operator.tags or operator.is_view


def is_known(operator: OpOverload) -> bool:
    """Return True if an operator's multiply-adds are known: free or counted."""
    name = operator._schema.name
    return name in CONVOLUTIONS or name in PRODUCTS or name in OTHERS or is_free(operator)
