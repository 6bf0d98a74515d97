"""Smaller ONNX models: float16, and int8 by static quantisation, both through ONNX Runtime's own tools.

Inputs and outputs remain float32.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from srzoo.export.deployed import require
from srzoo.export.onnx import INPUT

if TYPE_CHECKING:
    from onnx import ModelProto


def in_float16(model: "ModelProto") -> "ModelProto":
    """Return a model whose weights and activations are float16."""
    require("onnxruntime")
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)


def in_int8(model: "ModelProto", images: Sequence[np.ndarray]) -> "ModelProto":
    """Return a model whose convolutions have int8 weights, a scale per channel, and uint8 activations.

    Args:
        model: in float32.
        images: (1, C, H, W) float32 each, whose activations give the ranges.
    """
    require("onnxruntime")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Calibration(CalibrationDataReader):
        """The images one by one, in the form that the quantiser asks for."""

        def __init__(self) -> None:
            self.images: Iterator[np.ndarray] = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.images, None)
            return None if image is None else {INPUT: image}

    with tempfile.TemporaryDirectory(prefix="srzoo-int8-") as folder:
        prepared, quantised = str(Path(folder, "prepared.onnx")), str(Path(folder, "int8.onnx"))
        # Its advice goes to the root logger, and concerns this preparation.
        logging.disable(logging.WARNING)
        try:
            quant_pre_process(model, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                quantised,
                Calibration(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(quantised)
