"""The networks of the package `basicsr`, where it is installed, as `type: basicsr/SwinIR` and so on.

    pip install --no-deps --no-build-isolation basicsr==1.4.2

(a plain install would replace PyTorch; setuptools 70.1 or newer must be there). Its 1.4.2 imports a module that
torchvision has removed: a stand-in takes its place first.
"""

import importlib
import inspect
import sys
import types
from typing import Any

from torch import Tensor, nn

from srzoo.ops.pad import pad_to_multiple
from srzoo.registry import ARCHS, closest

PREFIX = "basicsr/"
INSTALL = "pip install --no-deps --no-build-isolation basicsr==1.4.2"
# What its networks call the magnification, which the option file says once.
_SCALES = ("upscale", "scale")


def basicsr(module: str) -> Any:
    """A module of the package, such as ``archs`` or ``metrics.psnr_ssim``.

    Raises:
        LookupError: it is not installed, with the command that does so.
    """
    _stand_in()
    try:
        return importlib.import_module(f"basicsr.{module}")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "basicsr":
            raise LookupError(f"the package basicsr is not installed: {INSTALL}") from error
        raise LookupError(f"the package basicsr needs {error.name}: pip install {error.name}") from error


def register(name: str) -> None:
    """Make the network `name` ("basicsr/SwinIR") one of srzoo's.

    Raises:
        LookupError: basicsr is not installed, or has no such network.
    """
    basicsr("archs")
    registry = basicsr("utils.registry").ARCH_REGISTRY
    # Names that another package has taken before carry a suffix of their own.
    known = {key.removesuffix("_basicsr"): key for key in registry.keys()}  # noqa: SIM118  # not a mapping
    wanted = name.removeprefix(PREFIX)
    if wanted not in known:
        raise LookupError(f"the package basicsr has no network {wanted!r}; {closest(wanted, list(known))}")
    ARCHS.register(_as_plugin(registry.get(known[wanted])), name)


def _as_plugin(network: type[nn.Module]) -> Any:
    """A constructor with the network's parameters by keyword and, for srzoo, `scale`."""
    own = inspect.signature(network).parameters
    own_scale = next((name for name in _SCALES if name in own), None)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = [
        parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=_kind(parameter))
        for name, parameter in own.items()
        if parameter.kind in named and _can_be_said(parameter.default) and name != own_scale
    ]

    def build(*, scale: int, **options: Any) -> nn.Module:
        net = network(**options, **({own_scale: scale} if own_scale else {}))
        window = options.get("window_size", own["window_size"].default if "window_size" in own else 1)
        return net if window == 1 else _for_any_size(net, window, scale)

    supplied = inspect.Parameter("scale", inspect.Parameter.KEYWORD_ONLY, annotation=int)
    build.__doc__ = inspect.getdoc(network)
    build.__signature__ = inspect.Signature([supplied, *parameters])  # pyright: ignore[reportFunctionMemberAccess]
    return build


def _for_any_size(net: nn.Module, window: int, scale: int) -> nn.Module:
    """`net`, which leaves it to others to pad its input to whole windows and to cut its output, with both done."""
    size = [0, 0]

    def before(_: nn.Module, images: tuple[Tensor, ...]) -> tuple[Tensor]:
        size[:] = images[0].shape[-2:]
        return (pad_to_multiple(images[0], window),)

    def after(_: nn.Module, __: object, sr: Tensor) -> Tensor:
        return sr[..., : size[0] * scale, : size[1] * scale]

    net.register_forward_pre_hook(before)
    net.register_forward_hook(after)
    return net


def _can_be_said(default: Any) -> bool:
    """Whether an option file can hold such a value; a class (a kind of norm, say) it cannot."""
    if isinstance(default, list | tuple):
        return all(_can_be_said(item) for item in default)
    return default in (None, inspect.Parameter.empty) or isinstance(default, bool | int | float | str)


def _kind(parameter: inspect.Parameter) -> Any:
    """What an option file may say for it, as its default shows."""
    default = parameter.default
    if isinstance(default, bool | str):
        return type(default)
    # A factor of 1 is written as a whole number.
    return int | float if isinstance(default, int | float) else Any


def _stand_in() -> None:
    """torchvision.transforms.functional_tensor, of which basicsr needs one function."""
    name = "torchvision.transforms.functional_tensor"
    if name not in sys.modules:
        from torchvision.transforms import functional

        module = types.ModuleType(name)
        module.rgb_to_grayscale = functional.rgb_to_grayscale  # pyright: ignore[reportAttributeAccessIssue]
        sys.modules[name] = module
