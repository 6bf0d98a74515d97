"""The networks of the installed package `basicsr`, as `type: basicsr/SwinIR` and so on.

    pip install --no-deps --no-build-isolation basicsr==1.4.2

A plain install would replace PyTorch, and the build needs setuptools 70.1 or newer. Version 1.4.2 imports a module that
torchvision has removed; a substitute is registered first.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType

from torch import Tensor, nn

from srzoo.ops.pad import pad_to_multiple
from srzoo.registry import ARCHS, closest

PREFIX = "basicsr/"
INSTALL = "pip install --no-deps --no-build-isolation basicsr==1.4.2"
# Names of the parameter for the magnification, which srzoo supplies from the option file's `scale`.
_SCALE_PARAMETERS = ("upscale", "scale")


def import_basicsr(module: str) -> ModuleType:
    """Import a module of the package, such as ``archs`` or ``metrics.psnr_ssim``.

    Raises:
        LookupError: the package, or one that it needs, is not installed; the message has the command that installs it.
    """
    _supply_functional_tensor()
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
    ARCHS.register(_as_plugin(registry.get(known[wanted])), name)


def _as_plugin(network: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Wrap the constructor of a network: keyword-only parameters, and `scale` for the magnification."""
    own = inspect.signature(network).parameters
    own_scale = next((name for name in _SCALE_PARAMETERS if name in own), None)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = [
        parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=_annotation(parameter.default))
        for name, parameter in own.items()
        if parameter.kind in named and _is_plain(parameter.default) and name != own_scale
    ]

    def build(*, scale: int, **options: object) -> nn.Module:
        net = network(**options, **({own_scale: scale} if own_scale else {}))
        window = options.get("window_size", own["window_size"].default if "window_size" in own else 1)
        return _padded_to_windows(net, window, scale) if isinstance(window, int) and window != 1 else net

    supplied = inspect.Parameter("scale", inspect.Parameter.KEYWORD_ONLY, annotation=int)
    build.__doc__ = inspect.getdoc(network)
    # The registry reads the schema of the options from the signature.
    build.__signature__ = inspect.Signature([supplied, *parameters])  # pyright: ignore[reportFunctionMemberAccess]
    return build


def _padded_to_windows(net: nn.Module, window: int, scale: int) -> nn.Module:
    """Make `net`, which takes whole windows only, pad its input and crop its output; return it."""
    size = [0, 0]

    def pad(_: nn.Module, images: tuple[Tensor, ...]) -> tuple[Tensor]:
        size[:] = images[0].shape[-2:]
        return (pad_to_multiple(images[0], window),)  # (B, C, H', W'), multiples of the window

    def crop(_: nn.Module, __: object, sr: Tensor) -> Tensor:
        return sr[..., : size[0] * scale, : size[1] * scale]  # (B, C, scale*H, scale*W)

    net.register_forward_pre_hook(pad)
    net.register_forward_hook(crop)
    return net


def _is_plain(default: object) -> bool:
    """Return True if an option file can hold such a value, as it cannot hold a class (a kind of norm)."""
    if isinstance(default, list | tuple):
        return all(_is_plain(item) for item in default)
    return default in (None, inspect.Parameter.empty) or isinstance(default, bool | int | float | str)


def _annotation(default: object) -> object:
    """Return the type that an option file may give for a parameter with this default; `object` allows any."""
    if isinstance(default, bool | str):
        return type(default)
    # A default of 1 may be a factor: fractions are allowed.
    return int | float if isinstance(default, int | float) else object


def _supply_functional_tensor() -> None:
    """Register a substitute for torchvision.transforms.functional_tensor, of which basicsr needs one function."""
    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules:
        from torchvision.transforms import functional

        module = ModuleType(name)
        module.rgb_to_grayscale = functional.rgb_to_grayscale  # pyright: ignore[reportAttributeAccessIssue]
        sys.modules[name] = module
