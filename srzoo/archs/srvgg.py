"""SRVGGNetCompact: a plain chain of convolutions at LQ resolution, as in Real-ESRGAN's small models.

Wang, Xie, Dong, Shan, "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCVW 2021,
arXiv:2107.10833, and its authors' description of the compact models. Attribute names are theirs, so that their
weights load.
"""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.contract import PlainValue
from srzoo.registry import ARCHS, PositiveInt


def _activation(act: Literal["prelu", "relu", "lrelu"], num_feat: int) -> nn.Module:
    if act == "prelu":
        return nn.PReLU(num_feat)
    return nn.ReLU(inplace=True) if act == "relu" else nn.LeakyReLU(0.1, inplace=True)


@ARCHS.register
class SRVGGNetCompact(nn.Module):
    """A chain of convolutions over nearest enlargement: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1].

    Args:
        scale: magnification.
        num_in_ch: colour channels in and out.
        num_feat: width of the features [channels].
        num_conv: convolutions between the first and the last.
        act: activation after each convolution but the last; lrelu has slope 0.1.
        border: surroundings of the image. zeros: each convolution pads its input with zeros (published), which
            colours the outermost pixels of a plain image; replicate: the image is continued by its outermost pixels,
            as far as the network sees.
    """

    scales = None
    multiple_of = 1
    half_safe = ("float16", "bfloat16")
    key_options: ClassVar = {r"body\.0\.weight": "num_feat"}

    def __init__(
        self,
        *,
        scale: int,
        num_in_ch: PositiveInt = 3,
        num_feat: PositiveInt = 64,
        num_conv: PositiveInt = 16,
        act: Literal["prelu", "relu", "lrelu"] = "prelu",
        border: Literal["zeros", "replicate"] = "zeros",
    ) -> None:
        super().__init__()
        self.scale, self.border = scale, border
        # All convolutions at LQ resolution: the first, num_conv, the last.
        self.receptive_radius = num_conv + 2
        # Without padding each convolution takes one replicated pixel off every side.
        padding = 1 if border == "zeros" else 0
        self.body = nn.Sequential(nn.Conv2d(num_in_ch, num_feat, 3, 1, padding), _activation(act, num_feat))
        for _ in range(num_conv):
            self.body.extend([nn.Conv2d(num_feat, num_feat, 3, 1, padding), _activation(act, num_feat)])
        self.body.append(nn.Conv2d(num_feat, num_in_ch * scale**2, 3, 1, padding))
        self.upsampler = nn.PixelShuffle(scale)

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`.

        Only PReLU has weights: files do not tell the other activations apart.
        """
        num_feat, num_in_ch = tensors["body.0.weight"].shape[:2]
        convs = [tensor for name, tensor in tensors.items() if name.endswith("weight") and tensor.ndim == 4]
        for act in ("prelu",) if "body.1.weight" in tensors else ("relu", "lrelu"):
            yield {
                "scale": math.isqrt(convs[-1].shape[0] // num_in_ch),
                "num_in_ch": num_in_ch,
                "num_feat": num_feat,
                "num_conv": len(convs) - 2,
                "act": act,
            }

    def forward(self, lq: Tensor) -> Tensor:
        image = lq
        if self.border == "replicate":
            image = F.pad(lq, (self.receptive_radius,) * 4, mode="replicate")  # (B, C, H + 2 * radius, W + 2 * radius)
        # (B, C * scale**2, H, W) -> (B, C, scale * H, scale * W)
        return self.upsampler(self.body(image)) + F.interpolate(lq, scale_factor=self.scale, mode="nearest")
