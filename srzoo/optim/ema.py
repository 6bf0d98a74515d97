"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import Tensor, nn


class EMA:
    """A second network that follows the first: ema <- decay * ema + (1 - decay) * net, after every update.

    Floating-point buffers are averaged like parameters, integer ones copied. One fused operation over all tensors.

    Args:
        net: the network to follow; `module` starts as its copy.
        decay: 0.999 averages over about the last 1000 updates.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(net).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards `net`, which has the structure of the network given at the start."""
        mine, theirs = _tensors(self.module), _tensors(net)
        averaged = [(a, b) for a, b in zip(mine, theirs, strict=True) if a.is_floating_point()]
        ours, news = [a for a, _ in averaged], [b for _, b in averaged]
        torch._foreach_lerp_(ours, news, 1 - self.decay)  # pyright: ignore[reportPrivateImportUsage]
        for a, b in zip(mine, theirs, strict=True):
            if not a.is_floating_point():
                a.copy_(b)


def _tensors(net: nn.Module) -> list[Tensor]:
    return [*net.parameters(), *net.buffers()]
