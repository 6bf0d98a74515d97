"""State dicts in the content of a weights file: found by their content, freed of wrappers' names, and checked.

People save a state dict bare, under any name and at any depth, beside optimisers and notes, and from networks that
something had wrapped (DataParallel, torch.compile, a moving average), which leaves the wrapper's name in every key.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from srzoo.tensor_files import LARGEST_EXPANSION, CheckpointError

# Names of moving averages: authors publish the numbers of these.
_AVERAGE = re.compile(r"(^|[_.-])(ema|swa|avg|averaged?|shadow)|(ema|EMA|Ema)$")
_DISCRIMINATOR = re.compile(r"(^|[_.-])(d|D|disc|discriminator|netD)(\.|$)")
# Modules that torch.compile, FSDP and checkpointing put between two names.
_WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_MOST_NETWORKS = 16
# Types that weights are stored in.
_TYPES = {torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.int32, torch.int16}
_TYPES |= {torch.int8, torch.uint8, torch.bool}


class FoundState(NamedTuple):
    """A state dict in a file.

    Args:
        key: name of the entry that holds it, with the names above it where that alone is not unique; "" for the file's
            top level.
        tensors: state-dict key -> tensor, wrappers' names removed.
    """

    key: str
    tensors: dict[str, Tensor]


def find_state_dicts(content: Mapping[str, object], source: str) -> list[FoundState]:
    """Return every mapping from names to tensors in the content of a file, the most likely one first.

    Moving averages come first, then others in the file's order; discriminators and mappings of few values, such as
    numbers of a log, last.

    Args:
        content: what the file holds.
        source: name of the file, for error messages.

    Raises:
        CheckpointError: there is none.
    """
    found = [(names, _unwrapped(tensors)) for names, tensors in _mappings_of_tensors(content)]
    if not found:
        listed = ", ".join(str(name) for name in list(content)[:5]) or "no entry"
        kinds = _other_keys(content)
        hint = f"tensors under keys of type {', '.join(kinds)}" if kinds else listed
        raise CheckpointError(
            f"{source}: holds no weights: expected name -> tensor, bare or in an entry such as params or state_dict, "
            f"found {hint}"
        )
    last_names = [names[-1] if names else "" for names, _ in found]
    states = [
        FoundState(name if last_names.count(name) == 1 else ".".join(names), tensors)
        for name, (names, tensors) in zip(last_names, found, strict=True)
    ]
    sizes = {state.key: sum(map(torch.numel, state.tensors.values())) for state in states}
    generators = [size for name, size in sizes.items() if not _DISCRIMINATOR.search(name)]
    large = max(generators, default=0) / 2

    def place(state: FoundState) -> tuple[bool, bool, bool]:
        is_discriminator = bool(_DISCRIMINATOR.search(state.key))
        return is_discriminator, sizes[state.key] < large, not _AVERAGE.search(state.key)

    return sorted(states, key=place)


def _mappings_of_tensors(content: Mapping[str, object]) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Yield (names that lead to it, tensors) of each mapping with tensors, breadth first, each mapping once."""
    queue: deque[tuple[tuple[str, ...], Mapping[str, object]]] = deque([((), content)])
    seen: set[int] = set()
    while queue:
        names, mapping = queue.popleft()
        # A file may refer to one mapping from many places, itself included.
        if id(mapping) in seen:
            continue
        seen.add(id(mapping))
        # Numbers as keys are an optimiser's, whose moments look like weights.
        named = {name: value for name, value in mapping.items() if isinstance(name, str)}
        tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
        if tensors:
            yield names, tensors
        queue.extend(((*names, name), value) for name, value in named.items() if isinstance(value, Mapping))


