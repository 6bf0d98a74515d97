"""Programs of ``torch.export``: the network as a graph of PyTorch's operators, which runs without its Python code."""

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.export import Dim

from srzoo.contract import identity_of
from srzoo.export.artifact import Compute, Size
from srzoo.export.deployed import quiet

if TYPE_CHECKING:
    from torch.export import ExportedProgram

# Name of the metadata inside a .pt2 file.
METADATA = "srzoo.json"
# Traced where sizes vary: odd sides, so that every network that pads does so, and with room for a large window.
_TRACED = (49, 43)
# The smallest sides are inferred: in the graph of a network that pads, a side of one window is a case apart.
_VARYING = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)


def exported_program(net: nn.Module, size: Size | None = None) -> "ExportedProgram":
    """Export a network in its deployed form as a program: (B, C, H, W) -> (B, C, scale*H, scale*W).

    Args:
        net: the network, from :func:`srzoo.export.deployed.deployed`.
        size: (H, W) of the one size that the program takes, with a batch of 1; None: all three vary [LQ pixels].

    Raises:
        ValueError: PyTorch cannot export the network.
    """
    channels = identity_of(net).num_in_ch
    # A traced batch of 1 would stay 1.
    lq = torch.rand(1, channels, *size) if size else torch.rand(2, channels, *_TRACED)
    try:
        with torch.no_grad():
            program = torch.export.export(net, (lq,), dynamic_shapes=None if size else _VARYING)
    except Exception as error:  # torch.export raises errors of many types
        raise ValueError(f"PyTorch cannot export {identity_of(net).type}: {_first_line(error)}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # places in the source files of this machine
    return program


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def program_function(content: bytes) -> Compute:
    """Return the content of a .pt2 file as a function on the CPU."""
    with quiet():
        program = torch.export.load(io.BytesIO(content)).module()

    def compute(lq: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return program(torch.from_numpy(lq)).numpy()

    return compute
