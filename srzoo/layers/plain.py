"""The plain form of a network: every layer with parameters is called as a module.

Some networks have a faster way than calling their layers one by one: DRCT runs its linear layers on a CPU as
channels-last convolutions with the layers' weights. Forward hooks, layer counters, quantisers and exporters then miss
those layers. In the plain form a network calls each of them and computes with ordinary tensor operations only; its
output is the same up to rounding (1e-6).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Process-wide, not per thread: checkpointing recomputes features in the threads of the backward pass.
_depth = 0


@contextmanager
def plain_form() -> Iterator[None]:
    """Run networks in their plain form inside the ``with`` block, in any thread; blocks may be nested.

    ``with plain_form(): sr = net(lq)`` works for every network. A backward pass belongs inside the block too.
    ``torch.export`` and ``torch.jit.trace`` need no block: see :func:`in_plain_form`.
    """
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1


def in_plain_form() -> bool:
    """Return True inside :func:`plain_form` and while a network is exported or traced by ``torch.jit``.

    ``torch.compile`` alone does not count: it sees through the fast form.
    """
    return _depth > 0 or in_exporter()


def in_exporter() -> bool:
    """Return True while a network is exported or traced by ``torch.jit``."""
    tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return torch.compiler.is_exporting() or tracing
