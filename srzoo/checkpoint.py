"""Weights and training states on disk: load any published layout whole or not at all, save atomically.

Nothing here runs code from a file: ``.pth`` files are read with PyTorch's restricted unpickler, weights are written as
safetensors whose metadata say how to build the network again.
"""

import hashlib
import io
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

import srzoo
from srzoo.atomic import write_atomic
from srzoo.layers.reparam import Form, agree_in_form
from srzoo.registry import ARCHS

# In order of preference: a moving average is what its authors published numbers for.
CONTAINERS = ("params_ema", "params", "state_dict", "net_g_ema", "net_g")

# What save_weights is told of a training.
FACTS = ("step", "weights", "options_sha256")

logger = logging.getLogger("srzoo")


class CheckpointError(ValueError):
    """A file holds no weights, or not those of the network."""


@dataclass(frozen=True)
class Weights:
    """Weights as read from a file.

    Args:
        tensors: state-dict key -> tensor.
        key: the entry of the file they stood under; "" at its top level.
        others: entries that could have been chosen instead.
        metadata: what a srzoo file says of itself (strings), empty for other files.
    """

    tensors: dict[str, Tensor]
    key: str
    others: tuple[str, ...]
    metadata: dict[str, str]


def read_weights(source: str | Path | Mapping[str, Any], key: str = "auto") -> Weights:
    """The state dict in a file (``.safetensors``, or anything that ``torch.save`` wrote) or in a mapping.

    Bare state dicts, ``params``, ``params_ema``, ``state_dict`` and srzoo's training states are recognised, ``module.``
    prefixes removed. With several, a moving average is preferred.

    Args:
        source: path, or what ``torch.load`` returned.
        key: "auto", or the name of the entry to take.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not a weights file, one that needs unpickling of code, or without the entry asked for.
    """
    metadata: dict[str, str] = {}
    content: Mapping[str, Any]
    tensors: Mapping[str, Any]
    source = Path(source) if isinstance(source, str) else source
    if isinstance(source, Path):
        if source.is_dir():
            raise FileNotFoundError(f"expected a weights file, but {source} is a folder")
        if not source.is_file():
            raise FileNotFoundError(f"weights {source} do not exist")
        if source.suffix == ".safetensors":
            read, metadata = _read_safetensors(source)
            content = dict[str, Any](read)
        else:
            content = _read_torch(source)
    else:
        content = source
    if isinstance(content.get("model"), Mapping):  # a training state of srzoo
        content = content["model"]
    found = [name for name in CONTAINERS if isinstance(content.get(name), Mapping)]
    if key != "auto" and not isinstance(content.get(key), Mapping):
        raise CheckpointError(
            f"{_name(source)}: no entry {key!r}; it has {', '.join(found) or 'bare weights (key auto)'}"
        )
    chosen = key if key != "auto" else (found[0] if found else "")
    tensors = content[chosen] if chosen else content
    stray = [str(name) for name, value in tensors.items() if not isinstance(value, Tensor)]
    if stray or not tensors:
        raise CheckpointError(
            f"{_name(source)}: holds no weights: expected name -> tensor or one of {', '.join(CONTAINERS)}, found "
            f"{', '.join(stray[:5]) or 'no entry'}"
        )
    named = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return Weights(named, chosen, tuple(name for name in found if name != chosen), metadata)


