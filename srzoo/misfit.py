"""Explanation of weights that do not fit a network: which keys differ, and which option is the likely cause."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from srzoo.contract import NetworkIdentity, contract_of, count_modules
from srzoo.recognise import describe, layout_of, recognise
from srzoo.state_dicts import shortened


def explain(
    net: nn.Module, tensors: Mapping[str, Tensor], published: Mapping[str, Tensor], found: Mapping[str, Sequence[str]]
) -> str:
    """Describe the result of :func:`srzoo.state_dicts.misfits` line by line, likely causes and a remedy last.

    Args:
        net: the network.
        tensors: the weights under the network's own keys, as far as it knows other spellings.
        published: the weights under the file's keys.
        found: keys that differ, by kind.
    """
    listed = [f"  {len(names)} {kind}: {shortened(list(names))}" for kind, names in found.items()]
    causes, recognised = _likely_options(net, tensors), recognise(published)
    own = getattr(net, "identity", None)
    same = [identity for identity in recognised if own is not None and identity.type == own.type]
    if not same and recognised:
        names = dict.fromkeys(identity.type for identity in recognised)
        causes = [f"the file holds {name} weights (network_g.type)" for name in names]
    elif not same and not causes and (layout := layout_of(published)):
        # The keys by which a file differs from the network's own layout are listed already.
        is_own = own is not None and layout.startswith(f"{own.type} ")
        causes = [] if is_own else [f"the file has the layout of {layout}"]
    listed += [f"  likely cause: {cause}" for cause in causes]
    listed += [f"  would fit: {changes}" for identity in same or recognised if (changes := _changes(net, identity))]
    return "\n".join(listed)


def _likely_options(net: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Name the options that would explain the differences."""
    expected, causes = net.state_dict(), []
    for pattern, option in contract_of(net).key_options.items():
        here, in_file = _measure(pattern, expected), _measure(pattern, tensors)
        if here and in_file and here != in_file:
            causes.append(f"`{option}`: the file has {in_file}, the network {here}")
    return causes


def _measure(pattern: str, tensors: Mapping[str, Tensor]) -> str:
    """Count the numbered modules that a pattern with a group matches; without a group, give the first size."""
    for name, tensor in tensors.items():
        match = re.match(pattern, name)
        if match and match.groups():
            return f"{count_modules(pattern, tensors)} {name[: match.start(1)]}*"
        if match:
            return f"{tensor.shape[0]} channels in {name}"
    return ""


def _changes(net: nn.Module, identity: NetworkIdentity) -> str:
    """Describe the options that turn a network into another of its type; the whole network if the type differs."""
    own = getattr(net, "identity", None)
    if own is None or own.type != identity.type:
        return describe(identity)
    free, now = contract_of(net).free_options, own.flat()
    return ", ".join(
        f"{name if name == 'scale' else f'network_g.{name}'}: {value}"
        for name, value in identity.flat().items()
        if value != now.get(name) and name not in free
    )
