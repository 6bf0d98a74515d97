"""Blueprints of networks: built without memory for weights, and stopped where no memory would hold the network.

A slip in one option (``num_block: 10^12``) describes a network whose construction alone would take hours or all memory.
The bounds below are several times the sizes of large networks for super-resolution (RCAN has 4,100 parts, DRCT-L 28
million weights). They count steps of the constructor, so that they hold for every network, plugins included.
"""

import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules import module
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from _typeshed import TraceFunction

# Modules, parameters and buffers.
MAX_PARTS = 10_000
# Elements of all parameters and buffers: 40 GB in float32.
MAX_WEIGHTS = 10_000_000_000
# Lines of Python that run outside installed packages: loops that precede the first layer.
MAX_LINES = 500_000


# Start of the paths of Python's own files and of installed packages, which a constructor may import.
_INSTALLED = ("<frozen", torch.__path__[0], *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")))


class NetworkTooLargeError(ValueError):
    """A network is beyond the bounds of a blueprint; the message says which."""


@dataclass
class Blueprint:
    """Counts of the network that is being built.

    Args:
        parts: modules, parameters and buffers.
        weights: elements of its parameters and buffers.
        lines: lines of Python that ran outside installed packages.
    """

    parts: int = 0
    weights: int = 0
    lines: int = 0

    def add_part(self, parent: nn.Module, name: str, part: nn.Module | Tensor | None) -> None:
        """Count a module, parameter or buffer that is registered; see PyTorch's registration hooks.

        Raises:
            NetworkTooLargeError: there are too many, or they have too many elements.
        """
        del parent, name
        self.parts += 1
        self.weights += part.numel() if isinstance(part, Tensor) else 0
        if self.parts > MAX_PARTS:
            raise NetworkTooLargeError(f"more than {MAX_PARTS:,} modules and parameters")
        if self.weights > MAX_WEIGHTS:
            raise NetworkTooLargeError(f"more than {MAX_WEIGHTS:,} weights")

    def trace(self, frame: FrameType, event: str, argument: object) -> "TraceFunction | None":
        """Count the lines that run in a new frame, if it is a network's; see ``sys.settrace``."""
        del event, argument
        file, name = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
        # srzoo itself may be an installed package.
        counted = name.startswith("srzoo") if file.startswith(_INSTALLED) else file != __file__
        return self._add_line if counted else None

    def _add_line(self, frame: FrameType, event: str, argument: object) -> "TraceFunction":
        del frame, event, argument
        self.lines += 1
        if self.lines > MAX_LINES:
            raise NetworkTooLargeError(f"more than {MAX_LINES:,} steps in its constructor")
        return self._add_line


class _Unfilled(TorchFunctionMode):
    """Leaves out the initialisation of weights: there is no memory to fill, and it takes half of the time."""

    def __torch_function__(
        self,
        func: Callable[..., Tensor],
        types: Sequence[type],
        args: tuple[Tensor, ...] = (),
        kwargs: dict[str, Tensor] | None = None,
    ) -> Tensor:
        del types
        kwargs = kwargs or {}
        # Methods of tensors have no module.
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


@contextmanager
def blueprint() -> Iterator[Blueprint]:
    """Build networks inside on PyTorch's meta device, within the bounds of this module.

    Raises:
        NetworkTooLargeError: from the constructor that exceeds a bound.
    """
    counts = Blueprint()
    hooks = [
        module.register_module_module_registration_hook(counts.add_part),
        module.register_module_parameter_registration_hook(counts.add_part),
        module.register_module_buffer_registration_hook(counts.add_part),
    ]
    # A debugger or a coverage tool traces already, and only one can.
    traced_here = sys.gettrace() is None
    try:
        if traced_here:
            sys.settrace(counts.trace)
        with torch.device("meta"), _Unfilled():
            yield counts
    except (MemoryError, OverflowError, RecursionError) as error:
        raise NetworkTooLargeError("sizes that no memory holds") from error
    except (RuntimeError, TypeError) as error:
        # PyTorch's words for sizes beyond 64 bits.
        if "overflow" not in str(error).lower():
            raise
        raise NetworkTooLargeError("sizes that no memory holds") from error
    finally:
        if traced_here:
            sys.settrace(None)
        for hook in hooks:
            hook.remove()
