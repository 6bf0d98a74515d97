"""SRResNet as later work trains it: no normalisation, LeakyReLU, bilinear enlargement added at the end (MSRResNet).

Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network", CVPR 2017,
arXiv:1609.04802; dropout as in Kong et al., "Reflash Dropout in Image Super-Resolution", CVPR 2022, arXiv:2112.12089.
Written from the papers; attribute names are the published ones. Files of the second paper's authors number the blocks
as ``bodyN`` from 1 in some variants: they load too.
"""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.contract import PlainValue, count_modules
from srzoo.layers.dropout import Dropout, DropoutPlaces
from srzoo.layers.initial import Init, draw_he_normal
from srzoo.layers.residual import ResidualBlock
from srzoo.registry import ARCHS, PositiveInt


@ARCHS.register
class SRResNet(nn.Module):
    """SRResNet over bilinear enlargement: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1].

    Args:
        scale: magnification: 2, 3 or 4.
        num_in_ch: colour channels in and out.
        num_feat: width of the features [channels].
        num_block: residual blocks.
        dropout: dropout of features in training; null: none.
        init: initial weights: published (BasicSR's: a tenth of He's normal ones, biases 0) or torch (PyTorch's
            default).
    """

    scales = (2, 3, 4)
    multiple_of = 1
    half_safe = ("float16", "bfloat16")
    free_options = ("dropout", "init")
    key_options: ClassVar = {r"body\.(\d+)\.conv1": "num_block", r"conv_first\.weight": "num_feat"}
    key_aliases: ClassVar = {r"^body(\d+)\.0\.": lambda match: f"body.{int(match.group(1)) - 1}."}

    def __init__(
        self,
        *,
        scale: int,
        num_in_ch: PositiveInt = 3,
        num_feat: PositiveInt = 64,
        num_block: PositiveInt = 16,
        dropout: Dropout | None = None,
        init: Init = "published",
    ) -> None:
        super().__init__()
        if scale not in self.scales:
            raise ValueError(f"SRResNet works at scale 2, 3 or 4, got {scale}")
        self.scale = scale
        # Head and blocks at LQ resolution; two convolutions (and, at x4, one at x2) at the output's.
        self.receptive_radius = 2 * num_block + 4
        places = DropoutPlaces(dropout, num_block)
        self.conv_first = nn.Conv2d(num_in_ch, num_feat, 3, 1, 1)
        self.body = nn.Sequential(
            *(ResidualBlock(num_feat, branch_end=places.in_branch(number + 1)) for number in range(num_block))
        )
        self.after_block = nn.ModuleList(places.after_block(number + 1) for number in range(num_block))
        factor = 3 if scale == 3 else 2
        self.upconv1 = nn.Conv2d(num_feat, num_feat * factor**2, 3, 1, 1)
        if scale == 4:
            self.upconv2 = nn.Conv2d(num_feat, num_feat * 4, 3, 1, 1)
        self.shuffle = nn.PixelShuffle(factor)
        self.conv_hr = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.before_last = places.before_last_conv()
        self.conv_last = nn.Conv2d(num_feat, num_in_ch, 3, 1, 1)
        self.lrelu = nn.LeakyReLU(0.1, inplace=True)
        if init == "published":
            draw_he_normal([self])

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`."""
        num_feat, num_in_ch = tensors["conv_first.weight"].shape[:2]
        factor = math.isqrt(tensors["upconv1.weight"].shape[0] // num_feat)
        yield {
            "scale": factor**2 if "upconv2.weight" in tensors else factor,
            "num_in_ch": num_in_ch,
            "num_feat": num_feat,
            "num_block": count_modules(r"body\.(\d+)\.conv1", tensors),
        }

    def forward(self, lq: Tensor) -> Tensor:
        x = self.lrelu(self.conv_first(lq))
        for block, dropped in zip(self.body, self.after_block, strict=True):
            x = dropped(block(x))
        x = self.lrelu(self.shuffle(self.upconv1(x)))
        if self.scale == 4:
            x = self.lrelu(self.shuffle(self.upconv2(x)))
        residual = self.conv_last(self.before_last(self.lrelu(self.conv_hr(x))))
        return residual + F.interpolate(lq, scale_factor=self.scale, mode="bilinear", align_corners=False)
