"""Check of the images that a network is called with, for networks that a user loads and calls by hand."""

import torch
from torch import Tensor, nn

from srzoo.contract import contract_of, identity_of


def refuse_other_input(net: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    """Check the input of a network before it is computed, as a forward pre-hook.

    Compiled and exported graphs leave the check out.

    Raises:
        ValueError: it is no floating-point tensor (B, C, H, W), or its values go far beyond the network's range.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return
    image = args[0] if args else next(iter(kwargs.values()), None)
    low, high = contract_of(net).value_range
    identity = identity_of(net)
    expected = f"{identity.type} expects a tensor (B, {identity.num_in_ch}, H, W) with values in [{low:g}, {high:g}]"
    if not isinstance(image, Tensor):
        kind, shape = type(image), getattr(image, "shape", None)
        raise ValueError(
            f"{expected}, got {kind.__module__}.{kind.__name__}{'' if shape is None else f' of shape {tuple(shape)}'}; "
            "for an RGB image (H, W, 3) of 8 bits: torch.from_numpy(image).permute(2, 0, 1)[None] / 255"
        )
    shape = tuple(image.shape)
    if len(shape) != 4 or shape[1] != identity.num_in_ch:
        raise ValueError(f"{expected}, got the shape {shape}")
    if not image.is_floating_point():
        raise ValueError(f"{expected}, got {image.dtype}: divide 8-bit values by 255")
    if image.is_meta:  # a size without values
        return
    # An output fed back in may leave the range a little; 8-bit values exceed it many times over.
    if image.numel() and float(image.detach().amax()) > 8 * high:
        raise ValueError(f"{expected}, got values up to {float(image.detach().amax()):g}: divide 8-bit values by 255")
