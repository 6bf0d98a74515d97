"""EDSR: residual blocks without normalisation.

Lim, Son, Kim, Nah, Lee, "Enhanced Deep Residual Networks for Single Image Super-Resolution", CVPRW 2017,
arXiv:1707.02921. Written from the paper; attribute names are BasicSR's, so that its weights load. Files of the authors'
PyTorch version (EDSR-PyTorch) load too.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor, nn

from srzoo.contract import PlainValue, count_modules
from srzoo.layers.mean_shift import MeanShift, published_range
from srzoo.layers.residual import ResidualBlock
from srzoo.layers.upsample import subpixel_scale, subpixel_upsampler
from srzoo.registry import ARCHS, PositiveFloat, PositiveInt


@ARCHS.register
class EDSR(nn.Module):
    """EDSR: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1]. Figure 3.

    Defaults are the paper's baseline model; the large one has ``num_feat: 256, num_block: 32, res_scale: 0.1``.

    Args:
        scale: magnification: 3 or a power of 2.
        num_in_ch: colour channels in and out.
        num_feat: width of the features [channels].
        num_block: residual blocks.
        res_scale: factor of each block's residual.
        img_range: factor applied to [0, 1] inputs inside the network (1 or 255).
    """

    scales = (1, 2, 3, 4, 8)
    multiple_of = 1
    half_safe = ("float16", "bfloat16")
    key_options: ClassVar = {r"body\.(\d+)\.conv1": "num_block", r"conv_first\.weight": "num_feat"}
    key_aliases: ClassVar = {
        r"^head\.0\.": "conv_first.",
        r"^body\.(\d+)\.body\.0\.": r"body.\1.conv1.",
        r"^body\.(\d+)\.body\.2\.": r"body.\1.conv2.",
        r"^body\.\d+\.(weight|bias)$": r"conv_after_body.\1",
        r"^tail\.0\.": "upsample.",
        r"^tail\.1\.": "conv_last.",
    }
    ignored_keys = r"(sub|add)_mean\."

    def __init__(
        self,
        *,
        scale: int,
        num_in_ch: PositiveInt = 3,
        num_feat: PositiveInt = 64,
        num_block: PositiveInt = 16,
        res_scale: float = 1.0,
        img_range: PositiveFloat = 255.0,
    ) -> None:
        super().__init__()
        # Head, blocks and tail at LQ resolution; the upsampler's and the last convolution reach less than 2 LQ pixels.
        self.receptive_radius = 2 * num_block + (4 if scale > 1 else 3)
        self.shift = MeanShift(num_in_ch, img_range)
        self.conv_first = nn.Conv2d(num_in_ch, num_feat, 3, 1, 1)
        self.body = nn.Sequential(*(ResidualBlock(num_feat, res_scale) for _ in range(num_block)))
        self.conv_after_body = nn.Conv2d(num_feat, num_feat, 3, 1, 1)
        self.upsample = subpixel_upsampler(num_feat, scale)
        self.conv_last = nn.Conv2d(num_feat, num_in_ch, 3, 1, 1)

    def constants(self) -> dict[str, Tensor]:
        """Return the mean shifts, which the authors' files hold as 1x1 convolutions."""
        return self.shift.as_convolutions()

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`.

        No file shows `res_scale`: the baseline has 1 and the large model 0.1 (table 1).
        """
        num_feat, num_in_ch = tensors["conv_first.weight"].shape[:2]
        for res_scale in {64: (1.0,), 256: (0.1,)}.get(num_feat, (1.0, 0.1)):
            yield {
                "scale": subpixel_scale(tensors, "upsample."),
                "num_in_ch": num_in_ch,
                "num_feat": num_feat,
                "num_block": count_modules(r"body\.(\d+)\.conv1", tensors),
                "res_scale": res_scale,
                "img_range": published_range(tensors),
            }

    def forward(self, lq: Tensor) -> Tensor:
        head = self.conv_first(self.shift(lq))
        features = self.conv_after_body(self.body(head)) + head
        return self.shift.inverse(self.conv_last(self.upsample(features)))
