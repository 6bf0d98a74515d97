"""Feature maps of layers: statistics of each channel over images, and the refinement steps of IMDN's blocks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from srzoo.analysis.layers import recorded_layers
from srzoo.analysis.memory import MemoryLimit
from srzoo.analysis.saliency import require_image

# A channel is dead if its range is below this share of the layer's largest magnitude.
_DEAD = 1e-6
# Values this close to the largest one, as a share of the channel's range, are at it.
_AT_THE_END = 1e-3


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of the channels of one layer over all pixels of all images, each (C,).

    Args:
        mean: mean.
        std: population standard deviation.
        low: smallest value.
        high: largest value.
        zero_share: share of values that are exactly 0, as after a ReLU.
        high_share: share of values at the largest one, within a thousandth of the channel's range.
        dead: the channel is constant: it tells nothing apart.
        saturated: more than half of its values are at the largest one.
    """

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    zero_share: np.ndarray
    high_share: np.ndarray
    dead: np.ndarray
    saturated: np.ndarray


@torch.no_grad()
def layer_features(
    net: nn.Module, lq: Tensor, layers: Sequence[str], *, max_memory: int | None = None
) -> dict[str, Tensor]:
    """Return the feature maps of layers for one image: (1, C, h, w) -> name -> (C, H, W).

    Args:
        net: the network, in evaluation mode.
        lq: in [0, 1].
        layers: names, see :mod:`srzoo.analysis.layers`.
        max_memory: bound for the tensors alive at any moment [bytes].

    Raises:
        LookupError: no such layer.
        ValueError: a layer whose output is no image of features.
        MemoryLimitError: more memory is needed.
    """
    with MemoryLimit(max_memory), recorded_layers(net, layers) as outputs:
        net(lq)
    for layer, output in outputs.items():
        require_image(layer, output)
    return {layer: outputs[layer][0] for layer in layers}


def channel_statistics(
    net: nn.Module,
    images: Callable[[], Iterable[Tensor]],
    layers: Sequence[str],
    *,
    max_memory: int | None = None,
) -> dict[str, ChannelStatistics]:
    """Gather statistics of every channel of some layers, in two passes, so that the memory is that of one image.

    Args:
        net: the network, in evaluation mode.
        images: called for each pass; yields (C, h, w) in [0, 1].
        layers: names, see :mod:`srzoo.analysis.layers`.
        max_memory: bound for the tensors alive at any moment [bytes].

    Raises:
        LookupError, ValueError, MemoryLimitError: as :func:`layer_features`.
    """
    sums = {layer: _Sums() for layer in layers}
    for image in images():
        for layer, features in layer_features(net, image[None], layers, max_memory=max_memory).items():
            sums[layer].add(features.flatten(1).double())  # (C, H * W)
    for image in images():
        for layer, features in layer_features(net, image[None], layers, max_memory=max_memory).items():
            sums[layer].count_high(features.flatten(1).double())
    return {layer: each.statistics() for layer, each in sums.items()}


class _Sums:
    """Running sums over the values of each channel."""

    def __init__(self) -> None:
        self.count = 0
        self.total = self.squares = self.zeros = self.at_high = torch.zeros(())
        self.low, self.high = torch.tensor(float("inf")), torch.tensor(float("-inf"))

    def add(self, values: Tensor) -> None:
        """Add values (C, N) to all sums but that of the second pass."""
        self.count += values.shape[1]
        self.total = self.total.to(values) + values.sum(1)
        self.squares = self.squares.to(values) + values.square().sum(1)
        self.zeros = self.zeros.to(values) + (values == 0).sum(1)
        self.low = torch.minimum(self.low.to(values), values.amin(1))
        self.high = torch.maximum(self.high.to(values), values.amax(1))

    def count_high(self, values: Tensor) -> None:
        """Count the values (C, N) at the largest one of all images."""
        limit = self.high - _AT_THE_END * (self.high - self.low)
        self.at_high = self.at_high.to(values) + (values >= limit[:, None]).sum(1)

    def statistics(self) -> ChannelStatistics:
        mean = self.total / self.count
        variance = (self.squares / self.count - mean.square()).clamp_min(0)
        extent = self.high - self.low
        largest = torch.maximum(self.high.abs(), self.low.abs()).max()
        dead = extent <= _DEAD * largest
        high_share = self.at_high / self.count
        values = (mean, variance.sqrt(), self.low, self.high, self.zeros / self.count, high_share)
        # A constant channel is dead, not saturated.
        return ChannelStatistics(*(value.cpu().numpy() for value in (*values, dead, (high_share > 0.5) & ~dead)))


def refinement_blocks(net: nn.Module) -> dict[str, int]:
    """Return the blocks of a network that distil features in steps, as IMDN's: name -> channels that a step keeps."""
    found: dict[str, int] = {}
    for name, module in net.named_modules():
        # Both kinds of blocks have their steps as c1, c2, ...; one states (kept, remaining), the other the number kept.
        if all(hasattr(module, step) for step in ("c1", "c2", "c3", "c4", "act")):
            kept = getattr(module, "num_distilled", None) or getattr(module, "split", (None,))[0]
            if isinstance(kept, int):
                found[name] = kept
    return found


@torch.no_grad()
def refinement_maps(net: nn.Module, lq: Tensor, block: str) -> np.ndarray:
    """Return the mean over the channels that each step of a distillation block keeps: (number of steps, H, W).

    Hui et al., "Lightweight Image Super-Resolution with Information Multi-distillation Network", ACM MM 2019, figure 3:
    from coarse features in the first step to refined ones in the last.

    Args:
        net: the network, in evaluation mode.
        lq: (1, C, h, w) in [0, 1].
        block: name, one of :func:`refinement_blocks`.

    Raises:
        LookupError: no such block.
    """
    kept = refinement_blocks(net)
    if block not in kept:
        raise LookupError(f"{block} is no distillation block; blocks: {', '.join(kept) or 'none'}")
    module = net.get_submodule(block)
    # The last convolution of a block fuses the steps.
    steps = [name for name, _ in module.named_children() if name[0] == "c" and name[1:].isdecimal()][:-1]
    outputs = layer_features(net, lq, [f"{block}.{step}" for step in steps])
    maps: list[Tensor] = []
    for number, features in enumerate(outputs.values()):
        # Steps are activated, except for a last one with nothing but kept channels, as in figure 3.
        linear = number == len(steps) - 1 and hasattr(module, "split")
        active = features if linear else module.get_submodule("act")(features.clone())
        maps.append(active[: kept[block]].mean(0))
    return torch.stack(maps).cpu().numpy()


def contact_sheet(maps: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Lay maps (N, H, W) out in rows of `columns`, with NaN between them: (rows * (H + gap), columns * (W + gap))."""
    count, height, width = maps.shape
    rows = -(-count // columns)
    sheet = np.full((rows, columns, height + gap, width + gap), np.nan, dtype=np.float32)
    sheet.reshape(-1, height + gap, width + gap)[:count, :height, :width] = maps
    return sheet.transpose(0, 2, 1, 3).reshape(rows * (height + gap), columns * (width + gap))  # one image
