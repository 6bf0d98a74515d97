"""A record of the operators that a network runs, and of those whose results reach its output.

The network runs on PyTorch's meta device, without values: an image of any size takes no memory and no time, and code
that PyTorch cannot see into (NumPy, kernels called by address) cannot run unnoticed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag

from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from srzoo.analysis.operators import CONVOLUTIONS, OTHERS, PRODUCTS, is_known


class TensorOrigin(Flag):
    """Sources that values were computed from; none of them: numbers in the code."""

    CODE = 0
    IMAGE = 1
    WEIGHTS = 2


@dataclass(frozen=True)
class Call:
    """One operator that ran.

    Args:
        name: of the operator, "aten::convolution".
        known: its multiply-adds are known.
        multiply_adds: of this call.
        factors: origins of the two factors of a convolution (image, kernel) or product.
        out: shape of the first output.
        reads: storages that it read.
        writes: storages that it wrote.
    """

    name: str
    known: bool
    multiply_adds: int
    factors: tuple[TensorOrigin, TensorOrigin]
    out: tuple[int, ...]
    reads: frozenset[int]
    writes: frozenset[int]


@dataclass
class Recording(TorchDispatchMode):
    """The operators that run inside the ``with`` block, on meta tensors.

    Args:
        origins: storage -> origins of its values.
        calls: in order.
    """

    origins: dict[int, TensorOrigin] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        # Storages are known by address: none may be freed, and its address reused, while the record grows.
        self._alive: list[Tensor] = []
        self.failed: str | None = None  # name of the operator that raised

    def mark(self, tensor: Tensor, origin: TensorOrigin) -> None:
        """State the origin of a tensor's values."""
        self.origins[self._storage(tensor)] = origin

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        del types
        named = dict(kwargs or {})
        if not is_known(func):
            # An operator that PyTorch defines by others is recorded as those.
            with self:
                out = func.decompose(*args, **named)
            if out is not NotImplemented:
                return out
        # Tables that the network made on a CPU join the images on the meta device.
        args = tree_map_only(Tensor, _without_values, args)
        named = tree_map_only(Tensor, _without_values, named)
        try:
            out = func(*args, **named)
        except Exception:
            self.failed = func._schema.name
            raise
        self._add(func, args, named, out)
        return out

    def _add(self, func: OpOverload, args: tuple[object, ...], kwargs: dict[str, object], out: object) -> None:
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        outputs = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        reads = frozenset(map(self._storage, inputs))
        writes = frozenset(map(self._storage, outputs + _changed(func, args, kwargs)))
        name, origin = func._schema.name, TensorOrigin.CODE
        multiply_adds, factors = self._multiply_adds(name, args, inputs, outputs)
        for storage in reads:
            origin |= self.origins.get(storage, TensorOrigin.CODE)
        for storage in writes:
            self.origins[storage] = self.origins.get(storage, TensorOrigin.CODE) | origin
        shape = tuple(outputs[0].shape) if outputs else ()
        self.calls.append(Call(name, is_known(func), multiply_adds, factors, shape, reads, writes))

    def _multiply_adds(
        self, name: str, args: tuple[object, ...], inputs: list[Tensor], outputs: list[Tensor]
    ) -> tuple[int, tuple[TensorOrigin, TensorOrigin]]:
        """Return the multiply-adds of a call and the origins of its factors."""
        if name in CONVOLUTIONS:
            rule, pair = CONVOLUTIONS[name], args[:2]
        elif name in PRODUCTS:
            rule, left = PRODUCTS[name]
            pair = args[left : left + 2]
        elif name in OTHERS:
            rule, pair = OTHERS[name], (inputs * 2)[:2]
        else:
            return 0, (TensorOrigin.CODE, TensorOrigin.CODE)
        first, second = (self.origins.get(self._storage(tensor), TensorOrigin.CODE) for tensor in pair)  # pyright: ignore[reportArgumentType]
        return rule(args, outputs[0]), (first, second)

    def _storage(self, tensor: Tensor) -> int:
        self._alive.append(tensor)
        return tensor.untyped_storage()._cdata

    def reaching(self, output: Tensor) -> list[Call]:
        """Return the calls whose results the output depends on, in order.

        A storage is followed as a whole: a convolution counts in full if one of its channels is used.
        """
        live, kept = {self._storage(output)}, []
        for call in reversed(self.calls):
            # An unknown operator without a result may do anything.
            if live & call.writes or (not call.known and not call.writes):
                live |= call.reads
                kept.append(call)
        return kept[::-1]


def _without_values(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_meta else tensor.to("meta")


def _changed(func: OpOverload, args: tuple[object, ...], kwargs: dict[str, object]) -> list[Tensor]:
    """Return the tensors that an operator writes to in place."""
    changed: list[Tensor] = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = kwargs.get(argument.name, args[place] if place < len(args) else None)
            changed += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return changed
