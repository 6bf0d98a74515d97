"""Networks computed by OpenVINO or ONNX Runtime instead of PyTorch, and called in the same way."""

import dataclasses
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from srzoo.contract import contract_of, identity_of
from srzoo.export.artifact import Compute
from srzoo.export.deployed import deployed, require
from srzoo.export.onnx import INPUT, onnx_model

if TYPE_CHECKING:
    from onnx import ModelProto

Backend = Literal["openvino", "onnxruntime"]


class RuntimeNetwork(nn.Module):
    """A network computed by another runtime: (B, C, H, W) -> (B, C, scale*H, scale*W), in the network's range.

    It has the identity, the contract, `scale` and `num_in_ch` of its network, so that it can be tiled like it, but no
    parameters and no gradient. Inputs of any floating-point type and device are computed in float32; the output has the
    type and the device of the input.

    Args:
        net: the network that is computed.
        compute: its function on arrays.
    """

    def __init__(self, net: nn.Module, compute: Compute) -> None:
        super().__init__()
        contract = contract_of(net)
        for fact in dataclasses.fields(contract):
            setattr(self, fact.name, getattr(contract, fact.name))
        self.identity = identity_of(net)
        self.scale, self.num_in_ch = self.identity.scale, self.identity.num_in_ch
        self._compute = compute

    def forward(self, lq: Tensor) -> Tensor:
        array = lq.detach().to("cpu", torch.float32).contiguous().numpy()
        return torch.from_numpy(self._compute(array)).to(lq)


def runtime_network(net: nn.Module, backend: Backend, device: str = "cpu") -> RuntimeNetwork:
    """Return a network computed by another runtime, in its deployed form and in float32.

    Args:
        net: the network, as ``ARCHS.build`` or ``srzoo.load_network`` returned it.
        backend: openvino or onnxruntime.
        device: cpu; or cuda (ONNX Runtime with its CUDA package), gpu (OpenVINO, GPUs of Intel).

    Raises:
        ValueError: the runtime is not installed or does not know the device, or the network cannot be converted.
    """
    opened = {"openvino": openvino_function, "onnxruntime": onnxruntime_function}
    if backend not in opened:
        raise ValueError(f"expected the backend {' or '.join(opened)}, got {backend!r}")
    require(backend)
    return RuntimeNetwork(net, opened[backend](onnx_model(deployed(net)), device))


def onnxruntime_function(model: "ModelProto", device: str = "cpu") -> Compute:
    """Return an ONNX model as a function, computed by ONNX Runtime with as many threads as PyTorch has.

    Raises:
        ValueError: ONNX Runtime is not installed, or has no such device.
    """
    require("onnxruntime")
    import onnxruntime

    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    known = [name for name, provider in providers.items() if provider in onnxruntime.get_available_providers()]
    if device not in known:
        raise ValueError(
            f"ONNX Runtime {onnxruntime.__version__} computes on {' or '.join(known)} here, not {device!r}"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[providers[device]])

    def compute(lq: np.ndarray) -> np.ndarray:
        (sr,) = session.run(None, {INPUT: lq})
        assert isinstance(sr, np.ndarray)
        return sr

    return compute


def openvino_function(model: "ModelProto", device: str = "cpu") -> Compute:
    """Return an ONNX model as a function, computed by OpenVINO in float32 with as many threads as PyTorch has.

    Raises:
        ValueError: OpenVINO is not installed, or has no such device.
    """
    require("openvino")
    import openvino

    core = openvino.Core()
    known = [name.lower() for name in core.available_devices]
    if device not in known:
        raise ValueError(f"OpenVINO {openvino.__version__} computes on {' or '.join(known)} here, not {device!r}")
    # Without the second hint, processors that have bfloat16 use it.
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if device == "cpu":
        settings["INFERENCE_NUM_THREADS"] = str(torch.get_num_threads())
    read = core.read_model(model.SerializeToString())
    compiled = core.compile_model(read, device.upper(), settings)

    def compute(lq: np.ndarray) -> np.ndarray:
        return compiled(lq)[0]

    return compute
