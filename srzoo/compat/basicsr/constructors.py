"""Constructors of BasicSR's classes as plugins: keyword-only parameters whose types follow from the defaults."""

import inspect
from collections.abc import Callable, Mapping
from typing import TypeVar

from torch import Tensor, nn

from srzoo.ops.pad import pad_to_multiple

T = TypeVar("T")
# Names of the parameter for the magnification, which srzoo supplies from the option file's `scale`.
_SCALE_PARAMETERS = ("upscale", "scale")


def network_plugin(network: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Wrap the constructor of a network; the wrapper takes `scale` for the magnification.

    Networks with windows (`window_size`) take whole windows only: they pad their input and crop their output.
    """
    own = inspect.signature(network).parameters
    own_scale = next((name for name in _SCALE_PARAMETERS if name in own), None)

    def build(*, scale: int, **options: object) -> nn.Module:
        net = network(**options, **({own_scale: scale} if own_scale else {}))
        window = options.get("window_size", own["window_size"].default if "window_size" in own else 1)
        return _padded_to_windows(net, window, scale) if isinstance(window, int) and window != 1 else net

    supplied = inspect.Parameter("scale", inspect.Parameter.KEYWORD_ONLY, annotation=int)
    return _described(build, network, [supplied, *_plain_parameters(own, but=own_scale)])


def plain_plugin(constructor: Callable[..., T]) -> Callable[..., T]:
    """Wrap a constructor to which the framework supplies nothing: a loss or a discriminator."""

    def build(**options: object) -> T:
        return constructor(**options)

    return _described(build, constructor, _plain_parameters(inspect.signature(constructor).parameters))


def _described(
    build: Callable[..., T], constructor: Callable[..., T], parameters: list[inspect.Parameter]
) -> Callable[..., T]:
    """Give a wrapper the documentation of the constructor, and the signature that the registry reads as a schema."""
    build.__doc__, build.__module__ = inspect.getdoc(constructor), constructor.__module__
    build.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    return build


def _plain_parameters(own: Mapping[str, inspect.Parameter], but: str | None = None) -> list[inspect.Parameter]:
    """Return the parameters that an option file can set, keyword-only and annotated."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=_annotation(parameter.default))
        for name, parameter in own.items()
        if parameter.kind in named and _is_plain(parameter.default) and name != but
    ]


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
