"""Compiled networks: ``torch.compile`` behind an option, and a clear error where it cannot work."""

import importlib.util
import os
import shutil
from typing import Literal, cast

import torch
from torch import nn

# False: no compilation; True: PyTorch's default mode.
CompileMode = bool | Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


def compiled(net: nn.Module, mode: CompileMode, *, dynamic: bool | None = None) -> nn.Module:
    """Return `net` compiled, on first use, or `net` itself if `mode` is False.

    The compiled network shares its weights with `net`, whose state dict has the plain keys.

    Args:
        net: the network, on the device that it runs on.
        mode: of ``torch.compile``.
        dynamic: True: one compilation for inputs of any size; None: a new one for a second size.

    Raises:
        ValueError: the compilers that PyTorch needs are missing.
    """
    if mode is False:
        return net
    parameter = next(net.parameters(), None)
    _refuse_without_compiler("cpu" if parameter is None else parameter.device.type)
    return cast(nn.Module, torch.compile(net, mode=None if mode is True else mode, dynamic=dynamic))


def _refuse_without_compiler(device_type: str) -> None:
    """Check that the generated code can be compiled: C++ on a CPU; on a GPU Triton, which calls a C compiler.

    Raises:
        ValueError: something is missing.
    """
    name, package = ("CXX", "g++") if device_type == "cpu" else ("CC", "gcc")
    wanted = [os.environ[name]] if os.environ.get(name) else [package, "clang++" if device_type == "cpu" else "clang"]
    if not any(shutil.which(command) for command in wanted):
        raise ValueError(
            f"compile: torch.compile needs a C++ compiler, and {' or '.join(wanted)} was not found: install {package}, "
            f"name a compiler in the environment variable {name}, or set compile: false"
        )
    if device_type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ValueError("compile: torch.compile needs Triton on a GPU: pip install triton, or set compile: false")
