"""Plugin files written for BasicSR: they import `basicsr` and add their classes to its registries.

They get the package if it is installed, otherwise a stand-in with the parts that such files use most. Either way, new
networks and losses become srzoo's, under the same names: `plugins: [hat_arch.py]` and `network_g: {type: HAT}`.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast

from torch import nn

from srzoo.compat.basicsr.constructors import network_plugin, plain_plugin
from srzoo.compat.basicsr.networks import INSTALL, is_installed, supply_functional_tensor
from srzoo.registry import ARCHS, DISCRIMINATORS, LOSSES

Constructor = Callable[..., nn.Module]
# Module of the package -> the module that takes its place; "" is an empty package.
_STAND_INS = {
    "basicsr": "",
    "basicsr.archs": "",
    "basicsr.archs.arch_util": "arch_util",
    "basicsr.utils": "utils",
    "basicsr.utils.registry": "registry",
}
# Registries whose members BasicSR calls in another way than srzoo -> the documentation of srzoo's way.
_REWRITTEN = {
    "METRIC_REGISTRY": 'docs/how-do-i.md, "Add a metric"',
    "DATASET_REGISTRY": 'docs/how-do-i.md, "Add a dataset"',
    "MODEL_REGISTRY": 'docs/architecture.md, "Plugins"',
}
_NAMES = ("ARCH_REGISTRY", "LOSS_REGISTRY", *_REWRITTEN)


@contextmanager
def importable() -> Iterator[None]:
    """Make `basicsr` importable for a plugin file, then register the file's additions to BasicSR's registries.

    Raises:
        ImportError: the file needs more of the package than the stand-in has.
        ValueError: a name is taken, or the file adds a metric, dataset or model.
    """
    supply_functional_tensor()
    stand_ins = {} if is_installed() else _stand_ins()
    hidden = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        registries = importlib.import_module("basicsr.utils.registry")
        before = _members(registries)
        yield
        for (registry, name), member in _members(registries).items():
            if before.get((registry, name)) is not member:
                _register(registry, member)
    except ImportError as error:
        # Python names the module that a name is missing from, here one of the stand-in.
        if stand_ins and "basicsr" in (error.name or ""):
            raise ImportError(f"{error}; the stand-in for the package basicsr has no more: {INSTALL}") from error
        if "relative import" in str(error):
            raise ImportError(
                f"{error}: a plugin is a single file; write `from basicsr.archs.arch_util import ...`, not "
                "`from .arch_util import ...`"
            ) from error
        raise
    finally:
        # Other code may ask whether the package is installed.
        for name, module in hidden.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def _stand_ins() -> dict[str, ModuleType]:
    """Return the modules of the stand-in by the names that they take the place of."""
    modules: dict[str, ModuleType] = {}
    for name, stand_in in _STAND_INS.items():
        if stand_in:
            modules[name] = importlib.import_module(f"srzoo.compat.basicsr.stand_in.{stand_in}")
        else:
            modules[name] = ModuleType(name)
            modules[name].__path__ = []  # a package, in which Python looks for modules
    return modules


def _members(registries: ModuleType) -> dict[tuple[str, str], Constructor]:
    """Return the members of BasicSR's registries by (registry, name)."""
    return {
        (registry, name): member
        for registry in _NAMES
        for name, member in cast("list[tuple[str, Constructor]]", getattr(registries, registry, []))
    }


def _register(registry: str, member: Constructor) -> None:
    name = member.__name__
    if registry in _REWRITTEN:
        kind = registry.partition("_")[0].lower()
        raise ValueError(f"{name}: srzoo calls a {kind} in another way than BasicSR; {_REWRITTEN[registry]}, shows how")
    if registry == "LOSS_REGISTRY":
        LOSSES.register(plain_plugin(member), name)
    elif "Discriminator" in name:  # BasicSR has one registry for both kinds of networks
        DISCRIMINATORS.register(plain_plugin(member), name)
    else:
        ARCHS.register(network_plugin(member), name)
