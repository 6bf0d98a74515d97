"""The state dict of a file, and the form of it, that fits a network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srzoo.contract import constants_of
from srzoo.layers.reparam import Form, agree_in_form
from srzoo.recognise import under_own_keys
from srzoo.state_dicts import FoundState, misfits, parts_of, refuse_unusual, without_prefixes
from srzoo.tensor_files import CheckpointError, non_finite


@dataclass(frozen=True)
class Attempt:
    """One state dict of a file, with or without a prefix, compared with a network.

    Args:
        state: where it comes from.
        published: the weights under the file's keys.
        unused: keys of the file that the network has no use for.
        form: the other weights under the network's keys, in the form that the network will have.
        found: keys that are missing, unexpected or of another shape.
    """

    state: FoundState
    published: dict[str, Tensor]
    unused: list[str]
    form: Form
    found: dict[str, list[str]]

    @property
    def fitting(self) -> dict[str, Tensor]:
        """Weights that have a place in the network."""
        expected, tensors = self.form.expected, self.form.tensors
        return {name: t for name, t in tensors.items() if name in expected and expected[name].shape == t.shape}


def _attempts(net: nn.Module, states: list[FoundState], name: str) -> Iterator[Attempt]:
    """Yield each state dict with and without the prefixes of its keys, the most likely first."""
    for state in states:
        refuse_unusual(state.tensors, name)
        for published in without_prefixes(state.tensors):
            tensors, unused = under_own_keys(net, published)
            form = agree_in_form(net, tensors)
            yield Attempt(state, published, unused, form, misfits(form.expected, form.tensors))


def closest_fit(net: nn.Module, states: list[FoundState], name: str, partial: bool) -> Attempt:
    """Return the first attempt that fits; without one, that with fewest other keys, or with most fitting weights.

    Entries are tried in order, then parts of them under one first name.

    Args:
        net: the network.
        states: state dicts of a file, the most likely one first.
        name: of the file, for error messages.
        partial: take the attempt with most fitting weights.

    Raises:
        CheckpointError: a state dict holds tensors of another kind than weights.
    """
    kept = []
    for attempt in _attempts(net, states, name):
        if not attempt.found:
            return attempt
        kept.append(attempt)
    # A training framework may save the networks of a recipe as one: net_g.conv.weight, net_d.conv.weight.
    for attempt in () if partial else _attempts(net, list(parts_of(states)), name):
        if not attempt.found:
            return attempt
    if partial:
        return max(kept, key=lambda attempt: len(attempt.fitting))
    return min(kept, key=lambda attempt: sum(map(len, attempt.found.values())))


def check_values(net: nn.Module, tensors: Mapping[str, Tensor], published: Mapping[str, Tensor], name: str) -> None:
    """Check that values are floating-point where the network's are, finite, and equal to those built into it.

    Args:
        net: the network.
        tensors: weights to load.
        published: all weights of the file under its keys.
        name: of the file, for error messages.

    Raises:
        CheckpointError: one is not; names the tensor.
    """
    expected = net.state_dict()
    for key, tensor in tensors.items():
        if key in expected and expected[key].is_floating_point() and not tensor.is_floating_point():
            raise CheckpointError(f"{name}: {key} holds {tensor.dtype} numbers, expected floating-point ones")
    not_finite = non_finite(tensors)
    if not_finite:
        raise CheckpointError(f"{name}: values that are not finite: {not_finite}; nothing was loaded")
    for key, built_in in constants_of(net).items():
        given = published.get(key)
        if given is not None and not (
            given.shape == built_in.shape and torch.allclose(given.to(built_in), built_in, rtol=1e-3, atol=1e-4)
        ):
            raise CheckpointError(
                f"{name}: {key} is {_values(given)}, where the network has {_values(built_in)}: another "
                "network_g.img_range or mean colour; nothing was loaded"
            )


def _values(tensor: Tensor) -> str:
    shown = ", ".join(f"{value:.4g}" for value in tensor.flatten()[:3].tolist())
    return f"({shown}, ...)" if tensor.numel() > 3 else f"({shown})"
