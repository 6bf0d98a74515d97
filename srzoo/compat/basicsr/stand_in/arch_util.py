"""``basicsr.archs.arch_util``: the parts of networks, with the keys of published weights."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from srzoo.layers.residual import ResidualBlock
from srzoo.layers.upsample import subpixel_upsampler

trunc_normal_ = nn.init.trunc_normal_


def to_2tuple(value: int | Iterable[int]) -> tuple[int, ...]:
    """Return (value, value), or the items of an iterable."""
    return tuple(value) if isinstance(value, Iterable) else (value, value)


def make_layer(basic_block: Callable[..., nn.Module], num_basic_block: int, **options: object) -> nn.Sequential:
    """Return a chain of equal blocks."""
    return nn.Sequential(*(basic_block(**options) for _ in range(num_basic_block)))


@torch.no_grad()
def default_init_weights(
    module_list: nn.Module | list[nn.Module], scale: float = 1.0, bias_fill: float = 0.0, a: float = 0.0
) -> None:
    """Draw weights from Kaiming's normal distribution (fan-in), times `scale`; fill biases with `bias_fill`.

    He et al., "Delving Deep into Rectifiers", ICCV 2015, arXiv:1502.01852, equation 15 with the slope
    `a` of a leaky ReLU. Norms get weights of 1.
    """
    for module in module_list if isinstance(module_list, list) else [module_list]:
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=a)
                layer.weight *= scale
            elif isinstance(layer, _BatchNorm):
                nn.init.ones_(layer.weight)
            else:
                continue
            if layer.bias is not None:
                nn.init.constant_(layer.bias, bias_fill)


class ResidualBlockNoBN(ResidualBlock):
    """x + res_scale * conv(relu(conv(x))): (B, num_feat, H, W) -> the same.

    With `pytorch_init` the weights stay as PyTorch draws them; otherwise they are a tenth of Kaiming's.
    """

    def __init__(self, num_feat: int = 64, res_scale: float = 1, pytorch_init: bool = False) -> None:
        super().__init__(num_feat, res_scale)
        if not pytorch_init:
            default_init_weights([self.conv1, self.conv2], 0.1)


class Upsample(nn.Sequential):
    """Convolutions and pixel shuffles: (B, num_feat, H, W) -> (B, num_feat, scale*H, scale*W)."""

    def __init__(self, scale: int, num_feat: int) -> None:
        super().__init__(*subpixel_upsampler(num_feat, scale))


def pixel_unshuffle(x: Tensor, scale: int) -> Tensor:
    """Move scale x scale pixels into channels: (B, C, H, W) -> (B, C*scale^2, H/scale, W/scale)."""
    return nn.functional.pixel_unshuffle(x, scale)
