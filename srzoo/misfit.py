"""Explanation of weights that do not fit a network: which keys differ, and which option is the likely cause."""

import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from srzoo.contract import contract_of
from srzoo.registry import ARCHS


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


def explain(net: nn.Module, tensors: Mapping[str, Tensor], found: Mapping[str, Sequence[str]]) -> str:
    """Describe the result of :func:`misfits` line by line, likely causes last."""
    listed = [f"  {len(names)} {kind}: {shortened(names)}" for kind, names in found.items()]
    return "\n".join(listed + [f"  likely cause: {cause}" for cause in _likely_causes(net, tensors)])


def shortened(names: Sequence[str], shown: int = 6) -> str:
    """Join names with commas, the first `shown` of them."""
    return ", ".join(names[:shown]) + (f", ... ({len(names) - shown} more)" if len(names) > shown else "")


def _likely_causes(net: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Name the options that would explain the differences, or the network types that the keys belong to."""
    expected, causes = net.state_dict(), []
    for pattern, option in contract_of(net).key_options.items():
        here, in_file = _measure(pattern, expected), _measure(pattern, tensors)
        if here and in_file and here != in_file:
            causes.append(f"`{option}`: the file has {in_file}, the network {here}")
    if not causes and tensors.keys() != expected.keys():
        causes += [f"the file holds {name} weights (network_g.type)" for name in ARCHS if _has_keys(name, tensors)]
    return causes


def _measure(pattern: str, tensors: Mapping[str, Tensor]) -> str:
    """Count the numbered modules that a pattern with a group matches; without a group, give the first size."""
    matches = [(match, tensors[name]) for name in tensors if (match := re.match(pattern, name))]
    if not matches:
        return ""
    if matches[0][0].groups():
        first = matches[0][0]
        return f"{len({match.group(1) for match, _ in matches})} {first.string[: first.start(1)]}*"
    return f"{matches[0][1].shape[0]} channels in {matches[0][0].string}"


def _has_keys(name: str, keys: Iterable[str]) -> bool:
    """Return True if an arch with default options has exactly these keys at its first scale."""
    scales = contract_of(ARCHS[name]).scales or (4,)
    with torch.device("meta"):  # shapes without memory
        return ARCHS.build(name, {}, scale=scales[0]).state_dict().keys() == set(keys)
