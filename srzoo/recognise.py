"""Recognition of the network that a state dict belongs to, by its keys and shapes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from srzoo.contract import NetworkIdentity, contract_of, identity_of, options_in
from srzoo.layers.reparam import agree_in_form
from srzoo.registry import ARCHS, DISCRIMINATORS
from srzoo.state_dicts import misfits, shortened, without_prefixes
from srzoo.tensor_files import CheckpointError

# Layouts that published files are known by -> pattern of a key in each; the first that is found counts.
LAYOUTS = {
    "ESRGAN's code of 2018": r"model\.1\.sub\.0\.RDB1\.conv1\.0\.weight",
    "ESRGAN's code of 2019": r"RRDB_trunk\.0\.RDB1\.conv1\.weight",
    "HAT": r"layers\.0\.residual_group\.overlap_attn\.",
    "SwinIR": r"layers\.0\.residual_group\.blocks\.0\.attn\.",
    "RCAN's authors' code": r"body\.0\.body\.0\.body\.3\.conv_du\.0\.weight",
    "EDSR-PyTorch": r"body\.0\.body\.2\.weight",
    "a VGG classifier": r"features\.0\.weight",
}
# Larger than any option that counts or sizes parts of a network.
_LARGEST_OPTION = 2**20


class TooLargeError(CheckpointError):
    """A file whose metadata describe a network that is larger than the file."""


class Candidate(NamedTuple):
    """A network that a state dict may belong to.

    Args:
        identity: of the network.
        differing: keys that are missing, unexpected or of another shape.
    """

    identity: NetworkIdentity
    differing: dict[str, list[str]]


def recognise(tensors: Mapping[str, Tensor]) -> list[NetworkIdentity]:
    """Return every network of srzoo that has this state dict, with its options; more than one if it is ambiguous.

    A prefix common to all keys is removed where the rest fits. Options that no file shows have the values of published
    networks, or each of them where those differ.
    """
    for unprefixed in without_prefixes(tensors):
        found = [candidate.identity for candidate in _candidates(unprefixed) if not candidate.differing]
        if found:
            return found
    return []


def _candidates(tensors: Mapping[str, Tensor]) -> Iterator[Candidate]:
    """Yield the networks whose options can be read from a state dict, with the keys that differ all the same."""
    for name in ARCHS:
        plugin = ARCHS[name]
        renamed = {own: tensors[key] for key, own in own_keys(plugin, tensors).items()}
        try:
            shown = list(options_in(plugin, renamed))
        except (KeyError, IndexError, ValueError, ArithmeticError, RuntimeError):  # another network's state dict
            continue
        for options in shown:
            scale = options.pop("scale", 1)
            try:
                assert isinstance(scale, int)
                net = build_small(NetworkIdentity(name, scale, options), tensors)
            except ValueError:  # options that contradict each other, or a larger network
                continue
            form = agree_in_form(net, under_own_keys(net, tensors)[0])
            yield Candidate(identity_of(net), misfits(form.expected, form.tensors))


def build_small(identity: NetworkIdentity, tensors: Mapping[str, Tensor], device: str = "meta") -> nn.Module:
    """Build a network that a file claims to hold, as long as it is not much larger than the file's state dict.

    Args:
        identity: of the network.
        tensors: the file's state dict, which limits the network's size.
        device: where to build it; "meta" takes no memory.

    Raises:
        TooLargeError: the network is larger.
        CheckpointError: it cannot be built with these options.
        LookupError: no network has this name.
    """
    registry = DISCRIMINATORS if identity.type in DISCRIMINATORS else ARCHS
    registry[identity.type]
    described = f"its metadata describe the network {describe(identity)}"
    if any(number > _LARGEST_OPTION for number in _numbers([identity.scale, identity.options])):
        raise TooLargeError(f"{described:.200}, which is larger than the file")
    # Re-parameterised blocks have more tensors in training than in the file.
    counts = [4 * len(tensors) + 64, 16 * sum(map(torch.numel, tensors.values())) + 2**20]

    def count(_: nn.Module, __: str, parameter: nn.Parameter | None) -> None:
        counts[0] -= 1
        counts[1] -= 0 if parameter is None else parameter.numel()
        if min(counts) < 0:
            raise TooLargeError(f"{described:.200}, which is larger than the file")

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device(device):
            return registry.build(identity.type, dict(identity.options), scale=identity.scale)
    except (TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError, MemoryError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{described:.200}, which cannot be built: {reason:.200}") from error
    finally:
        hook.remove()


def _numbers(value: object) -> Iterator[int]:
    """Yield the integers in nested options, and the lengths of lists."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, Mapping):
        yield from _numbers(list(value.values()))
    elif isinstance(value, list):
        yield len(value)
        for item in value:
            yield from _numbers(item)


def own_keys(network: object, keys: Iterable[str]) -> dict[str, str]:
    """Return published spelling -> the network's own key, by the aliases of its contract."""
    aliases, renamed = contract_of(network).key_aliases, {}
    for key in keys:
        own = key
        for pattern, replacement in aliases.items():
            own = re.sub(pattern, replacement, own)
        renamed[key] = own
    return renamed


def under_own_keys(network: object, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the weights under the network's own keys, and the published keys that it has no use for."""
    ignored = contract_of(network).ignored_keys
    renamed, unused = {}, []
    for key, own in own_keys(network, tensors).items():
        if ignored is not None and (re.match(ignored, key) or re.match(ignored, own)):
            unused.append(key)
        else:
            renamed[own] = tensors[key]
    return renamed, unused


def describe(identity: NetworkIdentity) -> str:
    """Describe a network in a line: IMDN x4 (num_in_ch: 3, num_feat: 64, num_modules: 6)."""
    stated = {name: str(value) for name, value in identity.options.items() if value is not None}
    # Metadata may hold any text, line breaks too.
    options = ", ".join(f"{name}: {text if text.isprintable() else ascii(text)}" for name, text in stated.items())
    return f"{identity.type} x{identity.scale}" + (f" ({options})" if options else "")


def layout_of(tensors: Mapping[str, Tensor]) -> str:
    """Name the published layout or the network that unknown weights look most like; "" if they look like none."""
    text = "\n".join(tensors)
    for name, pattern in LAYOUTS.items():
        if re.search(rf"(^|\.){pattern}", text, re.MULTILINE):
            return name + _upsampling_of_2018(tensors)
    for name in DISCRIMINATORS:
        with torch.device("meta"):  # shapes without memory
            own = set(DISCRIMINATORS.build(name, {}).state_dict())
        if any(len(own & keys.keys()) > len(own | keys.keys()) / 2 for keys in without_prefixes(tensors)):
            return f"the discriminator {name}"
    candidates = [candidate for unprefixed in without_prefixes(tensors) for candidate in _candidates(unprefixed)]
    closest = min(candidates, key=_num_differing, default=None)
    if closest is None or _num_differing(closest) > len(tensors) / 2:
        return ""
    differing = "; ".join(f"{len(names)} {kind}: {shortened(names, 3)}" for kind, names in closest.differing.items())
    return f"{describe(closest.identity)}, but for {differing}"


def _num_differing(candidate: Candidate) -> int:
    return sum(map(len, candidate.differing.values()))


def _upsampling_of_2018(tensors: Mapping[str, Tensor]) -> str:
    """State the magnification of a file of 2018: RRDBNet has its x4 form alone."""
    convs = [name for name in tensors if re.fullmatch(r"(.*\.)?model\.\d+\.weight", name)]
    # Besides convolutions with upsampling: the first and the last two.
    return f", x{2 ** (len(convs) - 3)}" if len(convs) >= 3 else ""
