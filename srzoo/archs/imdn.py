"""Information multi-distillation networks.

Hui, Gao, Yang, Wang, "Lightweight Image Super-Resolution with Information Multi-distillation Network", ACM MM 2019,
arXiv:1909.11856. IMDN_RTC and IMDN_RTE are the authors' entries to the RTC 2019 and RTE 2020 challenges, IMDN+ the one
to the NTIRE 2022 efficient SR challenge. Written from the paper and the released weights' shapes; attribute names are
the published ones, so that those weights load. Attention pools over the whole image, so that the receptive radius of
IMDN and IMDN_AS is unbounded; the other three have no attention.
"""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from srzoo.contract import PlainValue, count_modules
from srzoo.layers.distillation import DistillationBlock, require_width
from srzoo.ops.pad import crop, pad_to_multiple
from srzoo.registry import ARCHS, PositiveFloat, PositiveInt


def _conv3(num_in: int, num_out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(num_in, num_out, 3, stride, 1, bias=bias)


def _shown(first: Tensor, last: Tensor) -> dict[str, PlainValue]:
    """Return the options that the weights of the first convolution and of a sub-pixel tail show."""
    num_feat, num_in_ch = first.shape[:2]
    return {"scale": math.isqrt(last.shape[0] // num_in_ch), "num_in_ch": num_in_ch, "num_feat": num_feat}


def _subpixel(num_feat: int, num_out: int, scale: int) -> nn.Sequential:
    return nn.Sequential(_conv3(num_feat, num_out * scale**2), nn.PixelShuffle(scale))


class ShrinkingBlock(nn.Module):
    """Six-step distillation without attention (IMDN+ and IMDN_RTE): (B, num_feat, H, W) -> (B, num_feat, H, W).

    Step k is a convolution from and to `widths[k]` = (input, output) channels and an activation; `num_distilled` of its
    channels are kept and the rest go on to the next step. The sixth step keeps all its channels.
    """

    def __init__(
        self, num_feat: int, num_distilled: int, widths: list[tuple[int, int]], act: nn.Module, bias: bool
    ) -> None:
        super().__init__()
        self.num_distilled = num_distilled
        for step, (num_in, num_out) in enumerate(widths, 1):
            self.add_module(f"c{step}", _conv3(num_in, num_out, bias=bias))
        self.c7 = nn.Conv2d(6 * num_distilled, num_feat, 1, bias=bias)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = [], x
        for step in range(1, 7):
            out = self.act(self.get_submodule(f"c{step}")(rest))
            # Widths shrink from step to step; the sixth leaves no rest, and an empty part is unknown to ncnn.
            if step < 6:
                out, rest = out.split([self.num_distilled, out.shape[1] - self.num_distilled], 1)
            kept.append(out)
        return self.c7(torch.cat(kept, 1)) + x  # (B, 6 * num_distilled, H, W) -> (B, num_feat, H, W)


class Shortcut(nn.Module):
    """A chain of modules plus its input; `sub` is the published attribute name."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.sub = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sub(x)


class _Trunk(nn.Module):
    """Common part of IMDN and IMDN_AS: a head, blocks whose outputs are concatenated, and a sub-pixel tail."""

    key_options: ClassVar = {
        r"IMDB(\d+)\.": "num_modules",
        r"LR_conv\.weight": "num_feat",
        r"upsampler\.0\.weight": "scale",
    }

    def __init__(self, head: nn.Module, num_feat: int, num_modules: int, num_out: int, upscale: int) -> None:
        super().__init__()
        require_width(num_feat, 16, "a quarter")
        self.num_modules = num_modules
        self.fea_conv = head
        for number in range(1, num_modules + 1):
            self.add_module(f"IMDB{number}", DistillationBlock(num_feat, num_feat // 4, attention=True))
        self.c = nn.Sequential(nn.Conv2d(num_feat * num_modules, num_feat, 1), nn.LeakyReLU(0.05, inplace=True))
        self.LR_conv = _conv3(num_feat, num_feat)
        self.upsampler = _subpixel(num_feat, num_out, upscale)

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`."""
        first = tensors.get("fea_conv.weight", tensors.get("fea_conv.0.weight"))
        if first is not None:
            num_modules = count_modules(r"IMDB(\d+)\.", tensors)
            yield {**_shown(first, tensors["upsampler.0.weight"]), "num_modules": num_modules}

    def forward(self, lq: Tensor) -> Tensor:
        head = self.fea_conv(lq)
        out, collected = head, []
        for number in range(1, self.num_modules + 1):
            out = self.get_submodule(f"IMDB{number}")(out)
            collected.append(out)
        # (B, num_modules * num_feat, H, W) -> (B, num_feat, H, W) -> (B, C, scale * H, scale * W)
        return self.upsampler(self.LR_conv(self.c(torch.cat(collected, 1))) + head)


@ARCHS.register
class IMDN(_Trunk):
    """IMDN: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1]. Hui et al., ACM MM 2019, figure 2.

    Args:
        scale: magnification (published: 2, 3, 4).
        num_in_ch: colour channels in and out.
        num_feat: width of the features, a multiple of 16 [channels].
        num_modules: information multi-distillation blocks.
    """

    scales = None
    multiple_of = 1
    half_safe = ("float16", "bfloat16")
    receptive_radius = None
    unbounded_by = "channel attention averages over the image"

    def __init__(
        self, *, scale: int, num_in_ch: PositiveInt = 3, num_feat: PositiveInt = 64, num_modules: PositiveInt = 6
    ) -> None:
        super().__init__(_conv3(num_in_ch, num_feat), num_feat, num_modules, num_in_ch, scale)


@ARCHS.register
class IMDN_AS(_Trunk):
    """IMDN for any scale, on images already enlarged to their final size: (B, C, H, W) -> (B, C, H, W), range [0, 1].

    Two stride-2 convolutions, IMDN at a quarter of the resolution, and a x4 sub-pixel tail (section 3.4; trained on
    RealSR). Images are padded to a multiple of 4 and the output is cropped.

    Args:
        scale: 1, the input has the size of the output.
        num_in_ch: colour channels in and out.
        num_feat: width of the features, a multiple of 16 [channels].
        num_modules: information multi-distillation blocks.
    """

    scales = (1,)
    multiple_of = 4
    half_safe = ("float16", "bfloat16")
    receptive_radius = None
    unbounded_by = "channel attention averages over the image"

    def __init__(
        self, *, scale: int = 1, num_in_ch: PositiveInt = 3, num_feat: PositiveInt = 64, num_modules: PositiveInt = 6
    ) -> None:
        _require_scale("IMDN_AS", scale, self.scales)
        head = nn.Sequential(
            _conv3(num_in_ch, num_feat, stride=2), nn.LeakyReLU(0.05), _conv3(num_feat, num_feat, stride=2)
        )
        super().__init__(head, num_feat, num_modules, num_in_ch, upscale=4)

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`."""
        yield from ({**options, "scale": 1} for options in _Trunk.options_in(tensors))

    def forward(self, lq: Tensor) -> Tensor:
        height, width = lq.shape[-2:]
        return crop(super().forward(pad_to_multiple(lq, self.multiple_of)), height, width)


@ARCHS.register
class IMDN_RTC(nn.Module):
    """The 20k-parameter IMDN of the RTC 2019 challenge: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1].

    Args:
        scale: magnification (published: 2).
        num_in_ch: colour channels in and out.
        num_feat: width of the features, a multiple of 4 [channels].
        num_modules: distillation blocks, without attention.
    """

    key_options: ClassVar = {
        r"model\.1\.sub\.(\d+)\.c1": "num_modules",
        r"model\.0\.weight": "num_feat",
        r"model\.2\.weight": "scale",
    }
    scales = None
    multiple_of = 1
    half_safe = ("float16", "bfloat16")
    channels_last = True

    def __init__(
        self, *, scale: int, num_in_ch: PositiveInt = 3, num_feat: PositiveInt = 12, num_modules: PositiveInt = 5
    ) -> None:
        super().__init__()
        require_width(num_feat, 4, "a quarter")
        self.receptive_radius = 2 + 4 * num_modules
        blocks = [DistillationBlock(num_feat, num_feat // 4, attention=False) for _ in range(num_modules)]
        self.model = nn.Sequential(
            _conv3(num_in_ch, num_feat),
            Shortcut(*blocks, nn.Conv2d(num_feat, num_feat, 1)),
            *_subpixel(num_feat, num_in_ch, scale),
        )

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`."""
        num_modules = count_modules(r"model\.1\.sub\.(\d+)\.c1", tensors)
        yield {**_shown(tensors["model.0.weight"], tensors["model.2.weight"]), "num_modules": num_modules}

    def forward(self, lq: Tensor) -> Tensor:
        return self.model(lq)


@ARCHS.register
class IMDN_RTE(nn.Module):
    """The IMDN of the RTE 2020 challenge: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1].

    Features have half the resolution; images are padded to even sizes and the output is cropped. The released weights
    were trained on values in [0, 255]: load them with ``img_range: 255``, which is saved with the weights.

    Args:
        scale: magnification; 2, because the tail enlarges by its square.
        num_in_ch: colour channels in and out.
        num_feat: width of the features, a multiple of 4 [channels].
        img_range: factor applied to [0, 1] inputs inside the network (1 or 255); 255 for the released weights.
    """

    key_options: ClassVar = {r"fea_conv\.0\.weight": "num_feat"}
    scales = (2,)
    multiple_of = 2
    half_safe = ("float16", "bfloat16")
    channels_last = True

    def __init__(
        self, *, scale: int, num_in_ch: PositiveInt = 3, num_feat: PositiveInt = 20, img_range: PositiveFloat = 1.0
    ) -> None:
        _require_scale("IMDN_RTE", scale, self.scales)
        super().__init__()
        require_width(num_feat, 4, "a quarter")
        self.scale = scale
        self.img_range = img_range
        # Two convolutions at the input's resolution, then 6 blocks of 6 and the tail at half resolution.
        self.receptive_radius = 3 + 2 * (6 * 6 + 1)
        quarter = num_feat // 4
        widths = [
            (num_feat, num_feat),
            (3 * quarter, num_feat),
            (3 * quarter, num_feat),
            (3 * quarter, 3 * quarter),
            (2 * quarter, 2 * quarter),
            (quarter, quarter),
        ]
        self.fea_conv = nn.Sequential(
            _conv3(num_in_ch, num_feat),
            nn.ReLU(inplace=True),
            _conv3(num_feat, num_feat, stride=2, bias=False),
        )
        for number in range(1, 7):
            act = nn.ReLU(inplace=True)
            self.add_module(f"block{number}", ShrinkingBlock(num_feat, quarter, widths, act, bias=False))
        self.LR_conv = nn.Conv2d(num_feat, num_feat, 1, bias=False)
        self.upsampler = _subpixel(num_feat, num_in_ch, scale**2)

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`; the range is the authors'."""
        num_feat, num_in_ch = tensors["fea_conv.0.weight"].shape[:2]
        yield {"scale": 2, "num_in_ch": num_in_ch, "num_feat": num_feat, "img_range": 255.0}

    def forward(self, lq: Tensor) -> Tensor:
        height, width = (self.scale * side for side in lq.shape[-2:])
        head = self.fea_conv(pad_to_multiple(lq * self.img_range, self.multiple_of))
        out = head  # (B, num_feat, H / 2, W / 2)
        for number in range(1, 7):
            out = self.get_submodule(f"block{number}")(out)
        return crop(self.upsampler(self.LR_conv(out) + head), height, width) / self.img_range


@ARCHS.register
class IMDNPlus(nn.Module):
    """IMDN+ of the NTIRE 2022 efficient SR challenge: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1].

    Each step of a block distils a sixth of the channels. Li et al., "NTIRE 2022 Challenge on Efficient
    Super-Resolution", CVPRW 2022, arXiv:2205.05675.

    Args:
        scale: magnification (published: 4).
        num_in_ch: colour channels in and out.
        num_feat: width of the features, a multiple of 6 [channels].
        num_modules: distillation blocks.
    """

    key_options: ClassVar = {
        r"FEM\.1\.sub\.(\d+)\.c1": "num_modules",
        r"FEM\.0\.weight": "num_feat",
        r"RM\.0\.weight": "scale",
    }
    scales = None
    multiple_of = 1
    half_safe = ("float16", "bfloat16")
    channels_last = True

    def __init__(
        self, *, scale: int, num_in_ch: PositiveInt = 3, num_feat: PositiveInt = 36, num_modules: PositiveInt = 8
    ) -> None:
        super().__init__()
        require_width(num_feat, 6, "a sixth")
        self.receptive_radius = 3 + 6 * num_modules
        sixth = num_feat // 6
        widths = [(sixth * k, sixth * k) for k in range(6, 0, -1)]
        blocks = [ShrinkingBlock(num_feat, sixth, widths, nn.SiLU(inplace=True), bias=True) for _ in range(num_modules)]
        self.FEM = nn.Sequential(_conv3(num_in_ch, num_feat), Shortcut(*blocks, _conv3(num_feat, num_feat)))
        self.RM = _subpixel(num_feat, num_in_ch, scale)

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`."""
        num_modules = count_modules(r"FEM\.1\.sub\.(\d+)\.c1", tensors)
        yield {**_shown(tensors["FEM.0.weight"], tensors["RM.0.weight"]), "num_modules": num_modules}

    def forward(self, lq: Tensor) -> Tensor:
        return self.RM(self.FEM(lq))


def _require_scale(name: str, scale: int, scales: tuple[int, ...]) -> None:
    if scale not in scales:
        raise ValueError(f"{name} works at scale {' or '.join(map(str, scales))}, got {scale}")
