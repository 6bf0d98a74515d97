"""Weights on disk: any published layout loads whole or not at all; saved files rebuild their network.

Weights are written as safetensors whose metadata hold the network's identity (type, options, scale). Nothing here runs
code from a file.
"""

import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

import srzoo
from srzoo.contract import NetworkIdentity, contract_of, identity_of
from srzoo.fit import Attempt, check_values, closest_fit
from srzoo.misfit import explain
from srzoo.network_input import refuse_other_input
from srzoo.recognise import TooLargeError, build_small, describe, layout_of, recognise
from srzoo.registry import DISCRIMINATORS
from srzoo.state_dicts import FoundState, find_state_dicts, parts_of, refuse_unusual, shortened
from srzoo.tensor_files import CHECKSUM, CheckpointError, read_tensor_file, write_tensors

# Metadata about the training that a file's weights come from.
PROVENANCE = ("step", "weights", "options_sha256")

logger = logging.getLogger("srzoo")


@dataclass(frozen=True)
class Weights:
    """Weights as read from a file.

    Args:
        tensors: state-dict key -> tensor.
        key: entry of the file that held them; "" for its top level.
        others: entries that could have been chosen instead.
        metadata: metadata of a srzoo file, empty for other files.
        identity: the network that the weights belong to, where the file says it.
    """

    tensors: dict[str, Tensor]
    key: str
    others: tuple[str, ...]
    metadata: dict[str, str]
    identity: NetworkIdentity | None = None

    @property
    def provenance(self) -> dict[str, str]:
        """Metadata about the training, to be handed on with changed weights."""
        return {name: self.metadata[name] for name in PROVENANCE if name in self.metadata}


def read_weights(source: str | Path | Mapping[str, object], key: str = "auto") -> Weights:
    """Read the state dict in a file (safetensors, or anything that ``torch.save`` wrote) or in a mapping.

    State dicts are found by their content, bare or under any name (``params``, ``state_dict``, in srzoo's training
    states), and freed of the names that wrappers leave in their keys. Of several, a moving average is preferred.

    Args:
        source: path, or what ``torch.load`` returned.
        key: "auto", or the name of the entry to take.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not a weights file, one that would run code on reading, or one without the entry asked for.
    """
    states, metadata, identity = _read(source, key)
    refuse_unusual(states[0].tensors, _name(source))
    _log_without_checksum(_name(source), metadata)
    return Weights(states[0].tensors, states[0].key, _others(states[0], states), metadata, identity)


def _read(
    source: str | Path | Mapping[str, object], key: str
) -> tuple[list[FoundState], dict[str, str], NetworkIdentity | None]:
    """Return the state dicts to choose from, the most likely one first, with the file's metadata and identity."""
    metadata: dict[str, str] = {}
    content: Mapping[str, object]
    if isinstance(source, Mapping):
        content = source
    else:
        content, metadata = read_tensor_file(Path(source))
    states = find_state_dicts(content, _name(source))
    if key != "auto":
        known = ", ".join(state.key or "bare weights (key auto)" for state in states)
        # The one asked for comes first, the others are named in the log.
        states = sorted(states, key=lambda state: state.key != key)
        if states[0].key != key:
            raise CheckpointError(f"{_name(source)}: no entry {key!r}; it has {known}")
    try:
        identity = NetworkIdentity.from_metadata(metadata)
    except ValueError as error:
        raise CheckpointError(f"{_name(source)}: {error}") from error
    return states, metadata, identity


def _others(state: FoundState, states: list[FoundState]) -> tuple[str, ...]:
    # Parts of an entry have its name before their own.
    return tuple(other.key for other in states if other.key and not f"{state.key}.".startswith(f"{other.key}."))


def load_weights(
    net: nn.Module, source: str | Path | Mapping[str, object], key: str = "auto", partial: bool = False
) -> Weights:
    """Copy weights into `net`, all of them or none; with `partial`, those that fit.

    Of several state dicts in a file the most likely one that fits is taken; a prefix common to all keys is removed
    where the rest fits. The network's contract knows published spellings and keys without a use; re-parameterisable
    blocks take the form that the file has.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape; the message lists them and names the likely
            option. With `partial`: nothing fits. Or a value is NaN or infinite.
    """
    name = _name(source)
    states, metadata, identity = _read(source, key)
    closest = closest_fit(net, states if key == "auto" else states[:1], name, partial)
    form, tensors = closest.form, closest.fitting if partial else closest.form.tensors
    if partial and not tensors:
        raise CheckpointError(f"{name}: nothing in it fits {type(net).__name__}, not even in part")
    if closest.found and not partial:
        raise CheckpointError(
            f"{name} does not fit {type(net).__name__}; nothing was loaded:\n"
            + explain(net, form.tensors, closest.published, closest.found)
        )
    check_values(net, tensors, closest.published, name)
    for _, block in form.merging:
        block.take_merged_form()
    net.load_state_dict(tensors, strict=not partial)
    _log_without_checksum(name, metadata)
    weights = Weights(form.tensors, closest.state.key, _others(closest.state, states), metadata, identity)
    _log(name, weights, closest, partial)
    return weights


def _log_without_checksum(name: str, metadata: Mapping[str, str]) -> None:
    """Log that a file of an earlier srzoo cannot be verified; published files never can."""
    if "srzoo" in metadata and CHECKSUM not in metadata:
        logger.info(
            "%s has no checksum, as it was written by srzoo %s: damage in it would go unnoticed",
            name,
            metadata["srzoo"],
        )


