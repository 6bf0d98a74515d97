"""Weights on disk: any published layout loads whole or not at all; saved files rebuild their network.

Weights are written as safetensors whose metadata hold the network's identity (type, options, scale). Nothing here runs
code from a file.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

import srzoo
from srzoo.contract import NetworkIdentity, contract_of, identity_of
from srzoo.layers.reparam import Form, agree_in_form
from srzoo.misfit import explain, misfits, shortened
from srzoo.registry import ARCHS
from srzoo.tensor_files import CheckpointError, read_tensor_file, write_tensors

# Entries that hold weights, in order of preference: authors publish the numbers of the moving average.
CONTAINERS = ("params_ema", "params", "state_dict", "net_g_ema", "net_g")

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
    """Read the state dict in a file (``.safetensors``, or anything that ``torch.save`` wrote) or in a mapping.

    Bare state dicts, ``params``, ``params_ema``, ``state_dict`` and srzoo's training states are recognised, ``module.``
    prefixes removed. With several entries, a moving average is preferred.

    Args:
        source: path, or what ``torch.load`` returned.
        key: "auto", or the name of the entry to take.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not a weights file, one that would run code on reading, or one without the entry asked for.
    """
    metadata: dict[str, str] = {}
    source = Path(source) if isinstance(source, str) else source
    content: Mapping[str, object]
    if isinstance(source, Path):
        content, metadata = read_tensor_file(source)
    else:
        content = source
    state = content.get("model")
    if isinstance(state, Mapping):  # a training state of srzoo
        content = state
    entries = {name: entry for name in CONTAINERS if isinstance(entry := content.get(name), Mapping)}
    if key == "auto":
        key = next(iter(entries), "")
    tensors = content.get(key) if key else content
    if not isinstance(tensors, Mapping):
        known = ", ".join(entries) or "bare weights (key auto)"
        raise CheckpointError(f"{_name(source)}: no entry {key!r}; it has {known}")
    named = {
        str(name).removeprefix("module."): tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)
    }
    if len(named) < len(tensors) or not named:
        stray = [str(name) for name, value in tensors.items() if not isinstance(value, Tensor)]
        raise CheckpointError(
            f"{_name(source)}: holds no weights: expected name -> tensor or one of {', '.join(CONTAINERS)}, found "
            f"{', '.join(stray[:5]) or 'no entry'}"
        )
    others = tuple(name for name in entries if name != key)
    try:
        identity = NetworkIdentity.from_metadata(metadata)
    except ValueError as error:
        raise CheckpointError(f"{_name(source)}: {error}") from error
    return Weights(named, key, others, metadata, identity)


def load_weights(
    net: nn.Module, source: str | Path | Mapping[str, object], key: str = "auto", partial: bool = False
) -> Weights:
    """Copy weights into `net`, all of them or none; with `partial`, those that fit.

    Keys are the published ones. The network's contract knows other spellings and keys without a use; re-parameterisable
    blocks take the form that the file has.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape; the message lists them and names the likely
            option. With `partial`: nothing fits.
    """
    weights = read_weights(source, key)
    tensors, unused = _under_own_keys(net, weights.tensors)
    form = agree_in_form(net, tensors)
    weights = replace(weights, tensors=form.tensors)
    if partial:
        return _load_fitting(net, source, weights, form)
    found = misfits(form.expected, weights.tensors)
    if found:
        raise CheckpointError(
            f"{_name(source)} does not fit {type(net).__name__}; nothing was loaded:\n"
            + explain(net, weights.tensors, found)
        )
    for _, block in form.merging:
        block.take_merged_form()
    net.load_state_dict(weights.tensors)
    if unused:
        logger.info("%s: %d entries have no use in this network: %s", _name(source), len(unused), shortened(unused, 12))
    if form.merging:
        logger.info("%s holds merged (re-parameterised) blocks: the network took that form", _name(source))
    if weights.key:
        others = f", not {', '.join(weights.others)}" if weights.others else ""
        logger.info("%s: took %s%s", _name(source), weights.key, others)
    return weights


def _load_fitting(net: nn.Module, source: str | Path | Mapping[str, object], weights: Weights, form: Form) -> Weights:
    fitting = {
        name: tensor
        for name, tensor in weights.tensors.items()
        if name in form.expected and form.expected[name].shape == tensor.shape
    }
    if not fitting:
        raise CheckpointError(f"{_name(source)}: nothing in it fits {type(net).__name__}, not even in part")
    for _, block in form.merging:
        block.take_merged_form()
    net.load_state_dict(fitting, strict=False)
    initial, unused = ([name for name in names if name not in fitting] for names in (form.expected, weights.tensors))
    logger.info(
        "%s: loaded %d of the network's %d entries; keep their initial values: %s; unused in the file: %s",
        _name(source),
        len(fitting),
        len(form.expected),
        ", ".join(initial) or "none",
        ", ".join(unused) or "none",
    )
    return weights


def _under_own_keys(net: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename published spellings to the network's own keys, and list the keys that it has no use for."""
    contract, renamed, unused = contract_of(net), {}, []
    for name, tensor in tensors.items():
        if contract.ignored_keys and re.match(contract.ignored_keys, name):
            unused.append(name)
            continue
        for pattern, replacement in contract.key_aliases.items():
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed, unused


def load_network(path: str | Path, key: str = "auto") -> nn.Module:
    """Rebuild a network from a weights file that srzoo saved, in evaluation mode.

    The network knows what it is: ``net.scale`` (magnification), ``net.num_in_ch``, ``net.identity`` (type and all
    options), and ``srzoo.contract_of(net)`` gives its value range and size rules.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: the file does not say which network it belongs to, or its weights do not fit that network.
    """
    path = Path(path)
    weights = read_weights(path, key)
    if weights.identity is None:
        raise CheckpointError(
            f"{path} does not say which network it belongs to; build the network and use load_weights"
        )
    net = rebuild(weights.identity)
    load_weights(net, path, key)
    return net.eval()


def rebuild(identity: NetworkIdentity) -> nn.Module:
    """Build a network from its identity, with initial weights."""
    return ARCHS.build(identity.type, dict(identity.options), scale=identity.scale)


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
        raise ValueError(f"{path} was trained as another network (network_g): " + "; ".join(differing))


def save_weights(path: Path, net: nn.Module, provenance: Mapping[str, str]) -> None:
    """Write `net` as safetensors from which :func:`load_network` rebuilds it.

    Args:
        path: target; appears whole or not at all.
        net: the network, unwrapped, as ``ARCHS.build`` returned it.
        provenance: where the weights come from: updates done, sha256 of the option file or of the source, ...

    Raises:
        ValueError: the network was not built by ``ARCHS.build``, so that nothing could rebuild it.
    """
    metadata = {"format": "pt", "srzoo": srzoo.__version__, **identity_of(net).metadata(), **provenance}
    write_tensors(path, net.state_dict(), metadata)


def _name(source: str | Path | Mapping[str, object]) -> str:
    return "the weights given" if isinstance(source, Mapping) else str(source)
