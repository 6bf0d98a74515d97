"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import Tensor, nn


class EMA:
    """A second network that follows the first: ema <- decay * ema + (1 - decay) * net, after every update.

    Floating-point buffers are averaged like parameters, integer buffers are copied.

    Args:
        net: the network to follow; `module` starts as its copy.
        decay: share of the old average; 0.999 averages over about the last 1000 updates.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(net).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards `net`, which must have the structure of the network given at construction."""
        averages, news = _tensors(self.module), _tensors(net)
        floats = [(average, new) for average, new in zip(averages, news, strict=True) if average.is_floating_point()]
        # One fused operation over all tensors: a loop over hundreds of small ones costs more than the arithmetic.
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            [average for average, _ in floats], [new for _, new in floats], 1 - self.decay
        )
        for average, new in zip(averages, news, strict=True):
            if not average.is_floating_point():
                average.copy_(new)


def _tensors(net: nn.Module) -> list[Tensor]:
    """Return parameters and buffers; of sharded parameters the part of this rank, for which the average is the same."""
    tensors = [*net.parameters(), *net.buffers()]
    return [tensor.to_local() if hasattr(tensor, "to_local") else tensor for tensor in tensors]
