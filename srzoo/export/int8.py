"""ONNX models in int8 by static quantisation, through ONNX Runtime's own tool; input and output remain float32."""

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


def in_int8(model: "ModelProto", images: Sequence[np.ndarray]) -> "ModelProto":
    """Return a model whose convolutions have int8 weights, a scale per channel, and uint8 activations.

    The first and the last convolution remain float32: rounding there reaches the image as it is. Weights use 7 bits,
    because sums of products of 8 bits saturate on processors without VNNI.

    Args:
        model: in float32.
        images: (1, C, H, W) float32 each, whose activations give the ranges.
    """
    require("onnxruntime")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]

    class Calibration(CalibrationDataReader):
        """The images one by one, in the form that the quantiser asks for."""

        def __init__(self) -> None:
            self.images: Iterator[np.ndarray] = iter(images)

        # None ends the calibration, which the annotation of the base class leaves out.
        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            image = next(self.images, None)
            return None if image is None else {INPUT: image}

    with tempfile.TemporaryDirectory(prefix="srzoo-int8-") as folder:
        quantised = str(Path(folder, "int8.onnx"))
        # Its advice, to prepare the model first, goes to the root logger; PyTorch's exporter has done so.
        logging.disable(logging.WARNING)
        try:
            quantize_static(
                model,
                quantised,
                Calibration(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                per_channel=True,
                reduce_range=True,
                nodes_to_exclude=[convolutions[0], convolutions[-1]] if len(convolutions) > 2 else [],
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(quantised)
