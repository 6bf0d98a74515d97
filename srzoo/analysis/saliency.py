"""Channel saliency maps: the channels that the edges of the SR image depend on, and the cost of removing them.

Kong et al., "Reflash Dropout in Image Super-Resolution", CVPR 2022, arXiv:2112.12089, sections 4.2 and 5. Written from
the paper; sums, normalisation and 8-bit truncation as in the authors' program, so that values are equal. Deviation:
flat places of the output have the subgradient 0, where theirs makes a whole layer NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from srzoo.analysis.detector import gradient_magnitude
from srzoo.analysis.layers import changed_layers, frozen, recorded_layers
from srzoo.analysis.memory import MemoryLimit, batch_within
from srzoo.layers.plain import plain_form
from srzoo.metrics.psnr import psnr
from srzoo.progress import shown

# PSNR of equal images, as published [dB].
_EQUAL = 80.0


@dataclass(frozen=True)
class ChannelSaliency:
    """Saliency of the channels of one layer. Numbers of different layers and image sizes cannot be compared.

    Args:
        maps: |gradient| / maximum over channels and pixels, (C, H, W) in [0, 1].
        channels: sum of each map, (C,).
        largest: the maximum that the maps were divided by.
    """

    maps: np.ndarray
    channels: np.ndarray
    largest: float

    @property
    def order(self) -> np.ndarray:
        """Channels from the most to the least salient: (C,)."""
        return np.argsort(-self.channels, kind="stable")


def channel_saliency(
    net: nn.Module, lq: Tensor, layers: Sequence[str], *, max_memory: int | None = None
) -> tuple[dict[str, ChannelSaliency], float]:
    """Compute the saliency of every channel of some layers, by one backward pass.

    Args:
        net: the network, in evaluation mode.
        lq: (1, C, h, w) in [0, 1].
        layers: names, see :mod:`srzoo.analysis.layers`.
        max_memory: bound for the tensors alive at any moment [bytes].

    Returns:
        name of a layer -> saliency; and the objective, the sum of the gradient magnitude over the SR image.

    Raises:
        LookupError: no such layer.
        ValueError: a layer whose output is no image of features (B, C, H, W).
        MemoryLimitError: more memory is needed.
    """
    # The backward pass, which may compute features again, belongs to the plain form too.
    with frozen(net), torch.enable_grad(), MemoryLimit(max_memory), plain_form():
        # The graph starts at the image: no parameter needs a gradient.
        with recorded_layers(net, layers) as outputs:
            objective = gradient_magnitude(net(lq.detach().requires_grad_())).sum()
        for layer, output in outputs.items():
            require_image(layer, output)
        gradients = torch.autograd.grad(objective, list(outputs.values()), allow_unused=True)
    results: dict[str, ChannelSaliency] = {}
    for (layer, output), gradient in zip(outputs.items(), gradients, strict=True):
        # A layer that does not reach the output has no gradient.
        magnitude = (torch.zeros_like(output) if gradient is None else gradient)[0].abs()  # (C, H, W)
        largest = float(magnitude.max())
        maps = magnitude / (largest or 1.0)
        results[layer] = ChannelSaliency(maps.cpu().numpy(), maps.double().sum((1, 2)).cpu().numpy(), largest)
    return {layer: results[layer] for layer in layers}, float(objective.detach())


def require_image(layer: str, output: Tensor) -> None:
    """Check that the output of a layer is an image of features.

    Raises:
        ValueError: it has another number of dimensions.
    """
    if output.ndim != 4:
        raise ValueError(
            f"layer {layer}: expected an image of features (B, C, H, W), its output has the shape {tuple(output.shape)}"
        )


@torch.no_grad()
def channel_ablation(
    net: nn.Module,
    lq: Tensor,
    gt: Tensor,
    layer: str,
    *,
    compensate: bool,
    channels: Sequence[int] | None = None,
    batch: int = 8,
    max_memory: int | None = None,
) -> np.ndarray:
    """Return the PSNR in dB against `gt` with each channel of a layer removed, one at a time: (number of channels,).

    The channel becomes 0. Images are compared in RGB without border, clipped and truncated to 8 bits; equal images have
    80 dB.

    Args:
        net: the network, in evaluation mode.
        lq: (1, C, h, w) in [0, 1].
        gt: (1, C, H, W) in [0, 1].
        layer: name, see :mod:`srzoo.analysis.layers`.
        compensate: divide the other channels by their share of the sum of magnitudes over all channels, as the paper
            does, so that the layer's mean magnitude stays the same.
        channels: to remove; None: every one.
        batch: most channels in one call of the network.
        max_memory: bound for the tensors alive at any moment [bytes].

    Raises:
        LookupError, ValueError, MemoryLimitError: as :func:`channel_saliency`.
    """
    with MemoryLimit(max_memory) as memory, recorded_layers(net, [layer]) as outputs:
        net(lq)
    require_image(layer, outputs[layer])
    wanted = list(range(outputs[layer].shape[1]) if channels is None else channels)
    size = batch_within(max_memory, memory.peak, batch)
    groups = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    scores = [
        truncated_psnr(without_channels(net, lq, layer, group, compensate=compensate), gt)
        for group in shown(groups, f"ablation of {layer}", unit="batch", delay=1.0)
    ]
    return np.concatenate(scores)


@torch.no_grad()
def without_channels(net: nn.Module, lq: Tensor, layer: str, channels: Sequence[int], *, compensate: bool) -> Tensor:
    """Return the SR images with one channel of a layer removed in each: (1, C, h, w) -> (len(channels), C, H, W)."""

    def remove(features: Tensor) -> Tensor:
        kept = features.clone()  # (n, C, H, W), one item for each channel to remove
        kept[range(len(channels)), list(channels)] = 0
        if not compensate:
            return kept
        before, after = (values.abs().sum((1, 2, 3), keepdim=True) for values in (features, kept))
        # A layer whose only active channel is removed stays 0.
        return kept / torch.where(after > 0, after / before, 1.0)

    with changed_layers(net, {layer: remove}):
        return net(lq.expand(len(channels), -1, -1, -1))


def truncated_psnr(sr: Tensor, gt: Tensor) -> np.ndarray:
    """Return PSNR in dB of images clipped and truncated to 8 bits: (B, C, H, W), (1, C, H, W) -> (B,); at most 80."""
    levels = [(image.clamp(0, 1) * 255).floor().double() for image in (sr, gt)]
    return psnr(levels[0], levels[1].expand_as(levels[0])).clamp(max=_EQUAL).cpu().numpy()
