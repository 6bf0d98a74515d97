"""ONNX: a graph that ONNX Runtime, OpenVINO, TensorRT, DirectML and browsers run.

The graph's input is `lq` (B, C, H, W) and its output `sr` (B, C, scale*H, scale*W), float32 in the network's range.
Batch, height and width vary, or the size is fixed. The network is in its plain form (layers/plain.py).
"""

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from srzoo.contract import identity_of
from srzoo.export.artifact import Size
from srzoo.export.deployed import quiet, require
from srzoo.export.exported import exported_program

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch.export import ExportedProgram

INPUT, OUTPUT = "lq", "sr"
Value = object  # of a graph under construction


def onnx_model(net: nn.Module, size: Size | None = None) -> "ModelProto":
    """Convert a network in its deployed form to an ONNX model.

    Args:
        net: the network, from :func:`srzoo.export.deployed.deployed`.
        size: (H, W) of the one size that the model takes, with a batch of 1; None: all three vary [LQ pixels].

    Raises:
        ValueError: onnx or onnxscript is not installed, or PyTorch's exporter cannot convert the network.
    """
    require("onnx", "onnxscript")
    program = exported_program(net, size)
    try:
        with quiet():
            converted = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=None if size else ({0: "batch", 2: "height", 3: "width"},),
                custom_translation_table=_slices() if _only_crops(program) else None,
            )
    except Exception as error:  # PyTorch's exporter raises errors of many types
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ValueError(f"PyTorch cannot convert {identity_of(net).type} to ONNX: {reason}") from error
    assert converted is not None
    model = converted.model_proto
    # Notes of the exporter: places in the source files of this machine, twice the size of a small network.
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        part.ClearField("metadata_props")
    return model


def _only_crops(program: "ExportedProgram") -> bool:
    """Return True if every padding by a symbolic number is negative, as :func:`srzoo.ops.pad.crop` writes them."""
    pads = [node for node in program.graph.nodes if node.target is torch.ops.aten.pad.default]
    # Nodes other than the padded tensor are numbers that are computed from sizes.
    symbols = [margin for node in pads for margin in node.all_input_nodes if margin is not node.args[0]]
    # The value for the traced size.
    return all(margin.meta["val"].node.hint < 0 for margin in symbols)


def _slices() -> dict[Callable[..., object], Callable[..., Value]]:
    """Return the translation of :func:`srzoo.ops.pad.crop` to a slice.

    PyTorch's own is a negative padding, of which OpenVINO expects that the result is never smaller than the smallest
    input: it fails on images smaller than a network's multiple.
    """
    # By name: their annotations describe finished graphs.
    opset18 = importlib.import_module("onnxscript").opset18
    aten_pad = importlib.import_module("onnxscript.function_libs.torch_lib.ops.nn").aten_pad

    def slice_or_pad(
        self: Value, pad: Sequence[int | Value], mode: str = "constant", value: float | None = None
    ) -> Value:
        # Margins (before, after) of the last axis, then of the one before it.
        shrinks = all(margin <= 0 for margin in pad if isinstance(margin, int))
        if mode == "constant" and len(pad) == 4 and shrinks and [pad[0], pad[2]] == [0, 0]:
            # Negative margins, added to height and width.
            ends = opset18.Add(opset18.Shape(self, start=-2), [pad[3], pad[1]])
            return opset18.Slice(self, [0, 0], ends, [-2, -1])
        return aten_pad(self, pad, mode, value)

    return {torch.ops.aten.pad.default: slice_or_pad}
