"""Discriminators for adversarial training, which classify images as real or generated.

Attribute names are BasicSR's, so that its weights load. Both take images in [0, 1] and give logits, without a sigmoid.
"""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from srzoo.registry import DISCRIMINATORS, PositiveInt


@DISCRIMINATORS.register
class UNetDiscriminatorSN(nn.Module):
    """A U-Net with spectral normalisation, one logit per pixel: (B, C, H, W) -> (B, 1, H, W); 8 divides H and W.

    Wang et al., "Real-ESRGAN", ICCVW 2021, arXiv:2107.10833, section 3.4.

    Args:
        num_in_ch: colour channels.
        num_feat: width of the first features [channels].
        skip_connection: add the encoder's features to the decoder's of the same size.
    """

    multiple_of = 8
    # PyTorch's newer spectral norm has other names for the same three tensors.
    key_aliases: ClassVar = {
        r"\.parametrizations\.weight\.original$": ".weight_orig",
        r"\.parametrizations\.weight\.0\._([uv])$": r".weight_\1",
    }

    def __init__(self, *, num_in_ch: PositiveInt = 3, num_feat: PositiveInt = 64, skip_connection: bool = True) -> None:
        super().__init__()
        self.skip_connection = skip_connection
        self.conv0 = nn.Conv2d(num_in_ch, num_feat, 3, 1, 1)
        for number, factor in enumerate((1, 2, 4), 1):
            conv = nn.Conv2d(num_feat * factor, num_feat * factor * 2, 4, 2, 1, bias=False)
            self.add_module(f"conv{number}", spectral_norm(conv))
        for number, (num_in, num_out) in enumerate(((8, 4), (4, 2), (2, 1), (1, 1), (1, 1)), 4):
            conv = nn.Conv2d(num_feat * num_in, num_feat * num_out, 3, 1, 1, bias=False)
            self.add_module(f"conv{number}", spectral_norm(conv))
        self.conv9 = nn.Conv2d(num_feat, 1, 3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        if height % self.multiple_of or width % self.multiple_of:
            raise ValueError(
                f"UNetDiscriminatorSN halves images three times: 8 must divide both sides, got {height}x{width}"
            )
        down = [self._step(0, image)]  # (B, num_feat, H, W); then halved in size, doubled in width
        for number in (1, 2, 3):
            down.append(self._step(number, down[-1]))
        x = down.pop()
        for number in (4, 5, 6):
            x = self._step(number, F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
            x = x + down.pop() if self.skip_connection else x
        return self.conv9(self._step(8, self._step(7, x)))

    def _step(self, number: int, x: Tensor) -> Tensor:
        return F.leaky_relu(self.get_submodule(f"conv{number}")(x), 0.2)


@DISCRIMINATORS.register
class VGGStyleDiscriminator(nn.Module):
    """A VGG-like classifier, one logit per crop: (B, C, input_size, input_size) -> (B, 1).

    Wang et al., "ESRGAN", ECCVW 2018, arXiv:1809.00219, after SRGAN (Ledig et al., CVPR 2017, arXiv:1609.04802).

    Args:
        num_in_ch: colour channels.
        num_feat: width of the first features [channels].
        input_size: side of the crops, 128 or 256 [pixels].
    """

    def __init__(self, *, num_in_ch: PositiveInt = 3, num_feat: PositiveInt = 64, input_size: int = 128) -> None:
        super().__init__()
        if input_size not in (128, 256):
            raise ValueError(f"input_size must be 128 or 256, got {input_size}")
        self.input_size = input_size
        factors = (1, 2, 4, 8, 8, 8)[: 5 if input_size == 128 else 6]
        self.num_stages = len(factors)
        width = num_in_ch
        for stage, factor in enumerate(factors):
            self.add_module(f"conv{stage}_0", nn.Conv2d(width, num_feat * factor, 3, 1, 1, bias=stage == 0))
            width = num_feat * factor
            if stage:
                self.add_module(f"bn{stage}_0", nn.BatchNorm2d(width))
            self.add_module(f"conv{stage}_1", nn.Conv2d(width, width, 4, 2, 1, bias=False))
            self.add_module(f"bn{stage}_1", nn.BatchNorm2d(width))
        self.linear1 = nn.Linear(width * 4 * 4, 100)
        self.linear2 = nn.Linear(100, 1)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[-2:] != (self.input_size, self.input_size):
            raise ValueError(
                f"VGGStyleDiscriminator was built for crops of {self.input_size}x{self.input_size} "
                f"(network_d.input_size), got {image.shape[-2]}x{image.shape[-1]}"
            )
        x = image
        for stage in range(self.num_stages):
            for part in range(2):
                x = self.get_submodule(f"conv{stage}_{part}")(x)
                x = self.get_submodule(f"bn{stage}_{part}")(x) if stage or part else x
                x = F.leaky_relu(x, 0.2)
        # (B, num_feat * 8, 4, 4) -> (B, num_feat * 128) -> (B, 100) -> (B, 1)
        return self.linear2(F.leaky_relu(self.linear1(x.flatten(1)), 0.2))
