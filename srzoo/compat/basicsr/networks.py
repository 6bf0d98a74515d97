"""The networks of the installed package `basicsr`, as `type: basicsr/SwinIR` and so on.

    pip install --no-deps --no-build-isolation basicsr==1.4.2

A plain install would replace PyTorch, and the build needs setuptools 70.1 or newer. Version 1.4.2 imports a module that
torchvision has removed; a substitute is registered first.
"""

import importlib
import importlib.util
import sys
from types import ModuleType

from srzoo.compat.basicsr.constructors import network_plugin
from srzoo.registry import ARCHS, closest

PREFIX = "basicsr/"
INSTALL = "pip install --no-deps --no-build-isolation basicsr==1.4.2"


def is_installed() -> bool:
    """Return True if the package is installed."""
    return importlib.util.find_spec("basicsr") is not None


def import_basicsr(module: str) -> ModuleType:
    """Import a module of the package, such as ``archs`` or ``metrics.psnr_ssim``.

    Raises:
        LookupError: the package, or one that it needs, is not installed; the message has the command that installs it.
    """
    supply_functional_tensor()
    try:
        return importlib.import_module(f"basicsr.{module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "basicsr":
            raise LookupError(f"the package basicsr is not installed: {INSTALL}") from error
        raise LookupError(f"the package basicsr needs {error.name}: pip install {error.name}") from error


def register(name: str) -> None:
    """Register the network `name` ("basicsr/SwinIR") as a network of srzoo.

    Raises:
        LookupError: basicsr is not installed, or has no such network.
    """
    import_basicsr("archs")
    registry = import_basicsr("utils.registry").ARCH_REGISTRY
    # basicsr appends a suffix to names that another package has already registered.
    known = {key.removesuffix("_basicsr"): key for key in registry.keys()}  # noqa: SIM118  # not a mapping
    wanted = name.removeprefix(PREFIX)
    if wanted not in known:
        raise LookupError(f"the package basicsr has no network {wanted!r}; {closest(wanted, list(known))}")
    ARCHS.register(network_plugin(registry.get(known[wanted])), name)


def supply_functional_tensor() -> None:
    """Register a substitute for torchvision.transforms.functional_tensor, of which basicsr needs one function."""
    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules:
        from torchvision.transforms import functional

        module = ModuleType(name)
        module.rgb_to_grayscale = functional.rgb_to_grayscale  # pyright: ignore[reportAttributeAccessIssue]
        sys.modules[name] = module
