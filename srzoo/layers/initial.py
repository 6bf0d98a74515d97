"""Initial weights of the programs that networks were published with, where they differ from PyTorch's.

Two rules: He et al., "Delving Deep into Rectifiers", ICCV 2015, arXiv:1502.01852, equation 10, scaled down for residual
networks (ESRGAN, arXiv:1809.00219, supplement; BasicSR's default), and LeCun et al., "Efficient BackProp", 1998,
section 4.6 (MegEngine's default). Only convolutions are concerned; their biases become 0.
"""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

# "published" follows the authors' program, "torch" leaves the weights as PyTorch draws them.
Init = Literal["published", "torch"]


@torch.no_grad()
def draw_he_normal(modules: Iterable[nn.Module], factor: float = 0.1) -> None:
    """Draw the weights of all convolutions from `factor` * N(0, 2 / fan_in); set biases to 0."""
    for conv in _convolutions(modules):
        nn.init.kaiming_normal_(conv.weight)
        conv.weight.mul_(factor)


@torch.no_grad()
def draw_lecun_normal(modules: Iterable[nn.Module]) -> None:
    """Draw the weights of all convolutions from N(0, 1 / fan_in); set biases to 0."""
    for conv in _convolutions(modules):
        nn.init.normal_(conv.weight, std=1 / math.sqrt(conv.weight[0].numel()))


def _convolutions(modules: Iterable[nn.Module]) -> Iterable[nn.Conv2d]:
    """Yield the convolutions in `modules`, each with its bias set to 0; constants that are not trained are left out."""
    for module in modules:
        for conv in module.modules():
            if isinstance(conv, nn.Conv2d) and conv.weight.requires_grad:
                if conv.bias is not None:
                    nn.init.zeros_(conv.bias)
                yield conv
