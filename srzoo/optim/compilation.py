"""Compiled networks: ``torch.compile`` behind an option, and a clear error where it cannot work."""

import importlib.util
import logging
import os
import shutil
from typing import Literal, cast

import torch
from torch import Tensor, nn

# False: no compilation; True: PyTorch's default mode.
CompileMode = bool | Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]

# Networks that PyTorch could not compile, by type: they are not tried again.
_plain: set[str] = set()

logger = logging.getLogger("srzoo")


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


class CompiledForScoring(nn.Module):
    """A network compiled for images of any size, or as it is if PyTorch cannot compile it; called as `net` is.

    Args:
        net: the network.
        mode: of :func:`compiled`.
    """

    def __init__(self, net: nn.Module, mode: CompileMode) -> None:
        super().__init__()
        self.net, self.kind = net, type(net).__name__
        self.fast = compiled(net, mode, dynamic=True)

    def forward(self, lq: Tensor) -> Tensor:
        if self.kind in _plain:
            return self.net(lq)
        try:
            return self.fast(lq)
        except RuntimeError as error:
            from torch._dynamo.exc import TorchDynamoException  # takes seconds to import, and is there by now

            if not isinstance(error, TorchDynamoException):
                raise
            _plain.add(self.kind)
            reason = next(iter(str(error).strip().splitlines()), "no reason given")
            logger.warning(f"compile: {self.kind} is scored in its plain form; PyTorch cannot compile it: {reason}")
            return self.net(lq)


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
    installed = torch.__path__[0]
    if " " in installed:
        raise ValueError(
            f"compile: PyTorch is installed in a folder whose path has a space ({installed}), which its calls of the "
            "compiler do not quote: move the environment, or set compile: false"
        )
    if device_type == "cuda" and importlib.util.find_spec("triton") is None:
        raise ValueError("compile: torch.compile needs Triton on a GPU: pip install triton, or set compile: false")
