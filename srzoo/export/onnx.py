"""ONNX: a graph that ONNX Runtime, OpenVINO, TensorRT, DirectML and browsers run.

The graph's input is `lq` (B, C, H, W) and its output `sr` (B, C, scale*H, scale*W), float32 in the network's range.
Batch, height and width vary, or the size is fixed. The network is in its plain form (layers/plain.py).
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.export import Dim

from srzoo.contract import identity_of
from srzoo.export.deployed import require

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT, OUTPUT = "lq", "sr"
# Traced for sizes that vary: sides that differ from each other and from every constant of a network.
_TRACED = (48, 40)


def onnx_model(net: nn.Module, size: tuple[int, int] | None = None) -> "ModelProto":
    """Convert a network in its deployed form to an ONNX model.

    Args:
        net: the network, from :func:`srzoo.export.deployed.deployed`.
        size: (H, W) of the one size that the model takes, with a batch of 1; None: all three vary [LQ pixels].

    Raises:
        ValueError: onnx or onnxscript is not installed, or PyTorch's exporter cannot convert the network.
    """
    require("onnx", "onnxscript")
    channels = identity_of(net).num_in_ch
    # A traced batch of 1 would stay 1.
    lq = torch.rand(1, channels, *size) if size else torch.rand(2, channels, *_TRACED)
    varying = {0: Dim("batch", min=1), 2: Dim("height", min=1), 3: Dim("width", min=1)}
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                net,
                (lq,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=None if size else (varying,),
            )
    except Exception as error:  # PyTorch's exporter raises errors of many types
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ValueError(f"PyTorch cannot convert {identity_of(net).type} to ONNX: {reason}") from error
    assert program is not None
    return program.model_proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its warnings about optional packages from the console."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
