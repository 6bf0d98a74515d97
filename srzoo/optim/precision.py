"""Arithmetic of a run: precision of a network's passes, TF32, deterministic operations.

Micikevicius et al., "Mixed Precision Training", ICLR 2018, arXiv:1710.03740: weights, losses and updates stay in
float32; passes through the network use half precision. With fp16 the loss is scaled up before the backward pass, so
that small gradients do not vanish (:class:`srzoo.optim.stepper.Stepper`), and a forward pass whose output leaves the
range of fp16 is computed again in a wider precision.
"""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from srzoo.contract import NetworkContract
from srzoo.optim.finite import FiniteCheck

Precision = Literal["fp32", "tf32", "bf16", "fp16"]

# Precisions under autocast; TF32 is a mode of float32 arithmetic on GPUs.
DTYPES: Mapping[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
# As written in results.
WORDS: Mapping[Precision, str] = {"fp32": "float32", "tf32": "tf32", "bf16": "bfloat16", "fp16": "float16"}

logger = logging.getLogger("srzoo")


def usable(wanted: Precision, contract: NetworkContract) -> Precision:
    """Return the precision that a network is safe in: `wanted`, or one with more range and digits.

    bf16 takes the place of fp16 if the network is safe in it, otherwise fp32. fp16 never takes the place of bf16: it
    has less range.
    """
    if wanted == "fp16" and "float16" not in contract.half_safe:
        wanted = "bf16"
    if wanted == "bf16" and "bfloat16" not in contract.half_safe:
        return "fp32"
    return wanted


def announce(wanted: Precision, used: Precision, *, option: str, network: str) -> None:
    """Warn that a network does not run at the precision that an option asks for."""
    if used != wanted:
        logger.warning(
            f"{option} {wanted}: {network} is not known to be safe in {WORDS[wanted]} (half_safe of the network); it "
            f"runs in {WORDS[used]}"
        )


def set_process(precision: Precision, *, deterministic: bool) -> None:
    """Choose the arithmetic of this process, before its first computation on a GPU.

    Args:
        precision: of the training; only tf32 allows TF32 in float32 arithmetic, which is PyTorch's default in
            convolutions.
        deterministic: use deterministic algorithms only; an operation that has none is an error.
    """
    _allow_tf32(precision == "tf32")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic = deterministic
    if deterministic:
        torch.backends.cudnn.benchmark = False
        # Without a fixed workspace cuBLAS chooses algorithms by the memory that is free; it reads this when it starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _allow_tf32(allowed: bool) -> None:
    """Allow TF32 in matrix products and convolutions on GPUs, or forbid it; CPUs do not have it."""
    # PyTorch 2.9 and later have two interfaces to these flags and refuse to read the older one (torch.compile does) if
    # they disagree: both are set, the older one first, which resets the newer one to "none" (the global default).
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed
    wanted = "tf32" if allowed else "ieee"
    torch.backends.cuda.matmul.fp32_precision = wanted
    torch.backends.cudnn.conv.fp32_precision = wanted  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cudnn.rnn.fp32_precision = wanted  # pyright: ignore[reportAttributeAccessIssue]


@contextlib.contextmanager
def passes_at(precision: Precision, device_type: str) -> Iterator[None]:
    """Run the forward passes inside the ``with`` block at a precision, then return to that of the process."""
    before = torch.backends.cuda.matmul.fp32_precision == "tf32"
    _allow_tf32(precision == "tf32")
    try:
        with autocast(precision, device_type):
            yield
    finally:
        _allow_tf32(before)


def autocast(precision: Precision, device_type: str) -> contextlib.AbstractContextManager[object]:
    """Return the autocast of a precision; without effect for fp32 and tf32."""
    dtype = DTYPES.get(precision)
    return contextlib.nullcontext() if dtype is None else torch.autocast(device_type, dtype)


class Autocast(nn.Module):
    """`net` in half precision with float32 outputs, so that losses are computed in float32; called as `net` is.

    fp16 ends at 65504. A pass whose output is NaN or infinite on some rank is computed again on all of them, before
    anything is learned from it. Dropout draws a new mask then.

    Args:
        net: the network to call, with float32 weights.
        precision: bf16 or fp16.
        device_type: where the network is: "cpu", "cuda", ...
        wider: precision for passes that overflow in fp16, bf16 or fp32.
        finite: check of the outputs in fp16, shared by the learners of a run; None: one for this network.
    """

    def __init__(
        self,
        net: nn.Module,
        precision: Precision,
        device_type: str,
        *,
        wider: Precision = "fp32",
        finite: FiniteCheck | None = None,
    ) -> None:
        super().__init__()
        self.net, self.device_type, self.finite = net, device_type, finite or FiniteCheck()
        self.precision: Precision = precision
        self.wider: Precision = wider

    def forward(self, *inputs: object, **options: object) -> object:
        if self.precision != "fp16":
            return self._pass(self.precision, inputs, options)
        buffers = [buffer.clone() for buffer in self.net.buffers()]
        output = self._pass("fp16", inputs, options)
        if self.finite.outputs(tensors_in(output)):
            return output
        del output  # with all that was kept for its backward pass
        with torch.no_grad():
            # Running statistics have averaged the overflow.
            for buffer, before in zip(self.net.buffers(), buffers, strict=True):
                buffer.copy_(before)
        return self._pass(self.wider, inputs, options)

    def _pass(self, precision: Precision, inputs: tuple[object, ...], options: Mapping[str, object]) -> object:
        with autocast(precision, self.device_type):
            output = self.net(*inputs, **options)
        return in_float32(output)


def tensors_in(output: object) -> Iterator[Tensor]:
    """Yield the tensors of a network's output, inside dataclasses and lists too."""
    if isinstance(output, Tensor):
        yield output
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        for item in dataclasses.fields(output):
            yield from tensors_in(getattr(output, item.name))
    elif isinstance(output, Mapping | list | tuple):
        for value in output.values() if isinstance(output, Mapping) else output:
            yield from tensors_in(value)


def in_float32(output: object) -> object:
    """Return a network's output with its floating-point tensors in float32, inside dataclasses and lists too."""
    if isinstance(output, Tensor):
        return output.float() if output.is_floating_point() else output
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        values = {item.name: in_float32(getattr(output, item.name)) for item in dataclasses.fields(output)}
        return dataclasses.replace(output, **values)
    if isinstance(output, Mapping):
        return {name: in_float32(value) for name, value in output.items()}
    if not isinstance(output, list | tuple):
        return output
    values = [in_float32(value) for value in output]
    # A named tuple takes its fields one by one.
    return type(output)(*values) if hasattr(output, "_fields") else type(output)(values)  # pyright: ignore[reportArgumentType]
