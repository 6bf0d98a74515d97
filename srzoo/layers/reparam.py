"""Structural re-parameterisation of blocks that train as several convolutions and are deployed as one.

Ding et al., "RepVGG: Making VGG-style ConvNets Great Again", CVPR 2021, arXiv:2101.03697. Merging, checking and
loading in either form work for every block derived from :class:`Reparameterisable`.
"""

import copy
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOLERANCE = 1e-5


class Reparameterisable(nn.Module):
    """A block that equals one 3x3 convolution with zero padding, `rep_conv`, once it is merged.

    Subclasses build their training layers in :meth:`build`, apply them in :meth:`branches`, and compute the equivalent
    convolution in :meth:`kernel`.
    """

    def __init__(self, num_in: int, num_out: int, deploy: bool) -> None:
        super().__init__()
        self.num_in, self.num_out = num_in, num_out
        if deploy:
            self.rep_conv = nn.Conv2d(num_in, num_out, 3, 1, 1)
        else:
            self.build()

    @property
    def merged(self) -> bool:
        """True if the block has its deployed form."""
        return "rep_conv" in self._modules

    @abstractmethod
    def build(self) -> None:
        """Make the layers of the training form."""

    @abstractmethod
    def branches(self, x: Tensor) -> Tensor:
        """Apply the training form: (B, num_in, H, W) -> (B, num_out, H, W)."""

    @staticmethod
    @abstractmethod
    def kernel(tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the merged weight (num_out, num_in, 3, 3) and bias (num_out,) from the training form's state."""

    def forward(self, x: Tensor) -> Tensor:
        return self.rep_conv(x) if self.merged else self.branches(x)

    def merge(self) -> None:
        """Change to the deployed form, computed in float64."""
        if self.merged:
            return
        weight, bias = self.kernel({name: tensor.double() for name, tensor in self.state_dict().items()})
        self.take_merged_form()
        with torch.no_grad():
            self.rep_conv.weight.copy_(weight)
            self.rep_conv.bias.copy_(bias)  # pyright: ignore[reportOptionalMemberAccess]

    def take_merged_form(self) -> None:
        """Replace the training layers by `rep_conv` with initial weights, before merged weights are loaded."""
        training, reference = self.training, next(self.parameters())
        for name in list(self._modules):
            del self._modules[name]
        self.rep_conv = nn.Conv2d(self.num_in, self.num_out, 3, 1, 1, device=reference.device, dtype=reference.dtype)
        self.train(training)


def blocks(net: nn.Module) -> list[tuple[str, Reparameterisable]]:
    """Return the re-parameterisable blocks of a network with their state-dict prefixes."""
    return [
        (f"{name}." if name else "", module)
        for name, module in net.named_modules()
        if isinstance(module, Reparameterisable)
    ]


def fused(net: nn.Module) -> nn.Module:
    """Return a copy of `net` with every re-parameterisable block merged."""
    copied = copy.deepcopy(net)
    for _, block in blocks(copied):
        block.merge()
    return copied


@dataclass(frozen=True)
class Form:
    """Changes that bring weights and a network to the same form.

    Args:
        tensors: the weights, in the form that the network will have.
        merging: blocks (with their prefixes) that must be merged before loading.
        expected: the network's state dict after that; entries that merging adds are on the meta device.
    """

    tensors: dict[str, Tensor]
    merging: list[tuple[str, Reparameterisable]]
    expected: dict[str, Tensor]


def agree_in_form(net: nn.Module, weights: Mapping[str, Tensor]) -> Form:
    """Plan how weights load into a network that has other blocks merged; neither is changed.

    Blocks that the file has merged are to be merged in the network; training weights of blocks that the network has
    merged are merged in the result. Weights of a block in neither form are returned as they are.
    """
    tensors, expected, merging = dict(weights), dict(net.state_dict()), []
    for prefix, block in blocks(net):
        own = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
        if "rep_conv.weight" in own and not block.merged:
            merging.append((prefix, block))
            expected = {name: tensor for name, tensor in expected.items() if not name.startswith(prefix)}
            expected[f"{prefix}rep_conv.weight"] = torch.empty(block.num_out, block.num_in, 3, 3, device="meta")
            expected[f"{prefix}rep_conv.bias"] = torch.empty(block.num_out, device="meta")
        elif block.merged and own and "rep_conv.weight" not in own:
            try:
                weight, bias = block.kernel({name: tensors[full].double() for name, full in own.items()})
            except (KeyError, RuntimeError):
                continue
            dtype = tensors[next(iter(own.values()))].dtype
            for full in own.values():
                del tensors[full]
            tensors[f"{prefix}rep_conv.weight"], tensors[f"{prefix}rep_conv.bias"] = weight.to(dtype), bias.to(dtype)
    return Form(tensors, merging, expected)


@torch.no_grad()
def largest_difference(net: nn.Module, merged: nn.Module, num_in_ch: int = 3) -> float:
    """Return the largest difference of two networks' outputs on noise, constants and images with extreme borders.

    Both run in evaluation mode on the device and in the type of `net`; sizes are odd and even.
    """
    reference = next(net.parameters())
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    states = net.training, merged.training
    net.eval()
    merged.eval()
    for height, width in ((24, 28), (17, 33), (40, 12)):
        noise = torch.rand(2, num_in_ch, height, width, generator=generator)
        bordered = F.pad(noise[..., 4:-4, 4:-4], (4, 4, 4, 4), value=1.0)
        for lq in (noise, bordered, 1 - bordered, torch.zeros_like(noise), torch.ones_like(noise)):
            lq = lq.to(reference.device, reference.dtype)
            difference = float((net(lq) - merged(lq)).abs().max())
            worst = max(worst, difference if math.isfinite(difference) else math.inf)
    net.train(states[0])
    merged.train(states[1])
    return worst


class ResidualRepBlock(Reparameterisable):
    """RT4KSR's re-parameterised block (figure 4), one 3x3 convolution when merged: (B, C, H, W) -> (B, C, H, W).

    A 1x1 convolution to twice the width, a 3x3 one with a skip connection, and a 1x1 one back, plus the input. The 3x3
    convolution is padded with the first one's bias, its output on zeros, so that merging is exact at the border too.
    """

    def __init__(self, num_feat: int, deploy: bool = False) -> None:
        super().__init__(num_feat, num_feat, deploy)

    def build(self) -> None:
        width = 2 * self.num_in
        self.expand_conv = nn.Conv2d(self.num_in, width, 1)
        self.fea_conv = nn.Conv2d(width, width, 3)
        self.reduce_conv = nn.Conv2d(width, self.num_out, 1)

    def branches(self, x: Tensor) -> Tensor:
        wide = self.expand_conv(x)
        bias = self.expand_conv.bias
        assert bias is not None
        # To pad with the bias, subtract it, pad with zeros and add it again.
        shift = bias.view(1, -1, 1, 1)  # (1, 2 * C, 1, 1)
        padded = F.pad(wide - shift, (1, 1, 1, 1)) + shift
        return self.reduce_conv(self.fea_conv(padded) + wide) + x

    @staticmethod
    def kernel(tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        expand, reduce = tensors["expand_conv.weight"][:, :, 0, 0], tensors["reduce_conv.weight"][:, :, 0, 0]
        middle = tensors["fea_conv.weight"].clone()
        # Both skip connections are identities at the centre of the kernel.
        middle[:, :, 1, 1] += torch.eye(len(middle), dtype=middle.dtype, device=middle.device)
        weight = torch.einsum("or,rwyx,wi->oiyx", reduce, middle, expand)  # (C, C, 3, 3)
        weight[:, :, 1, 1] += torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
        seen = tensors["fea_conv.bias"] + middle.sum((2, 3)) @ tensors["expand_conv.bias"]
        return weight, reduce @ seen + tensors["reduce_conv.bias"]