def _log(name: str, weights: Weights, loaded: Attempt, partial: bool) -> None:
    """Log the entry taken and everything that was left out."""
    if partial:
        expected, fitting = loaded.form.expected, loaded.fitting
        initial, unused = ([key for key in keys if key not in fitting] for keys in (expected, loaded.form.tensors))
        logger.info(
            "%s: loaded %d of the network's %d entries; keep their initial values: %s; unused in the file: %s",
            name,
            len(fitting),
            len(expected),
            ", ".join(initial) or "none",
            ", ".join(unused) or "none",
        )
        return
    if loaded.unused:
        count, listed = len(loaded.unused), shortened(loaded.unused, 12)
        logger.info("%s: %d entries have no use in this network: %s", name, count, listed)
    if loaded.form.merging:
        logger.info("%s holds merged (re-parameterised) blocks: the network took that form", name)
    if weights.key:
        others = f", not {', '.join(weights.others)}" if weights.others else ""
        logger.info("%s: took %s%s", name, weights.key, others)


def load_network(path: str | Path, key: str = "auto") -> nn.Module:
    """Rebuild a network from a weights file, in evaluation mode.

    A file that srzoo saved says which network it belongs to; a published one is recognised by its keys and shapes, and
    a warning says which network it was taken for. The network knows what it is: ``net.scale`` (magnification),
    ``net.num_in_ch``, ``net.identity`` (type and all options), and ``srzoo.contract_of(net)`` gives its value range and
    size rules. Called with a NumPy image or with values in [0, 255], it says what it expects.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: the file's network is unknown or ambiguous, or its weights do not fit it.
    """
    path = Path(path)
    states, _, identity = _read(path, key)
    candidates = states if key == "auto" else states[:1]
    for state in candidates:
        refuse_unusual(state.tensors, str(path))
    if identity is None:
        identity = _recognised(path, candidates)
    try:
        net = rebuild(identity, candidates[0].tensors)
    except (CheckpointError, LookupError) as error:  # too large, or a plugin that is not imported
        raise type(error)(f"{path}: {error}") from error
    load_weights(net, path, key)
    net.register_forward_pre_hook(refuse_other_input, with_kwargs=True)
    return net.eval()


def _recognised(path: Path, states: list[FoundState]) -> NetworkIdentity:
    """Return the network that the first recognisable state dict belongs to.

    Raises:
        CheckpointError: there is none, or several networks have this state dict.
    """
    command = f"srzoo convert weights {path} OUT.safetensors -opt FILE"
    candidates = itertools.chain(states, parts_of(states))
    found = next((found for state in candidates if (found := recognise(state.tensors))), [])
    if not found:
        layout = layout_of(states[0].tensors)
        raise CheckpointError(
            f"{path} does not say which network it belongs to, and no network of srzoo has its keys and shapes"
            + (f" (it has the layout of {layout})" if layout else "")
            + f"; name the network in an option file: {command}"
        )
    if len(found) > 1:
        raise CheckpointError(
            f"{path} fits several networks; name the right one in an option file: {command}\n"
            + "\n".join(f"  {describe(identity)}" for identity in found)
        )
    logger.warning("%s does not say its network: taken for %s", path, describe(found[0]))
    return found[0]


def rebuild(identity: NetworkIdentity, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Build the network that a file claims to hold, with initial weights.

    Args:
        identity: of the network.
        tensors: the file's state dict; a network that is much larger is refused before it takes memory.

    Raises:
        CheckpointError: the network is larger, or cannot be built.
        LookupError: no network has this name.
    """
    try:
        build_small(identity, tensors)
    except TooLargeError:
        raise
    except CheckpointError:  # a constructor may compute with its weights, which fails without memory
        pass
    return build_small(identity, tensors, "cpu")


def refuse_other_network(net: nn.Module, path: Path, identity: NetworkIdentity | None) -> None:
    """Compare the identity in a weights file (its input range, for one) with the network that is to take the weights.

    Options that the network calls free change its training or form, not its function: they may differ.

    Raises:
        ValueError: any other value differs.
    """
    if identity is None:
        return
    current = identity_of(net)
    differing = identity.differences(current, contract_of(net).free_options)
    if differing:
        section = "network_d" if identity.type in DISCRIMINATORS else "network_g"
        raise ValueError(f"{path} was trained as another network ({section}): " + "; ".join(differing))


def save_weights(path: Path, net: nn.Module, provenance: Mapping[str, str]) -> None:
    """Write `net` as safetensors from which :func:`load_network` rebuilds it.

    Args:
        path: target; appears whole or not at all.
        net: the network, unwrapped, as ``ARCHS.build`` returned it.
        provenance: where the weights come from: updates done, sha256 of the option file or of the source, ...

    Raises:
        ValueError: the network was not built by ``ARCHS.build``, so that nothing could rebuild it, or a weight is NaN
            or infinite.
    """
    metadata = {"format": "pt", "srzoo": srzoo.__version__, **identity_of(net).metadata(), **provenance}
    write_tensors(path, net.state_dict(), metadata)


def _name(source: str | Path | Mapping[str, object]) -> str:
    return "the weights given" if isinstance(source, Mapping) else str(source)
