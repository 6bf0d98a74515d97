"""The form of a network that is exported, and the packages that exporting needs."""

import contextlib
import copy
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator

from torch import Tensor, nn

from srzoo.contract import identity_of
from srzoo.layers import reparam


def deployed(net: nn.Module) -> nn.Module:
    """Return a copy of a network as it is shipped: blocks merged, in evaluation mode and float32, on the CPU."""
    return reparam.fused(net).cpu().float().eval().requires_grad_(False)


def require(*packages: str, extra: str = "export") -> None:
    """Check that optional packages are installed.

    Raises:
        ValueError: some are missing; the message names them and the extra that brings them.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ValueError(f'{", ".join(missing)} is not installed: pip install "srzoo[{extra}]"')


class Float16(nn.Module):
    """A network in float16 between float32 tensors: (B, C, H, W) -> (B, C, scale*H, scale*W)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.identity = identity_of(net)
        self.net = copy.deepcopy(net).half()

    def forward(self, lq: Tensor) -> Tensor:
        return self.net(lq.half()).float()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep converters' progress, and warnings that concern their own code, from the console."""
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
