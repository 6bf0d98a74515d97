"""The contract of a network: facts it states about itself, and the identity under which it was built.

A plugin states a fact as a plain class attribute, or as an attribute set in its constructor where the fact depends on
options; a fact that it leaves out has the default below. Readers ask :func:`contract_of` and never the attribute.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor, nn

PlainValue: TypeAlias = "bool | int | float | str | list[PlainValue] | dict[str, PlainValue] | None"
KeyReplacement: TypeAlias = "str | Callable[[re.Match[str]], str]"


@dataclass(frozen=True, kw_only=True)
class NetworkContract:
    """Facts about a network that padding, tiling, loading, export and error messages rely on.

    Args:
        scales: magnifications the network is made for; None: any.
        multiple_of: input sides that need no padding inside the network are multiples of this [LQ pixels].
        min_size: smallest input side [LQ pixels].
        receptive_radius: distance that an output pixel sees to each side; None: unbounded, so that tiles are never
            exact (global pooling, chained windows) [LQ pixels].
        unbounded_by: the parts that see the whole image, where the radius is unbounded, for messages.
        half_safe: dtypes ("float16", "bfloat16") in which inference differs from float32 by less than 8 bits show,
            as measured.
        channels_last: training is faster with features as NHWC in memory, as measured on a CPU
            (scripts/benchmarks/training_step.py).
        value_range: values of the input and the output.
        has_leaves: the network computes several estimates (``output="leaves"``), as a divergence tree does.
        key_options: pattern of state-dict keys -> option that counts (with a group) or sizes (without) them, for
            error messages.
        key_aliases: pattern of other spellings of a key in published files -> the key.
        ignored_keys: pattern of keys in published files that the network has no use for.
        free_options: options that change training or form but not the function: weights saved under others load.
        idle_in_training: pattern of parameters that the training output does not reach.
        unsupported_formats: format of `srzoo export` -> reason why the network cannot have it.
    """

    scales: tuple[int, ...] | None = None
    multiple_of: int = 1
    min_size: int = 1
    receptive_radius: int | None = None
    unbounded_by: str = ""
    half_safe: tuple[str, ...] = ()
    channels_last: bool = False
    value_range: tuple[float, float] = (0.0, 1.0)
    has_leaves: bool = False
    key_options: Mapping[str, str] = field(default_factory=dict)
    key_aliases: Mapping[str, KeyReplacement] = field(default_factory=dict)
    ignored_keys: str | None = None
    free_options: tuple[str, ...] = ()
    idle_in_training: str | None = None
    unsupported_formats: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be a positive integer, got {getattr(self, name)!r}"
            for name in ("multiple_of", "min_size")
            if not _is_integer(getattr(self, name), 1)
        ]
        if self.receptive_radius is not None and not _is_integer(self.receptive_radius, 0):
            faults.append(f"receptive_radius must be None or an integer from 0, got {self.receptive_radius!r}")
        for name in ("scales", "half_safe", "free_options"):
            value = getattr(self, name)
            # A lone string is a sequence of letters: ("float16") is no tuple.
            if not isinstance(value, tuple | list) and not (name == "scales" and value is None):
                faults.append(f"{name} must be a tuple, got {value!r}")
        if isinstance(self.scales, tuple | list) and not all(_is_integer(scale, 1) for scale in self.scales):
            faults.append(f"scales must be positive integers or None, got {self.scales!r}")
        for name in ("key_options", "key_aliases", "unsupported_formats"):
            if not isinstance(getattr(self, name), Mapping):
                faults.append(f"{name} must be a mapping, got {getattr(self, name)!r}")
        if faults:
            raise ValueError("; ".join(faults))

    def accepts(self, scale: int) -> bool:
        """Return True if the network is made for this magnification."""
        return self.scales is None or scale in self.scales


def _is_integer(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


_FACTS = tuple(fact.name for fact in dataclasses.fields(NetworkContract))
_ABSENT = object()


def contract_of(plugin: object) -> NetworkContract:
    """Gather the contract of a network, or of a network class before any options are known.

    Raises:
        ValueError: an attribute has another type than its fact; names the plugin and the attribute.
    """
    stated = {name: getattr(plugin, name, _ABSENT) for name in _FACTS}
    try:
        return NetworkContract(**{name: value for name, value in stated.items() if value is not _ABSENT})  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        name = getattr(plugin, "__name__", type(plugin).__name__)
        raise ValueError(f"network {name}: {error}") from error


@dataclass(frozen=True)
class NetworkIdentity:
    """Everything that is needed to build a network again.

    Args:
        type: registered name.
        scale: magnification.
        options: the network's options as plain values, complete with defaults, without `scale`.
    """

    type: str
    scale: int
    options: Mapping[str, PlainValue]

    @property
    def num_in_ch(self) -> int:
        """Colour channels of the input."""
        channels = self.options.get("num_in_ch", 3)
        return channels if isinstance(channels, int) else 3

    def metadata(self) -> dict[str, str]:
        """Return the identity as entries of a weights file's metadata."""
        return {"arch": self.type, "arch_options": json.dumps(self.options), "scale": str(self.scale)}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "NetworkIdentity | None":
        """Read the identity from a weights file's metadata; None if the file has none.

        Raises:
            ValueError: the entries are there but damaged.
        """
        if "arch" not in metadata:
            return None
        try:
            options, scale = json.loads(metadata["arch_options"]), int(metadata["scale"])
        except (KeyError, ValueError, RecursionError) as error:
            raise ValueError(f"the metadata of the network are damaged ({error!r:.80})") from error
        if not isinstance(options, dict) or scale < 1:
            stated = f"scale: {scale}" if isinstance(options, dict) else f"arch_options: {str(options)[:40]}"
            raise ValueError(f"the metadata of the network are damaged ({stated})")
        return cls(metadata["arch"], scale, options)

    def flat(self) -> dict[str, PlainValue]:
        """Return one mapping with type, scale and all options, for result files."""
        return {"type": self.type, "scale": self.scale, **self.options}

    def differences(self, current: "NetworkIdentity", free_options: tuple[str, ...] = ()) -> list[str]:
        """Describe each value of this identity that differs in `current`, except for free options."""
        now = current.flat()
        return [
            f"{key}: {value!r} in the file, {now.get(key)!r} here"
            for key, value in self.flat().items()
            if value != now.get(key) and key not in free_options
        ]


