"""A network applied at a precision of choice; an image that overflows is computed again with more range."""

import functools
import logging

from torch import Tensor, nn

from srzoo.optim.precision import WORDS, Precision, passes_at

logger = logging.getLogger("srzoo")


class AtPrecision(nn.Module):
    """`net` at a precision, with float32 output: (B, C, H, W) -> (B, C, scale*H, scale*W).

    fp16 ends at 65504. If a value beyond it makes an output NaN or infinite, the images are computed again, and a
    warning says so once; written as they are, they would be black.

    Args:
        net: the network, with float32 weights, maybe in tiles.
        precision: of its passes.
        wider: precision for images that overflow in fp16, bf16 or fp32.
    """

    def __init__(self, net: nn.Module, precision: Precision, *, wider: Precision) -> None:
        super().__init__()
        self.net = net
        self.precision: Precision = precision
        self.wider: Precision = wider

    def forward(self, lq: Tensor) -> Tensor:
        sr = self._at(self.precision, lq)
        if self.precision == "fp16" and not sr.isfinite().all():
            _warn_once(
                f"val.precision fp16: an output left the range of float16; such images are computed again in "
                f"{WORDS[self.wider]}"
            )
            return self._at(self.wider, lq)
        return sr

    def _at(self, precision: Precision, lq: Tensor) -> Tensor:
        with passes_at(precision, lq.device.type):
            return self.net(lq).float()


@functools.cache
def _warn_once(message: str) -> None:
    logger.warning(message)
