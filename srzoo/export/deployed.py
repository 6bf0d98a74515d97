"""The form of a network that is exported, and the packages that exporting needs."""

import importlib.util

from torch import nn

from srzoo.layers import reparam


def deployed(net: nn.Module) -> nn.Module:
    """Return a copy of a network as it is shipped: blocks merged, in evaluation mode and float32, on the CPU."""
    return reparam.fused(net).cpu().float().eval().requires_grad_(False)


def require(*packages: str, extra: str = "export") -> None:
    """Check that optional packages are installed.

    Raises:
        ValueError: some are missing; the message names them and the extra that brings them.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ValueError(f'{", ".join(missing)} is not installed: pip install "srzoo[{extra}]"')