def load_weights(
    net: nn.Module, source: str | Path | Mapping[str, Any], key: str = "auto", partial: bool = False
) -> Weights:
    """Copy weights into `net`, all of them or none; with `partial`, those that fit.

    Keys are the published ones. A network may know other spellings of them (`key_aliases`: pattern -> replacement) and
    keys of published files that it has no use for (`ignored_keys`: a pattern); re-parameterisable blocks take the form
    that the file has.

    Raises:
        CheckpointError: keys are missing, unexpected or of another shape; the message lists them and names the likely
            option; with `partial`: nothing fits.
    """
    weights = read_weights(source, key)
    tensors, unused = _published(net, weights.tensors)
    form = agree_in_form(net, tensors)
    weights, expected = replace(weights, tensors=form.tensors), form.expected
    missing = [name for name in expected if name not in weights.tensors]
    unexpected = [name for name in weights.tensors if name not in expected]
    reshaped = [
        f"{name} {tuple(weights.tensors[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights.tensors and weights.tensors[name].shape != tensor.shape
    ]
    if partial:
        return _load_what_fits(net, source, weights, form)
    if missing or unexpected or reshaped:
        kinds = (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        listed = [f"  {len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]
        hints = [f"  likely cause: {hint}" for hint in _likely_causes(net, weights.tensors)]
        raise CheckpointError(
            f"{_name(source)} does not fit {type(net).__name__}; nothing was loaded:\n" + "\n".join(listed + hints)
        )
    for _, block in form.merging:
        block.take_merged_form()
    net.load_state_dict(weights.tensors)
    if unused:
        logger.info("%s: %d entries have no use in this network: %s", _name(source), len(unused), _some(unused, 12))
    if form.merging:
        logger.info("%s holds merged (re-parameterised) blocks: the network took that form", _name(source))
    if weights.key:
        others = f", not {', '.join(weights.others)}" if weights.others else ""
        logger.info("%s: took %s%s", _name(source), weights.key, others)
    return weights


def _load_what_fits(net: nn.Module, source: Any, weights: Weights, form: Form) -> Weights:
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
    left, unused = ([name for name in all_ if name not in fitting] for all_ in (form.expected, weights.tensors))
    logger.info(
        "%s: kept %d of the network's %d entries; initialised anew: %s; of the file not used: %s",
        _name(source),
        len(fitting),
        len(form.expected),
        ", ".join(left) or "none",
        ", ".join(unused) or "none",
    )
    return weights


def load_network(path: str | Path, key: str = "auto") -> nn.Module:
    """Rebuild a network from a weights file that srzoo saved, in evaluation mode.

    Raises:
        CheckpointError: the file does not say which network it belongs to.
    """
    path = Path(path)
    metadata = read_weights(path, key).metadata
    if "arch" not in metadata:
        raise CheckpointError(
            f"{path} does not say which network it belongs to; build the network and use load_weights"
        )
    net = rebuild(metadata)
    load_weights(net, path, key)
    return net.eval()


def rebuild(metadata: Mapping[str, str]) -> nn.Module:
    """The network that the metadata of a srzoo file describe, with initial weights."""
    return ARCHS.build(metadata["arch"], json.loads(metadata["arch_options"]), scale=int(metadata["scale"]))


def save_weights(
    path: Path,
    net: nn.Module,
    *,
    arch: str,
    arch_options: Mapping[str, Any],
    scale: int,
    facts: Mapping[str, str],
) -> None:
    """Write `net` as safetensors from which :func:`load_network` rebuilds it.

    Args:
        path: target; appears whole or not at all.
        net: the network, unwrapped.
        arch: registered name.
        arch_options: its options without `scale`.
        scale: magnification.
        facts: where the weights come from: updates done, sha256 of the option file or of the source, and so on.
    """
    identity = {"arch": arch, "arch_options": json.dumps(arch_options), "scale": str(scale)}
    save_tensors(path, net.state_dict(), {"format": "pt", "srzoo": srzoo.__version__, **identity, **facts})


def facts_of(weights: Weights) -> dict[str, str]:
    """What a srzoo file says of its training, to be handed on with changed weights."""
    return {name: weights.metadata[name] for name in FACTS if name in weights.metadata}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors by name: as safetensors with metadata; to a name ending in .pth as PyTorch's {"params": ...}."""
    # Copies, because safetensors refuses tensors that share memory (tied weights).
    copied = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    if path.suffix == ".pth":
        _write_torch(path, {"params": copied})
        return
    encoded = safetensors.torch.save(copied, dict(metadata))
    write_atomic(path, lambda file: file.write(encoded))


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a training state: nested dicts and lists of tensors, numbers and strings."""
    _write_torch(path, dict(state))


def _write_torch(path: Path, content: dict[str, Any]) -> None:
    # By way of memory: torch.save hides a full disk behind an error of its own.
    encoded = io.BytesIO()
    torch.save(content, encoded)
    write_atomic(path, lambda file: file.write(encoded.getbuffer()))


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state, tensors on the CPU.

    Raises:
        CheckpointError: not a training state of srzoo.
    """
    state = _read_torch(path)
    if not {"model", "data", "step", "options"} <= state.keys():
        raise CheckpointError(f"{path} is not a training state of srzoo; for weights alone use path.pretrain_network_g")
    return dict(state)


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or a damaged one ({error})") from error


def _read_torch(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # on foreign bytes PyTorch's readers raise almost any type
        refused = re.search(r"GLOBAL [\w.]+|Unsupported class[^\n]*", str(error))
        if refused:
            raise CheckpointError(
                f"{path}: refused, because reading it would run code from the file ({refused.group(0)}); ask its "
                "author for a plain state dict or a safetensors file"
            ) from error
        first = (str(error).splitlines() or [type(error).__name__])[0].split(". (1)")[0]
        raise CheckpointError(f"{path}: not a PyTorch weights file, or a damaged one ({first})") from error
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: expected a state dict, found a {type(content).__name__}")
    return content


def _published(net: nn.Module, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under the network's own keys, and the keys of the file that it has no use for."""
    ignored, kept, unused = getattr(net, "ignored_keys", None), {}, []
    for name, tensor in tensors.items():
        if ignored and re.match(ignored, name):
            unused.append(name)
            continue
        for pattern, replacement in getattr(net, "key_aliases", {}).items():
            name = re.sub(pattern, replacement, name)
        kept[name] = tensor
    return kept, unused


def _likely_causes(net: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """What the differences between file and network say about the options."""
    expected = net.state_dict()
    causes = []
    # An arch says which of its options numbers or sizes the first dimension of which keys: {key pattern: option}.
    for pattern, option in getattr(net, "key_options", {}).items():
        ours, theirs = _matching(pattern, expected), _matching(pattern, tensors)
        if ours and theirs and ours != theirs:
            causes.append(f"`{option}`: the file has {theirs}, the network {ours}")
    if not causes and tensors.keys() != expected.keys():
        causes += [f"the file holds {name} weights (network_g.type)" for name in ARCHS if _fits(name, tensors)]
    return causes


def _matching(pattern: str, tensors: Mapping[str, Tensor]) -> str:
    """How many numbered modules match a pattern with a group, or the first size of what one without matches."""
    matches = [(match, tensors[name]) for name in tensors if (match := re.match(pattern, name))]
    if not matches:
        return ""
    if matches[0][0].groups():
        first = matches[0][0]
        return f"{len({match.group(1) for match, _ in matches})} {first.string[: first.start(1)]}*"
    return f"{matches[0][1].shape[0]} channels in {matches[0][0].string}"


def _fits(name: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether an arch with default options has just these keys, at any published scale."""
    scales = getattr(ARCHS[name], "scales", None) or (4,)
    with torch.device("meta"):
        return ARCHS.build(name, {}, scale=scales[0]).state_dict().keys() == tensors.keys()


def _name(source: str | Path | Mapping[str, Any]) -> str:
    return "the weights given" if isinstance(source, Mapping) else str(source)


def _some(names: list[str], shown: int = 6) -> str:
    return ", ".join(names[:shown]) + (f", ... ({len(names) - shown} more)" if len(names) > shown else "")
