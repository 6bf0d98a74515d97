"""TFLite (LiteRT): one file for one size of image, in float32, through the package litert-torch."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from srzoo.contract import identity_of
from srzoo.export.artifact import Artifact, Compute, Size, as_json, refuse_size
from srzoo.export.deployed import quiet, require


def tflite_artifact(net: nn.Module, size: Size, metadata: Mapping[str, str]) -> Artifact:
    """Convert a network in its deployed form to TFLite.

    Args:
        net: the network, from :func:`srzoo.export.deployed.deployed`.
        size: (H, W) of the only size [LQ pixels].
        metadata: appended to the file as a line of JSON; readers find a model's end by its own tables.

    Raises:
        ValueError: litert-torch is not installed, or cannot convert the network.
    """
    require("litert_torch", extra="tflite")
    import litert_torch  # pyright: ignore[reportMissingImports]

    lq = torch.rand(1, identity_of(net).num_in_ch, *size)
    try:
        with quiet():
            model = litert_torch.convert(without_factors(net, lq), (lq,))
    except Exception as error:  # the converter raises errors of many types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"litert-torch cannot convert {identity_of(net).type}: {reason}") from error
    with tempfile.TemporaryDirectory(prefix="srzoo-tflite-") as folder, quiet():
        path = Path(folder, "net.tflite")
        model.export(str(path))
        content = path.read_bytes()
    content += f"\n# {as_json(metadata)}\n".encode()
    return Artifact({".tflite": content}, tflite_function(content, size), size, 1, 1)


def without_factors(net: nn.Module, lq: torch.Tensor) -> torch.fx.GraphModule:
    """Return a network's graph for an input's size, with x + alpha * y as a product and a sum.

    litert-torch 0.10 has no sum with a factor.
    """
    program = torch.export.export(net, (lq,))
    graph, aten = program.graph_module.graph, torch.ops.aten
    for node in graph.find_nodes(op="call_function", target=aten.add.Tensor):
        if "alpha" in node.kwargs:
            x, y = node.args
            with graph.inserting_before(node):
                product = graph.call_function(aten.mul.Tensor, (y, node.kwargs["alpha"]))
            node.args, node.kwargs = (x, product), {}
    module = program.module()
    # It has the behaviour of the network, in evaluation mode, and not its mark.
    for part in module.modules():
        part.training = False
    return module


def tflite_function(content: bytes, size: Size) -> Compute:
    """Return a TFLite model of one size as a function."""
    from ai_edge_litert.interpreter import Interpreter  # pyright: ignore[reportMissingImports]

    interpreter = Interpreter(model_content=content, num_threads=torch.get_num_threads())
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def compute(lq: np.ndarray) -> np.ndarray:
        refuse_size(lq, size, 1)
        interpreter.set_tensor(source, lq)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(target))

    return compute