def _other_keys(content: Mapping[str, object]) -> list[str]:
    """Return the types of keys other than text that lead to tensors."""
    mappings = [content, *(value for value in content.values() if isinstance(value, Mapping))]
    names = [name for mapping in mappings for name, value in mapping.items() if isinstance(value, Tensor)]
    return list(dict.fromkeys(type(name).__name__ for name in names if not isinstance(name, str)))


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the names and counters that wrappers leave in a state dict."""
    named = {_WRAPPERS.sub("", name): tensor for name, tensor in tensors.items()}
    # AveragedModel counts its updates in the state dict.
    kept = {name: tensor for name, tensor in named.items() if name.rpartition(".")[2] != "n_averaged"}
    while kept and all(name.startswith("module.") for name in kept):
        kept = {name.removeprefix("module."): tensor for name, tensor in kept.items()}
    return kept or named


def parts_of(states: list[FoundState]) -> Iterator[FoundState]:
    """Yield the weights under each first name of the keys, of state dicts that hold several networks side by side."""
    for state in states:
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in state.tensors.items():
            first, _, rest = name.partition(".")
            parts.setdefault(first, {})[rest] = tensor
        # The recipes of papers have a handful of networks; more first names are those of one network's layers.
        if 1 < len(parts) <= _MOST_NETWORKS:
            yield from (FoundState(f"{state.key}.{first}".lstrip("."), part) for first, part in parts.items())


def without_prefixes(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield the state dict, and again without the first name of all its keys while all have the same first name.

    A network may begin all its keys with one name too, so that the caller takes the first that fits.
    """
    current = dict(tensors)
    while current:
        yield current
        first = {name.partition(".")[0] for name in current}
        if len(first) > 1 or not all("." in name for name in current):
            return
        current = {name.partition(".")[2]: tensor for name, tensor in current.items()}


def refuse_unusual(tensors: Mapping[str, Tensor], source: str) -> None:
    """Check that tensors are dense arrays of numbers that the file holds in full.

    Raises:
        CheckpointError: one is not; names it.
    """
    for name, tensor in tensors.items():
        kind = ""
        if tensor.is_nested or tensor.is_quantized or tensor.is_meta:
            kind = "nested" if tensor.is_nested else "quantised" if tensor.is_quantized else "empty (meta)"
        elif tensor.layout != torch.strided:
            kind = "sparse"
        elif tensor.dtype not in _TYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
        if kind:
            raise CheckpointError(f"{source}: {name} is a {kind} tensor, expected a dense one of ordinary numbers")
        stored, shown = tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size()
        # A view that repeats its values, which any copy would write out; small ones do no harm.
        if shown > max(LARGEST_EXPANSION * stored, 2**20):
            raise CheckpointError(f"{source}: refused, because {name} unpacks to {shown:,} bytes from {stored:,}")


def misfits(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """List the keys that are missing, unexpected and of another shape; empty if `tensors` fit `expected`."""
    found = {
        "missing": [name for name in expected if name not in tensors],
        "unexpected": [name for name in tensors if name not in expected],
        "of another shape": [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in tensors and tensors[name].shape != tensor.shape
        ],
    }
    return {kind: names for kind, names in found.items() if names}


def shortened(names: list[str], shown: int = 6) -> str:
    """Join names with commas, the first `shown` of them; line breaks in a name are shown as such."""
    listed = ", ".join(repr(name)[1:-1] for name in names[:shown])
    return listed + (f", ... ({len(names) - shown} more)" if len(names) > shown else "")


def interpolated(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], alpha: float, names: tuple[str, str] = ("A", "B")
) -> dict[str, Tensor]:
    """Return alpha * first + (1 - alpha) * second, entry by entry; integers and truth values are those of `first`.

    Wang et al., "Deep Network Interpolation for Continuous Imagery Effect Transition", CVPR 2019, arXiv:1811.10515,
    equation 2.

    Args:
        first: state dict of a network.
        second: of another one of the same kind, usually trained further from it.
        alpha: weight of `first`.
        names: of the two, for error messages.

    Raises:
        ValueError: keys or shapes differ.
    """
    found = misfits(first, second)
    if found:
        lines = "".join(f"\n  {kind}: {shortened(keys)}" for kind, keys in found.items())
        raise ValueError(f"{names[1]} has other entries than {names[0]}, and cannot be blended with it:{lines}")
    return {
        key: alpha * tensor + (1 - alpha) * second[key] if tensor.is_floating_point() else tensor
        for key, tensor in first.items()
    }
