"""Passes of a network at a precision of choice; an image that overflows is computed again with more range."""

import contextlib
import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from srzoo.optim.precision import WORDS, Precision, autocast, passes_at

logger = logging.getLogger("srzoo")

# TF32 is a setting of the process: on a GPU one computation at a time has it as it needs it.
_setting = threading.RLock()


@dataclass(frozen=True)
class AtPrecision:
    """Computations at a precision, with float32 results.

    fp16 ends at 65504. If a value beyond it makes an output NaN or infinite, the image is computed again, and a
    warning says so once; written as it is, it would be black.

    Args:
        precision: of the passes.
        wider: precision for images that overflow in fp16, bf16 or fp32.
    """

    precision: Precision
    wider: Precision

    def __call__(self, compute: Callable[[], Tensor], device_type: str) -> Tensor:
        """Return the result of `compute`, which runs a network on a device of this type."""
        sr = _at(self.precision, compute, device_type)
        if self.precision == "fp16" and not sr.isfinite().all():
            warn_once(
                f"val.precision fp16: an output left the range of float16; such images are computed again in "
                f"{WORDS[self.wider]}"
            )
            return _at(self.wider, compute, device_type)
        return sr


def _at(precision: Precision, compute: Callable[[], Tensor], device_type: str) -> Tensor:
    with contextlib.ExitStack() as stack:
        if device_type == "cpu":  # which has no TF32
            stack.enter_context(autocast(precision, device_type))
        else:
            stack.enter_context(_setting)
            stack.enter_context(passes_at(precision, device_type))
        return compute().float()


@functools.cache
def warn_once(message: str) -> None:
    """Log a warning, once in this process."""
    logger.warning(message)
