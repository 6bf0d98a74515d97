"""Name -> plugin. The signature of a plugin's constructor is the schema of its options.

A family (networks, losses, metrics, ...) is one :class:`Registry`. A plugin joins with ``@ARCHS.register``; every
constructor parameter is keyword-only and annotated, and the ``Args:`` section of the docstring explains it, with the
unit in brackets at the end of the line. ``srzoo options explain`` and ``docs/options.md`` are made from both.
"""

import difflib
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Generic, TypeVar

import annotated_types

from srzoo.contract import NetworkIdentity, contract_of, plain_value

T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])

# Ranges that option files are checked against, for plugin signatures and option sections alike.
PositiveInt = Annotated[int, annotated_types.Gt(0)]
NonNegativeInt = Annotated[int, annotated_types.Ge(0)]
PositiveFloat = Annotated[float, annotated_types.Gt(0)]
NonNegativeFloat = Annotated[float, annotated_types.Ge(0)]
Probability = Annotated[float, annotated_types.Ge(0), annotated_types.Lt(1)]
Chance = Annotated[float, annotated_types.Ge(0), annotated_types.Le(1)]


class UnknownPluginError(LookupError):
    """No plugin of this name is registered."""


class Registry(Generic[T]):
    """The plugins of one family by name.

    Args:
        family: word for one member in messages ("network", "loss", ...).
        package: dotted name of the package whose modules register the built-in members; imported at the first look-up.
        supplied: constructor arguments that the framework passes itself and that an option file cannot set.
        bridges: what stands before the slash of a name -> dotted name of the module that registers such members.
    """

    def __init__(
        self,
        family: str,
        package: str,
        supplied: tuple[str, ...] = (),
        bridges: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.family = family
        self._bridges = bridges
        self.supplied = supplied
        self._package = package
        self._discovered = False
        self._members: dict[str, Callable[..., T]] = {}

    def register(self, member: M, name: str | None = None) -> M:
        """Add `member` under its own name (or `name`); usable as a decorator.

        Raises:
            ValueError: the name is taken, or a parameter is positional, unannotated or ``**kwargs``.
        """
        name = name or member.__name__
        if name in self._members:
            raise ValueError(
                f"{self.family} {name!r} is registered twice: by {self._members[name].__module__} and by "
                f"{member.__module__}; rename one of the two"
            )
        faults = [
            f"{parameter.name}: {_parameter_fault(parameter)}"
            for parameter in inspect.signature(member).parameters.values()
            if _parameter_fault(parameter)
        ]
        if faults:
            raise ValueError(
                f"{self.family} {name!r} ({member.__module__}): every constructor parameter must be keyword-only and "
                f"annotated, because the signature is the schema of its options; " + "; ".join(faults)
            )
        self._members[name] = member
        return member

    def __getitem__(self, name: str) -> Callable[..., T]:
        self.reach(name)
        if name not in self._members:
            raise UnknownPluginError(self.unknown(name))
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the members that are not another package's."""
        return (name for name in self.everyone() if "/" not in name)

    def everyone(self) -> list[str]:
        """All names known so far, those that came over a bridge too."""
        self._discover()
        return sorted(self._members)

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._members

    def reach(self, name: object) -> None:
        """Make a name with a slash known, such as basicsr/SwinIR: it comes from a bridge to another package.

        Raises:
            LookupError: that package is not installed, or has no such member.
        """
        self._discover()
        bridge = self._bridges.get(str(name).partition("/")[0]) if "/" in str(name) else None
        if bridge is not None and name not in self._members:
            importlib.import_module(bridge).register(name)

    def unknown(self, name: object) -> str:
        """Message for a name that nobody registered, with the closest known names."""
        hint = closest(str(name), list(self))
        own = (
            ""
            if hint.startswith("did you mean")
            else " (one of your own: import its file, or name it under `plugins:`)"
        )
        return f"unknown {self.family} {name!r}; {hint}{own}"

    def parameters(self, name: str) -> dict[str, inspect.Parameter]:
        """Return the options of a member: its constructor parameters without the supplied ones, with their types."""
        return {key: value for key, value in self.signature(name).items() if key not in self.supplied}

    def signature(self, name: str) -> dict[str, inspect.Parameter]:
        """All constructor parameters of a member, annotations resolved."""
        return dict(inspect.signature(self[name], eval_str=True).parameters)

    def build(self, name: str, args: dict[str, Any], **supplied: object) -> T:
        """Construct a member. Of `supplied`, it gets what its signature names."""
        member = self[name]
        wanted = inspect.signature(member).parameters
        return member(**args, **{key: value for key, value in supplied.items() if key in wanted})

    def _discover(self) -> None:
        if not self._discovered:
            self._discovered = True
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")


class NetworkRegistry(Registry[Any]):
    """The networks: each states its contract, and carries its identity once it is built."""

    def register(self, member: M, name: str | None = None) -> M:
        """Add a network as :meth:`Registry.register` does.

        Raises:
            ValueError: also where a contract attribute has the wrong type.
        """
        contract_of(member)
        return super().register(member, name)

    def build(self, name: str, args: dict[str, Any], **supplied: object) -> Any:
        """Construct a network and stamp it: ``identity`` (type, options, scale), ``scale`` and ``num_in_ch``."""
        network = super().build(name, args, **supplied)
        signature = self.signature(name)
        defaults = {key: parameter.default for key, parameter in signature.items() if key not in self.supplied}
        options = {key: plain_value(args.get(key, default)) for key, default in defaults.items()}
        scale = supplied.get("scale", signature["scale"].default if "scale" in signature else 1)
        assert isinstance(scale, int)
        network.identity = identity = NetworkIdentity(name, scale, options)
        for attribute, value in (("scale", scale), ("num_in_ch", identity.num_in_ch)):
            if not hasattr(network, attribute):  # a network may use the name for a tensor
                setattr(network, attribute, value)
        return network


def _parameter_fault(parameter: inspect.Parameter) -> str:
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return f"{parameter} hides which options exist; name them"
    if parameter.kind is not parameter.KEYWORD_ONLY:
        return "positional; put `*,` before it"
    return "no annotation" if parameter.annotation is parameter.empty else ""


def closest(word: str, known: list[str]) -> str:
    """ "did you mean ...?" where something known is close to `word`, else the list of what is known."""
    folded = {name.lower(): name for name in known}
    matches = [folded[match] for match in difflib.get_close_matches(word.lower(), folded, n=3, cutoff=0.6)]
    if matches:
        return "did you mean " + " or ".join(repr(match) for match in matches) + "?"
    return "known: " + (", ".join(sorted(known)) or "none")


@functools.cache
def parameter_docs(documented: object) -> Mapping[str, str]:
    """Read the ``Args:`` section of a docstring: parameter name -> explanation on one line."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", inspect.getdoc(documented) or "", re.MULTILINE)
    docs: dict[str, str] = {}
    name = ""
    for line in section.group(1).splitlines() if section else []:
        entry = re.match(r" {4}(\w+): (.*)", line)
        if entry:
            name = entry.group(1)
            docs[name] = entry.group(2).strip()
        elif name and line.strip():
            docs[name] += " " + line.strip()
    return docs


def load_plugin(path: Path) -> None:
    """Import a user's plugin file; its ``register`` decorators add what it defines.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file fails to import; the message shows its own error.
    """
    path = path.resolve()
    if not path.is_file():
        raise FileNotFoundError(f"plugin file {path} does not exist")
    name = "srzoo_plugin_" + re.sub(r"\W", "_", str(path))
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"plugin {path} is not a Python file (expected a name ending in .py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"plugin {path} failed to import: {type(error).__name__}: {error}") from error


_MODEL_PARTS = ("g", "d", "criterion", "epoch_length")

ARCHS = NetworkRegistry(
    "network", "srzoo.archs", supplied=("scale",), bridges={"basicsr": "srzoo.compat.basicsr.networks"}
)
BACKBONES: Registry[Any] = Registry("backbone", "srzoo.archs", supplied=("num_feat",))
DISCRIMINATORS: Registry[Any] = Registry("discriminator", "srzoo.archs")
LOSSES: Registry[Any] = Registry("loss", "srzoo.losses")
METRICS: Registry[Any] = Registry("metric", "srzoo.metrics", supplied=("scale",))
DEGRADATIONS: Registry[Any] = Registry("degradation", "srzoo.degradations", supplied=("scale",))
DATASETS: Registry[Any] = Registry("dataset", "srzoo.data", supplied=("scale", "phase", "gt_only"))
OPTIMIZERS: Registry[Any] = Registry("optimizer", "srzoo.optim", supplied=("params",))
SCHEDULERS: Registry[Any] = Registry("scheduler", "srzoo.optim")
MODELS: Registry[Any] = Registry("model", "srzoo.models", supplied=_MODEL_PARTS)
