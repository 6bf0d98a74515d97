"""Costs of a network that do not depend on the machine: parameters, multiply-adds, activations, convolutions.

Conventions are those of the tables in papers, named in docs/costs.md: one multiply-add counts as 1; convolutions and
linear layers; products of attention apart; activations are outputs of convolutions (the NTIRE challenges' definition).
What does not reach the output is not counted, and what cannot be counted is refused.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal, TypedDict

import torch
from torch import Tensor, nn
from torch.func import functional_call

from srzoo.analysis.operators import CONVOLUTIONS
from srzoo.analysis.recording import Call, Recording, TensorOrigin
from srzoo.blueprint import blueprint
from srzoo.contract import identity_of
from srzoo.layers import reparam
from srzoo.layers.plain import plain_form
from srzoo.registry import ARCHS

Kind = Literal[
    "conv_multiply_adds",
    "linear_multiply_adds",
    "attention_product_multiply_adds",
    "functional_conv_multiply_adds",
    "other_matrix_products",
]


class UncountableError(ValueError):
    """A network whose costs cannot be counted; the message names the operator."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Costs of one pass of a network over an image.

    Args:
        input: shape (1, C, H, W).
        output: shape (1, C, scale * H, scale * W).
        params: of the network as it is trained.
        params_deployed: with re-parameterised blocks merged.
        params_unused: of the deployed ones, those that do not reach the output.
        conv_calls: runs of 2-D convolutions with learned kernels.
        activations: elements of their outputs.
        conv_multiply_adds: of convolutions with learned kernels.
        linear_multiply_adds: of products of features with weights.
        attention_product_multiply_adds: of products of features with features.
        functional_conv_multiply_adds: of convolutions whose kernel is not learned (fixed filters) or is computed from
            the image.
        other_matrix_products: of products without features or without weights, such as the making of a kernel.
    """

    input: tuple[int, ...]
    output: tuple[int, ...]
    params: int
    params_deployed: int
    params_unused: int
    conv_calls: int
    activations: int
    conv_multiply_adds: int
    linear_multiply_adds: int
    attention_product_multiply_adds: int
    functional_conv_multiply_adds: int
    other_matrix_products: int

    @property
    def multiply_adds(self) -> int:
        """Convolutions and linear layers with learned weights, as most papers count."""
        return self.conv_multiply_adds + self.linear_multiply_adds

    @property
    def multiply_adds_with_attention_products(self) -> int:
        """Multiply-adds with the products of attention, as papers on transformers count."""
        return self.multiply_adds + self.attention_product_multiply_adds

    @property
    def flops(self) -> int:
        """Everything at 2 per multiply-add, as ``torch.utils.flop_counter`` counts a network that it sees whole."""
        return 2 * (
            self.multiply_adds_with_attention_products + self.functional_conv_multiply_adds + self.other_matrix_products
        )

    def as_json(self) -> dict[str, object]:
        """Return all values by name."""
        return {
            **asdict(self),
            "multiply_adds": self.multiply_adds,
            "multiply_adds_with_attention_products": self.multiply_adds_with_attention_products,
            "torch_flop_counter_total_2_per_multiply_add": self.flops,
        }


def count_cost(net: nn.Module, height: int, width: int, *, num_in_ch: int | None = None) -> Cost:
    """Count the costs of a network as it is deployed, for an image of (height, width) LQ pixels, without running it.

    Args:
        net: network with its values or without (on the meta device); it is not changed.
        height: of the input [LQ pixels].
        width: of the input [LQ pixels].
        num_in_ch: colour channels of the input; None: those of the network's identity, else 3.

    Raises:
        UncountableError: an operator is unknown, or the network computes with values that PyTorch does not see.
    """
    unmerged = [block for _, block in reparam.blocks(net) if not block.merged]
    deployed = reparam.fused(net) if unmerged else net
    return _count(deployed, (height, width), _params_in_training(net), num_in_ch)


def count_cost_as_is(net: nn.Module, height: int, width: int, *, num_in_ch: int | None = None) -> Cost:
    """Count the costs of a network in the form that it has, merged or not; arguments as for :func:`count_cost`.

    Raises:
        UncountableError: as there.
    """
    return _count(net, (height, width), _size(net.parameters()), num_in_ch)


def _count(net: nn.Module, size: tuple[int, int], params: int, num_in_ch: int | None) -> Cost:
    """Count the costs of the form that a network has; `size` is (height, width), `params` of its training form."""
    lq = torch.empty(1, num_in_ch or _channels(net), *size, device="meta")
    tensors = {name: torch.empty_like(tensor, device="meta") for name, tensor in _named_tensors(net)}
    record = Recording()
    record.mark(lq, TensorOrigin.IMAGE)
    for tensor in tensors.values():
        record.mark(tensor, TensorOrigin.WEIGHTS)
    with _in_evaluation(net):
        sr = _run(net, tensors, lq, record)
    calls = record.reaching(sr)
    _refuse_unknown(net, calls)
    read = frozenset[int]().union(*(call.reads for call in calls))
    own = [tensors[name] for name, _ in net.named_parameters()]
    return Cost(
        input=tuple(lq.shape),
        output=tuple(sr.shape),
        params=params,
        params_deployed=_size(own),
        params_unused=_size(parameter for parameter in own if parameter.untyped_storage()._cdata not in read),
        **_sums(calls),
    )


def _run(net: nn.Module, tensors: dict[str, Tensor], lq: Tensor, record: Recording) -> Tensor:
    """Run a network with meta tensors for its weights and record it.

    Raises:
        UncountableError: it cannot run without values.
    """
    name = type(net).__name__
    try:
        # The plain form calls each layer by itself, with ordinary operators.
        with torch.no_grad(), plain_form(), record:
            sr = functional_call(net, tensors, lq)
    except (NotImplementedError, RuntimeError, TypeError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        at = f"operator {record.failed}" if record.failed else "a step that PyTorch does not see"
        raise UncountableError(
            f"the costs of {name} cannot be counted: {at} failed on an image that has a size and no values "
            f"({reason:.300}); nothing is counted as zero"
        ) from error
    if not isinstance(sr, Tensor):
        raise UncountableError(f"the costs of {name} cannot be counted: expected one image, got {type(sr).__name__}")
    return sr


@contextmanager
def _in_evaluation(net: nn.Module) -> Iterator[None]:
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _named_tensors(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the parameters and buffers of a network, those that are shared once."""
    yield from net.named_parameters()
    yield from net.named_buffers()


