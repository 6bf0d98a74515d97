"""The one way to every format: a network and a request become an artifact in memory."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from srzoo.contract import contract_of, identity_of
from srzoo.export.artifact import Artifact, Format, Precision, Size, as_json, metadata_of
from srzoo.export.deployed import Float16, require
from srzoo.export.exported import METADATA, exported_program, program_function
from srzoo.export.int8 import in_int8
from srzoo.export.ncnn import ncnn_artifact
from srzoo.export.onnx import onnx_model
from srzoo.export.runtimes import onnxruntime_function
from srzoo.export.tflite import tflite_artifact

PRECISIONS: Mapping[Format, tuple[Precision, ...]] = {
    "onnx": ("fp32", "fp16", "int8"),
    "ncnn": ("fp32", "fp16"),
    "tflite": ("fp32",),
    "exported": ("fp32", "fp16"),
}
PACKAGES: Mapping[Format, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "ncnn": ("pnnx", "ncnn"),
    "tflite": ("litert_torch",),
    "exported": (),
}


@dataclass(frozen=True)
class Request:
    """An export to be made.

    Args:
        format: of the file.
        size: (H, W) of the only size that it takes; None: sizes vary [LQ pixels].
        precision: of weights, and of activations where the runtime has it.
        calibration: (1, C, H, W) images for int8.
        provenance: where the weights come from, for the metadata.
    """

    format: Format
    size: Size | None
    precision: Precision
    calibration: Sequence[np.ndarray]
    provenance: Mapping[str, str]


def refuse_impossible(net: nn.Module, request: Request) -> None:
    """Check a request before any work is done.

    Raises:
        ValueError: the network, the precision, the size or a missing package rules the format out; says which and why.
    """
    name, wanted = identity_of(net).type, request.format
    reason = contract_of(net).unsupported_formats.get(wanted)
    if reason:
        raise ValueError(f"{name} cannot be exported to {wanted}: {reason}")
    if request.precision not in PRECISIONS[wanted]:
        known = ", ".join(PRECISIONS[wanted])
        raise ValueError(f"{wanted} is written in {known}, not in {request.precision}")
    if wanted == "tflite" and request.size is None:
        raise ValueError("a TFLite file takes images of one size: give it with --input WIDTHxHEIGHT")
    require(*PACKAGES[wanted], extra="tflite" if wanted == "tflite" else "export")
    multiple = contract_of(net).multiple_of
    if wanted == "ncnn" and request.size is not None and any(side % multiple for side in request.size):
        height, width = request.size
        raise ValueError(f"{name} in ncnn takes sides that are multiples of {multiple}, got {width}x{height}")


def artifact_of(net: nn.Module, request: Request) -> Artifact:
    """Make an export in memory, and load it into its runtime.

    Args:
        net: the network, from :func:`srzoo.export.deployed.deployed`.
        request: checked by :func:`refuse_impossible`.

    Raises:
        ValueError: a converter cannot convert the network.
    """
    size = request.size
    # The graphs of all other formats pad by themselves.
    multiple = contract_of(net).multiple_of if request.format == "ncnn" else 1
    metadata = metadata_of(
        net, size=size, multiple=multiple, precision=request.precision, provenance=request.provenance
    )
    if request.format == "ncnn":
        return ncnn_artifact(net, size, fp16=request.precision == "fp16", metadata=metadata)
    if request.format == "tflite":
        assert size is not None
        return tflite_artifact(net, size, metadata)
    if request.format == "exported":
        program = exported_program(Float16(net) if request.precision == "fp16" else net, size)
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={METADATA: as_json(metadata)})
        content = buffer.getvalue()
        return Artifact({".pt2": content}, program_function(content), size, 1, 1 if size else None)
    return _onnx_artifact(net, request, metadata)


def _onnx_artifact(net: nn.Module, request: Request, metadata: Mapping[str, str]) -> Artifact:
    from onnx import checker, helper

    model = onnx_model(Float16(net) if request.precision == "fp16" else net, request.size)
    if request.precision == "int8":
        model = in_int8(model, request.calibration)
    helper.set_model_props(model, dict(metadata))
    checker.check_model(model)
    batch = 1 if request.size else None
    return Artifact({".onnx": model.SerializeToString()}, onnxruntime_function(model), request.size, 1, batch)