def identity_of(network: object) -> NetworkIdentity:
    """Return the identity that ``ARCHS.build`` gave to a network.

    Raises:
        ValueError: the network was built in another way.
    """
    identity = getattr(network, "identity", None)
    if not isinstance(identity, NetworkIdentity):
        raise ValueError(
            f"{type(network).__name__} has no identity: build it with srzoo.registry.ARCHS.build or srzoo.load_network"
        )
    return identity


def published_state(network: "nn.Module") -> "dict[str, Tensor]":
    """Return the state dict that the code of the network's authors reads; a plugin may have a method of this name."""
    return getattr(network, "published_state", network.state_dict)()


def options_in(plugin: object, tensors: "Mapping[str, Tensor]") -> "Iterator[dict[str, PlainValue]]":
    """Yield the options, `scale` among them, under which a network has the state dict given, as far as it shows them.

    A plugin that can be recognised has a static method `options_in`, which reads them from keys, shapes and values;
    several results are candidates that the file does not tell apart. For another network's state dict it raises
    KeyError, IndexError or ValueError, or yields options that do not fit. Without that method, a network is taken to
    have its default options.
    """
    reader = getattr(plugin, "options_in", None)
    if reader is None:
        return ({"scale": scale} for scale in contract_of(plugin).scales or (1, 2, 3, 4, 8))
    return reader(tensors)


def constants_of(network: "nn.Module") -> "dict[str, Tensor]":
    """Return entries of published files whose values are built into the network; a plugin may have such a method.

    Loading compares them: another mean colour would shift every output.
    """
    return getattr(network, "constants", dict)()


def count_modules(pattern: str, keys: Iterable[str]) -> int:
    """Count the numbered modules in state-dict keys: the different texts of the pattern's group."""
    return len({match.group(1) for name in keys if (match := re.match(pattern, name))})


def plain_value(value: object) -> PlainValue:
    """Turn option values into plain YAML and JSON values: dataclasses to mappings, tuples to lists, paths to text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain_value(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value) if isinstance(value, Path) else repr(value)