def _refuse_unknown(net: nn.Module, calls: list[Call]) -> None:
    unknown = sorted({call.name for call in calls if not call.known})
    if unknown:
        raise UncountableError(
            f"the costs of {type(net).__name__} cannot be counted: multiply-adds of {', '.join(unknown)} are unknown, "
            "and nothing is counted as zero; state them in srzoo.analysis.operators.OTHERS"
        )


class _OperatorSums(TypedDict):
    """The fields of :class:`Cost` that are sums over calls."""

    conv_calls: int
    activations: int
    conv_multiply_adds: int
    linear_multiply_adds: int
    attention_product_multiply_adds: int
    functional_conv_multiply_adds: int
    other_matrix_products: int


def _sums(calls: list[Call]) -> _OperatorSums:
    """Sum up the counted calls by kind."""
    sums = _OperatorSums(**dict.fromkeys(_OperatorSums.__annotations__, 0))
    for call in calls:
        if not call.multiply_adds:
            continue
        kind = _kind(call)
        sums[kind] += call.multiply_adds
        if kind == "conv_multiply_adds" and len(call.out) == 4:  # (B, C, H, W)
            sums["conv_calls"] += 1
            sums["activations"] += math.prod(call.out)
    return sums


def _kind(call: Call) -> Kind:
    """Return the field of :class:`Cost` that a call's multiply-adds belong to."""
    first, second = call.factors
    if call.name in CONVOLUTIONS:
        # Learned: the kernel comes from weights, and not from the image.
        return "conv_multiply_adds" if second == TensorOrigin.WEIGHTS else "functional_conv_multiply_adds"
    if TensorOrigin.IMAGE in first and TensorOrigin.IMAGE in second:
        return "attention_product_multiply_adds"
    # Weights and features, in either order; two weights, or a matrix in the code, are another matter.
    learned = {first, second} >= {TensorOrigin.WEIGHTS} and TensorOrigin.IMAGE in first | second
    return "linear_multiply_adds" if learned else "other_matrix_products"


def _size(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _channels(net: nn.Module) -> int:
    try:
        return identity_of(net).num_in_ch
    except ValueError:  # not built by the registry
        return 3


def _params_in_training(net: nn.Module) -> int:
    """Return the parameters of a network's training form, for a network in either form."""
    try:
        identity = identity_of(net)
    except ValueError:
        return _size(net.parameters())
    if not any(block.merged for _, block in reparam.blocks(net)):
        return _size(net.parameters())
    options = {**identity.options} | ({"deploy": False} if "deploy" in identity.options else {})
    with blueprint():
        return _size(ARCHS.build(identity.type, options, scale=identity.scale).parameters())
