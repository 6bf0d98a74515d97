"""ncnn: networks for phones and small devices, in float32 or with float16 weights.

The network is traced in its plain form and converted by pnnx, a program in the package of the same name. The files'
input is `in0` (C, H, W) and their output `out0`. ncnn reads as many lines of a .param file as its head announces, so
that a last line can hold the metadata. Paddings inside a network would become constants of the traced size: the graph
has none, and takes sides that are multiples of the network's. ncnn itself cuts other sizes without an error.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from srzoo.contract import NetworkIdentity, contract_of, identity_of
from srzoo.export.artifact import Artifact, Compute, Size, as_json, refuse_size
from srzoo.export.deployed import quiet, require
from srzoo.export.exported import exported_program

INPUT, OUTPUT = "in0", "out0"


def ncnn_artifact(net: nn.Module, size: Size | None, *, fp16: bool, metadata: Mapping[str, str]) -> Artifact:
    """Convert a network in its deployed form to ncnn.

    Args:
        net: the network, from :func:`srzoo.export.deployed.deployed`.
        size: (H, W) of the only size; None: any multiple of the network's `multiple_of` [LQ pixels].
        fp16: store the weights in float16.
        metadata: written as the last line of the .param file.

    Raises:
        ValueError: pnnx or ncnn is not installed, a side is no multiple, or ncnn lacks an operation of the network.
    """
    require("pnnx", "ncnn")
    multiple = contract_of(net).multiple_of
    traced = size or (8 * multiple, 6 * multiple) if multiple > 8 else size or (64, 48)
    refuse_size(np.empty(traced), None, multiple)
    with tempfile.TemporaryDirectory(prefix="srzoo-ncnn-") as folder:
        _convert(net, traced, Path(folder), fp16)
        param = Path(folder, "net.ncnn.param").read_text(encoding="utf-8")
        weights = Path(folder, "net.ncnn.bin").read_bytes()
    content = f"{param.rstrip()}\n# {as_json(metadata)}\n".encode()
    compute = ncnn_function(content, weights, size, multiple, identity_of(net))
    return Artifact({".param": content, ".bin": weights}, compute, size, multiple, 1)


def _convert(net: nn.Module, size: Size, folder: Path, fp16: bool) -> None:
    """Run pnnx on the network as traced at one size; it writes net.ncnn.param and net.ncnn.bin into the folder."""
    import pnnx

    lq = torch.rand(1, identity_of(net).num_in_ch, *size)
    # The program of torch.export has the sizes of the network resolved, which tracing alone would keep as tensors.
    program = exported_program(net, size).module()
    with quiet(), torch.no_grad():
        torch.jit.trace(program, lq, check_trace=False).save(folder / "net.pt")  # pyright: ignore[reportAttributeAccessIssue]
    shape = ",".join(map(str, lq.shape))
    command = [pnnx.EXEC_PATH, "net.pt", f"inputshape=[{shape}]", f"fp16={int(fp16)}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not (folder / "net.ncnn.param").is_file():
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ValueError(f"pnnx cannot convert {identity_of(net).type}: {lines[-1] if lines else done.returncode}")


def ncnn_function(param: bytes, weights: bytes, size: Size | None, multiple: int, identity: NetworkIdentity) -> Compute:
    """Return a network in ncnn's format as a function, computed on the CPU in float32; inputs have a batch of 1.

    Args:
        param: content of the .param file.
        weights: content of the .bin file.
        size: (H, W) of the only size; None: any [LQ pixels].
        multiple: of the sides [LQ pixels].
        identity: of the network.

    Raises:
        ValueError: ncnn cannot load the network. From the function: another size.
    """
    import ncnn

    unknown = [line.split()[0] for line in param.decode().splitlines()[2:] if "." in line.split()[0]]
    if unknown:
        raise ValueError(
            f"{identity.type} cannot be exported to ncnn, which has no layer for {', '.join(sorted(set(unknown)))}"
        )
    loaded = ncnn.Net()  # pyright: ignore[reportAttributeAccessIssue]  # the package has no annotations
    loaded.opt.use_vulkan_compute = False
    loaded.opt.num_threads = torch.get_num_threads()
    # Activations in float32, also where the processor has float16 or bfloat16.
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(loaded.opt, option, False)
    with tempfile.TemporaryDirectory(prefix="srzoo-ncnn-") as folder:
        files = [Path(folder, name) for name in ("net.param", "net.bin")]
        for path, content in zip(files, (param, weights), strict=True):
            path.write_bytes(content)
        # A network that is half loaded would end the interpreter when it runs.
        if loaded.load_param(str(files[0])) or loaded.load_model(str(files[1])):
            raise ValueError(f"{identity.type} cannot be exported to ncnn: ncnn does not load what pnnx wrote")

    def compute(lq: np.ndarray) -> np.ndarray:
        refuse_size(lq, size, multiple)
        extractor = loaded.create_extractor()
        # ncnn.Mat borrows the array's memory, which may be freed before it is read: hand over a copy.
        borrowed = ncnn.Mat(np.ascontiguousarray(lq[0]))  # pyright: ignore[reportAttributeAccessIssue]
        extractor.input(INPUT, borrowed.clone())
        _, sr = extractor.extract(OUTPUT)
        sr = np.array(sr)[None]  # (1, C, scale * H, scale * W)
        if sr.shape[-2:] != tuple(identity.scale * side for side in lq.shape[-2:]):
            raise ValueError(
                f"in ncnn {identity.type} is bound to the size that it was traced with: give it with --input"
            )
        return sr

    return compute
