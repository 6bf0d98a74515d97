"""RCAN: residual in residual with channel attention.

Zhang, Li, Li, Wang, Zhong, Fu, "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV 2018,
arXiv:1807.02758. Written from the paper; attribute names are BasicSR's, so that its weights load. Attention pools over
the whole image, so that the receptive radius is unbounded.
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from srzoo.contract import PlainValue, count_modules
from srzoo.layers.mean_shift import MeanShift, published_range
from srzoo.layers.upsample import subpixel_scale, subpixel_upsampler
from srzoo.registry import ARCHS, PositiveFloat, PositiveInt

# BasicSR's names -> those of the paper's authors.
AUTHORS_KEYS = (
    (r"^conv_first\.", "head.0."),
    (r"residual_group\.(\d+)\.rcab\.3\.attention\.1\.", r"body.\1.body.3.conv_du.0."),
    (r"residual_group\.(\d+)\.rcab\.3\.attention\.3\.", r"body.\1.body.3.conv_du.2."),
    (r"residual_group\.(\d+)\.rcab\.", r"body.\1.body."),
    (r"^upsample\.", "tail.0."),
    (r"^conv_last\.", "tail.1."),
)


class ChannelAttention(nn.Module):
    """Channel gates from the mean over the image (section 3.3): (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, num_feat: int, squeeze_factor: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),  # (B, C, 1, 1)
            nn.Conv2d(num_feat, num_feat // squeeze_factor, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat // squeeze_factor, num_feat, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)


class ResidualChannelAttentionBlock(nn.Module):
    """x + res_scale * attention(conv(relu(conv(x)))), equation 10: (B, num_feat, H, W) -> (B, num_feat, H, W)."""

    def __init__(self, num_feat: int, squeeze_factor: int, res_scale: float) -> None:
        super().__init__()
        self.res_scale = res_scale
        self.rcab = nn.Sequential(
            nn.Conv2d(num_feat, num_feat, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat, num_feat, 3, 1, 1),
            ChannelAttention(num_feat, squeeze_factor),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.rcab(x), alpha=self.res_scale)


class ResidualGroup(nn.Module):
    """Blocks and a convolution inside a skip connection, equation 5: (B, num_feat, H, W) -> (B, num_feat, H, W)."""

    def __init__(self, num_feat: int, num_block: int, squeeze_factor: int, res_scale: float) -> None:
        super().__init__()
        blocks = [ResidualChannelAttentionBlock(num_feat, squeeze_factor, res_scale) for _ in range(num_block)]
        self.residual_group = nn.Sequential(*blocks)
        self.conv = nn.Conv2d(num_feat, num_feat, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(self.residual_group(x))


@ARCHS.register
class RCAN(nn.Module):
    """RCAN: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1]. Figure 2; defaults are the paper's.

    Args:
        scale: magnification: 3 or a power of 2.
        num_in_ch: colour channels in and out.
        num_feat: width of the features, at least `squeeze_factor` [channels].
        num_group: residual groups.
        num_block: attention blocks in each group.
        squeeze_factor: width of the features over that of the attention's hidden layer.
        res_scale: factor of each block's residual.
        img_range: factor applied to [0, 1] inputs inside the network (1 or 255).
    """

    scales = (1, 2, 3, 4, 8)
    multiple_of = 1
    half_safe = ("float16",)
    receptive_radius = None
    unbounded_by = "channel attention averages over the image"
    key_aliases: ClassVar = {
        r"^head\.0\.": "conv_first.",
        r"^body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.0\.": r"body.\1.residual_group.\2.rcab.3.attention.1.",
        r"^body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.2\.": r"body.\1.residual_group.\2.rcab.3.attention.3.",
        r"^body\.(\d+)\.body\.(\d+)\.body\.": r"body.\1.residual_group.\2.rcab.",
        r"^body\.(\d+)\.body\.\d+\.(weight|bias)$": r"body.\1.conv.\2",
        r"^body\.\d+\.(weight|bias)$": r"conv_after_body.\1",
        r"^tail\.0\.": "upsample.",
        r"^tail\.1\.": "conv_last.",
    }
    ignored_keys = r"(sub|add)_mean\."
    key_options: ClassVar = {
        r"body\.(\d+)\.conv": "num_group",
        r"body\.0\.residual_group\.(\d+)\.rcab": "num_block",
        r"conv_first\.weight": "num_feat",
    }

    def __init__(
        self,
        *,
        scale: int,
        num_in_ch: PositiveInt = 3,
        num_feat: PositiveInt = 64,
        num_group: PositiveInt = 10,
        num_block: PositiveInt = 20,
        squeeze_factor: PositiveInt = 16,
        res_scale: float = 1.0,
        img_range: PositiveFloat = 255.0,
    ) -> None:
        super().__init__()
        if num_feat < squeeze_factor:
            raise ValueError(
                f"num_feat {num_feat} is less than squeeze_factor {squeeze_factor}: attention would have no channel"
            )
        self.num_group, self.num_block = num_group, num_block
        self.shift = MeanShift(num_in_ch, img_range)
        self.conv_first = nn.Conv2d(num_in_ch, num_feat, 3, 1, 1)
        groups = [ResidualGroup(num_feat, num_block, squeeze_factor, res_scale) for _ in range(num_group)]
        self.body = nn.Sequential(*groups)
        self.conv_after_body = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.upsample = subpixel_upsampler(num_feat, scale)
        self.conv_last = nn.Conv2d(num_feat, num_in_ch, 3, 1, 1)

    def published_state(self) -> dict[str, Tensor]:
        """Return the state dict under the keys of the paper's authors, mean shifts included."""
        state = {}
        for name, tensor in self.state_dict().items():
            for pattern, replacement in AUTHORS_KEYS:
                name = re.sub(pattern, replacement, name)
            name = re.sub(r"body\.(\d+)\.conv\.", rf"body.\1.body.{self.num_block}.", name)
            state[name.replace("conv_after_body", f"body.{self.num_group}")] = tensor
        return state | self.constants()

    def constants(self) -> dict[str, Tensor]:
        """Return the mean shifts, which published files hold as 1x1 convolutions."""
        return self.shift.as_convolutions()

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`."""
        num_feat, num_in_ch = tensors["conv_first.weight"].shape[:2]
        squeezed = tensors["body.0.residual_group.0.rcab.3.attention.1.weight"].shape[0]
        yield {
            "scale": subpixel_scale(tensors, "upsample."),
            "num_in_ch": num_in_ch,
            "num_feat": num_feat,
            "num_group": count_modules(r"body\.(\d+)\.conv", tensors),
            "num_block": count_modules(r"body\.0\.residual_group\.(\d+)\.rcab", tensors),
            "squeeze_factor": num_feat // squeezed,
            "img_range": published_range(tensors),
        }

    def forward(self, lq: Tensor) -> Tensor:
        head = self.conv_first(self.shift(lq))
        features = self.conv_after_body(self.body(head)) + head
        return self.shift.inverse(self.conv_last(self.upsample(features)))
