"""RRDBNet: residual in residual dense blocks.

Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018, arXiv:1809.00219; at x1
and x2 as in Real-ESRGAN (ICCVW 2021, arXiv:2107.10833) on the pixel-unshuffled input; dropout as in Kong et al.,
"Reflash Dropout in Image Super-Resolution", CVPR 2022, arXiv:2112.12089. Written from the papers; attribute names are
the published ones. Files with the names of ESRGAN's code of 2018 and 2019 load too.
"""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.contract import PlainValue, count_modules
from srzoo.layers.dropout import Dropout, DropoutPlaces
from srzoo.layers.initial import Init, draw_he_normal
from srzoo.ops.pad import crop, pad_to_multiple
from srzoo.registry import ARCHS, PositiveInt

BETA = 0.2  # residual scaling of both kinds of block (ESRGAN, figure 4)


class DenseBlock(nn.Module):
    """Five densely connected 3x3 convolutions, scaled and added: (B, num_feat, H, W) -> (B, num_feat, H, W)."""

    def __init__(self, num_feat: int, num_grow_ch: int) -> None:
        super().__init__()
        for number in range(1, 5):
            width = num_feat + (number - 1) * num_grow_ch
            self.add_module(f"conv{number}", nn.Conv2d(width, num_grow_ch, 3, 1, 1))
        self.conv5 = nn.Conv2d(num_feat + 4 * num_grow_ch, num_feat, 3, 1, 1)
        self.lrelu = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for number in range(1, 5):
            # Input: num_feat + (number - 1) * num_grow_ch channels.
            features.append(self.lrelu(self.get_submodule(f"conv{number}")(torch.cat(features, 1))))
        return torch.add(x, self.conv5(torch.cat(features, 1)), alpha=BETA)


class ResidualInResidualDenseBlock(nn.Module):
    """Three dense blocks inside a scaled skip connection: (B, num_feat, H, W) -> (B, num_feat, H, W)."""

    def __init__(self, num_feat: int, num_grow_ch: int, branch_end: nn.Module) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(num_feat, num_grow_ch)
        self.rdb2 = DenseBlock(num_feat, num_grow_ch)
        self.rdb3 = DenseBlock(num_feat, num_grow_ch)
        self.branch_end = branch_end

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.branch_end(self.rdb3(self.rdb2(self.rdb1(x)))), alpha=BETA)


@ARCHS.register
class RRDBNet(nn.Module):
    """RRDBNet: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1]. The tail always enlarges by 4.

    Args:
        scale: magnification; at 1 and 2 the input is pixel-unshuffled by 4 and 2 first.
        num_in_ch: colour channels in and out.
        num_feat: width of the features [channels].
        num_block: residual in residual dense blocks.
        num_grow_ch: channels that each convolution of a dense block adds.
        dropout: dropout of features in training; null: none.
        init: initial weights: published (BasicSR's: in dense blocks a tenth of He's normal ones, biases 0) or torch
            (PyTorch's default).
    """

    scales = (1, 2, 4)
    multiple_of = 4
    half_safe = ("float16", "bfloat16")
    free_options = ("dropout", "init")
    key_options: ClassVar = {r"body\.(\d+)\.rdb1": "num_block", r"conv_first\.weight": "num_feat"}
    key_aliases: ClassVar = {
        r"^body(\d+)\.0\.": lambda match: f"body.{int(match.group(1)) - 1}.",
        # ESRGAN, 2019
        r"^RRDB_trunk\.(\d+)\.RDB(\d)\.": r"body.\1.rdb\2.",
        r"^trunk_conv\.": "conv_body.",
        r"^upconv([12])\.": r"conv_up\1.",
        r"^HRconv\.": "conv_hr.",
        # ESRGAN, 2018: one sequence, in which upsampling and activations take numbers too
        r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.": r"body.\1.rdb\2.conv\3.",
        r"^model\.1\.sub\.\d+\.(weight|bias)$": r"conv_body.\1",
        r"^model\.0\.": "conv_first.",
        r"^model\.3\.": "conv_up1.",
        r"^model\.6\.": "conv_up2.",
        r"^model\.8\.": "conv_hr.",
        r"^model\.10\.": "conv_last.",
    }

    def __init__(
        self,
        *,
        scale: int,
        num_in_ch: PositiveInt = 3,
        num_feat: PositiveInt = 64,
        num_block: PositiveInt = 23,
        num_grow_ch: PositiveInt = 32,
        dropout: Dropout | None = None,
        init: Init = "published",
    ) -> None:
        super().__init__()
        if scale not in self.scales:
            raise ValueError(
                f"RRDBNet works at scale 1, 2 or 4, got {scale}: its tail enlarges by 4, after the input is unshuffled "
                "by 4 / scale"
            )
        self.scale = scale
        self.unshuffle = 4 // scale
        self.multiple_of = self.unshuffle
        # Head, 15 convolutions per block, body, and less than 3 pixels of the tail; the unshuffled pixel's neighbours.
        self.receptive_radius = self.unshuffle * (15 * num_block + 5) + self.unshuffle - 1
        places = DropoutPlaces(dropout, num_block)
        self.conv_first = nn.Conv2d(num_in_ch * self.unshuffle**2, num_feat, 3, 1, 1)
        self.body = nn.Sequential(
            *(
                ResidualInResidualDenseBlock(num_feat, num_grow_ch, places.in_branch(number + 1))
                for number in range(num_block)
            )
        )
        self.after_block = nn.ModuleList(places.after_block(number + 1) for number in range(num_block))
        self.conv_body = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.conv_up1 = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.conv_up2 = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.conv_hr = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.before_last = places.before_last_conv()
        self.conv_last = nn.Conv2d(num_feat, num_in_ch, 3, 1, 1)
        self.lrelu = nn.LeakyReLU(0.2, inplace=True)
        if init == "published":
            draw_he_normal([self.body])  # head and tail keep PyTorch's default

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`."""
        num_feat, unshuffled = tensors["conv_first.weight"].shape[:2]
        num_in_ch = tensors["conv_last.weight"].shape[0]
        yield {
            "scale": 4 // math.isqrt(unshuffled // num_in_ch),
            "num_in_ch": num_in_ch,
            "num_feat": num_feat,
            "num_block": count_modules(r"body\.(\d+)\.rdb1", tensors),
            "num_grow_ch": tensors["body.0.rdb1.conv1.weight"].shape[0],
        }

    def forward(self, lq: Tensor) -> Tensor:
        height, width = (self.scale * side for side in lq.shape[-2:])
        # (B, C, H, W) -> (B, C * unshuffle**2, H / unshuffle, W / unshuffle) -> num_feat channels
        head = self.conv_first(F.pixel_unshuffle(pad_to_multiple(lq, self.unshuffle), self.unshuffle))
        x = head
        for block, dropped in zip(self.body, self.after_block, strict=True):
            x = dropped(block(x))
        x = head + self.conv_body(x)
        x = self.lrelu(self.conv_up1(F.interpolate(x, scale_factor=2, mode="nearest")))
        x = self.lrelu(self.conv_up2(F.interpolate(x, scale_factor=2, mode="nearest")))
        return crop(self.conv_last(self.before_last(self.lrelu(self.conv_hr(x)))), height, width)
