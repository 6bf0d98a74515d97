"""RT4KSR: real-time 4K super-resolution. Options lead from a plain baseline to the re-parameterised network.

Zamfir, Conde, Timofte, "Towards Real-Time 4K Image Super-Resolution", CVPRW 2023 (NTIRE). Written from the paper and
the released weights' shapes; attribute names are the published ones. Deviation: with ``forget: false`` the
high-frequency branch does not reach the output, so it is not built; released files still load. Blocks that the paper
names without details (``nafbase``, ``squeeze``) follow NAFNet, Chen et al., "Simple Baselines for Image Restoration",
ECCV 2022, arXiv:2204.04676.
"""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.contract import PlainValue, count_modules
from srzoo.layers import reparam
from srzoo.layers.norm import LayerNorm2d
from srzoo.layers.reparam import ResidualRepBlock
from srzoo.ops.filter import gaussian_blur
from srzoo.ops.pad import crop, pad_to_multiple
from srzoo.registry import ARCHS, NonNegativeInt, PositiveInt

Activation = Literal["gelu", "lrelu", "relu"]
BaseBlock = Literal["base", "dconvbase", "nafbase", "repbase", "simplified"]


def _activation(act: Activation) -> nn.Module:
    return {"gelu": nn.GELU(), "lrelu": nn.LeakyReLU(0.05), "relu": nn.ReLU()}[act]


class EfficientChannelAttention(nn.Module):
    """Channel gates from a 1-D convolution over channel means: (B, C, H, W) -> gates (B, C, 1, 1).

    Wang et al., "ECA-Net", CVPR 2020, arXiv:1910.03151; the kernel is the odd number next to |(log2(C) + 1) / gamma|.
    """

    def __init__(self, num_feat: int, gamma: int) -> None:
        super().__init__()
        width = int(abs((math.log2(num_feat) + 1) / gamma))
        width += 1 - width % 2
        self.conv = nn.Conv1d(1, 1, width, padding=width // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3))  # (B, C)
        return torch.sigmoid(self.conv(means[:, None]))[:, 0, :, None, None]  # (B, 1, C) -> (B, C, 1, 1)


class SqueezeExcitation(nn.Module):
    """Channel gates from two 1x1 convolutions over channel means: (B, C, H, W) -> gated (B, C, H, W)."""

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        hidden = max(num_feat // 2, 1)
        self.fc1 = nn.Conv2d(num_feat, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """Norm, convolution part, activation, channel attention and skip, each optional: (B, C, H, W) -> (B, C, H, W)."""

    def __init__(
        self,
        num_feat: int,
        conv: nn.Module,
        act: nn.Module,
        *,
        layernorm: bool,
        residual: bool,
        squeeze: bool,
        eca_gamma: int,
        eca: Literal["released", "paper"],
    ) -> None:
        super().__init__()
        self.norm = LayerNorm2d(num_feat) if layernorm else nn.Identity()
        self.conv1 = conv
        self.act = act
        self.ca = EfficientChannelAttention(num_feat, eca_gamma) if eca_gamma else None
        self.gate_power = 2 if eca == "released" else 1
        self.se = SqueezeExcitation(num_feat) if squeeze else nn.Identity()
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.conv1(self.norm(x)))
        if self.ca is not None:
            y = y**self.gate_power * self.ca(y)
        y = self.se(y)
        return x + y if self.residual else y


class FeedForward(nn.Module):
    """NAFNet's second half with a plain activation: (B, C, H, W) -> (B, C, H, W).

    Norm, 1x1 convolution to twice the width, activation, 1x1 convolution back, plus the input.
    """

    def __init__(self, num_feat: int, act: nn.Module) -> None:
        super().__init__()
        self.norm = LayerNorm2d(num_feat)
        self.expand = nn.Conv2d(num_feat, 2 * num_feat, 1)
        self.act = act
        self.reduce = nn.Conv2d(2 * num_feat, num_feat, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.reduce(self.act(self.expand(self.norm(x))))


def _convolution(baseblock: BaseBlock, num_feat: int, act: nn.Module, deploy: bool) -> nn.Module:
    """Return the convolution part of a block, between its norm and its activation."""
    if baseblock == "base":
        return nn.Conv2d(num_feat, num_feat, 3, 1, 1)
    if baseblock == "dconvbase":
        depthwise = nn.Conv2d(num_feat, num_feat, 3, 1, 1, groups=num_feat)
        return nn.Sequential(depthwise, nn.Conv2d(num_feat, num_feat, 1))
    if baseblock == "nafbase":
        width = 2 * num_feat
        depthwise = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        return nn.Sequential(nn.Conv2d(num_feat, width, 1), depthwise, act, nn.Conv2d(width, num_feat, 1))
    return ResidualRepBlock(num_feat, deploy)


@ARCHS.register
class RT4KSR(nn.Module):
    """RT4KSR: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1]. Defaults are the released networks.

    The paper's baseline is ``{baseblock: base, unshuffle: false, use_hfb: false}``: a convolution, `num_blocks` blocks
    with the activation between them, a skip and sub-pixel upsampling; all `baseblock` but `simplified` share that
    trunk. With `unshuffle`, images are padded to even sizes and the output is cropped.

    Args:
        scale: magnification (published: 2, 3).
        num_in_ch: colour channels in and out.
        num_feats: width of the features [channels].
        num_blocks: blocks of the trunk.
        act: activation; lrelu has slope 0.05.
        baseblock: base: 3x3 convolution; dconvbase: depthwise-separable; nafbase: NAFNet's block with a plain
            activation; repbase: re-parameterised; simplified: that with LayerNorm, no outer skip and a tail.
        unshuffle: compute at half the input's resolution on pixel-unshuffled images.
        use_hfb: a branch for high frequencies, built only with `forget`, without which it does not reach the output.
        use_gaussian: the branch sees the image minus its 5x5 Gaussian blur (sigma 1); false: the image itself.
        layernorm: normalise each block's input; null: the default of `baseblock` (true for nafbase and simplified).
        residual: add each block's input to its output; null: the default of `baseblock` (true for nafbase).
        squeeze: squeeze-and-excitation at the end of each block.
        eca_gamma: efficient channel attention at the end of each block; larger numbers mean a narrower kernel over
            channels; 0: none.
        eca: released: attention gates the square of the features, as the released code does; paper: the features, as
            in ECA-Net.
        forget: add the branch's features to a learnt multiple of the trunk's.
        deploy: re-parameterised blocks as single 3x3 convolutions; for inference.
    """

    scales = None
    multiple_of = 2
    half_safe = ("float16",)
    unbounded_by = "channel attention averages over the image"
    free_options = ("deploy",)
    key_options: ClassVar = {
        r"body\.(\d+)\.conv1": "num_blocks",
        r"head\.0\.weight": "num_feats",
        r"upsample\.0\.weight": "scale",
    }

    def __init__(
        self,
        *,
        scale: int,
        num_in_ch: PositiveInt = 3,
        num_feats: PositiveInt = 24,
        num_blocks: PositiveInt = 4,
        act: Activation = "gelu",
        baseblock: BaseBlock = "simplified",
        unshuffle: bool = True,
        use_hfb: bool = True,
        use_gaussian: bool = True,
        layernorm: bool | None = None,
        residual: bool | None = None,
        squeeze: bool = False,
        eca_gamma: NonNegativeInt = 0,
        eca: Literal["released", "paper"] = "released",
        forget: bool = False,
        deploy: bool = False,
    ) -> None:
        super().__init__()
        if forget and not use_hfb:
            raise ValueError("forget adds the high-frequency branch's features: it needs use_hfb: true")
        if deploy and baseblock not in ("repbase", "simplified") and not forget:
            raise ValueError(f"deploy merges re-parameterised blocks, of which baseblock {baseblock} has none")
        if not use_gaussian and not forget:
            raise ValueError("use_gaussian: false changes nothing without forget: the branch does not reach the output")
        if eca != "released" and not eca_gamma:
            raise ValueError(f"eca: {eca} changes nothing with eca_gamma 0, which means no such attention")
        self.scale, self.num_feats = scale, num_feats
        self.factor = 2 if unshuffle else 1
        self.multiple_of = self.factor
        self.use_gaussian = use_gaussian
        self.forget = forget
        simplified = baseblock == "simplified"
        self.plain_trunk = not simplified
        activation = _activation(act)
        self.head = nn.Sequential(nn.Conv2d(num_in_ch * self.factor**2, num_feats, 3, 1, 1))
        if forget:
            self.gamma = nn.Parameter(torch.zeros(1))
            self.hfb = nn.Sequential(ResidualRepBlock(num_feats, deploy), activation)
        else:
            self.ignored_keys = r"gamma$|hfb\."

        naf = baseblock == "nafbase"
        body: list[nn.Module] = []
        for number in range(num_blocks):
            # In the plain trunk activations are between blocks; nafbase has one inside each block.
            outer = activation if simplified or (number + 1 < num_blocks and not naf) else nn.Identity()
            body.append(
                Block(
                    num_feats,
                    _convolution(baseblock, num_feats, activation, deploy),
                    outer,
                    layernorm=(simplified or naf) if layernorm is None else layernorm,
                    residual=naf if residual is None else residual,
                    squeeze=squeeze,
                    eca_gamma=eca_gamma,
                    eca=eca,
                )
            )
            if naf:
                body.append(FeedForward(num_feats, activation))
        self.body = nn.Sequential(*body)
        tail = [LayerNorm2d(num_feats), ResidualRepBlock(num_feats, deploy)] if simplified else []
        self.tail = nn.Sequential(*tail)
        up = self.factor * scale
        self.upsample = nn.Sequential(nn.Conv2d(num_feats, num_in_ch * up**2, 3, 1, 1), nn.PixelShuffle(up))
        # 3x3 convolutions: head, blocks, tail and upsampling; 2 pixels of blur; neighbours in an unshuffled pixel.
        convs = 2 + num_blocks + (1 if simplified else 0)
        blur = 2 if forget and use_gaussian else 0
        self.receptive_radius = None if squeeze or eca_gamma else self.factor * convs + self.factor - 1 + blur

    def published_state(self) -> dict[str, Tensor]:
        """Return the state dict of the published code, with zeros for the high-frequency branch if it is idle."""
        state = dict(self.state_dict())
        if not self.forget:
            state["gamma"] = torch.zeros(1)
            merged = any(block.merged for _, block in reparam.blocks(self))
            twin = ResidualRepBlock(self.num_feats, merged)
            state |= {f"hfb.0.{name}": torch.zeros_like(value) for name, value in twin.state_dict().items()}
        return state

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`.

        Only of networks like the released ones: in the others nothing shows activation and skips.
        """
        num_feats, unshuffled = tensors["head.0.weight"].shape[:2]
        if "tail.0.weight" not in tensors:
            return
        # 4 channels are a pixel-unshuffled grey image, 12 a colour image.
        factor = 2 if unshuffled in (4, 12) else 1
        num_in_ch = unshuffled // factor**2
        gamma = tensors.get("gamma")
        yield {
            "scale": math.isqrt(tensors["upsample.0.weight"].shape[0] // num_in_ch) // factor,
            "num_in_ch": num_in_ch,
            "num_feats": num_feats,
            "num_blocks": count_modules(r"body\.(\d+)\.conv1", tensors),
            "unshuffle": factor == 2,
            # Files without the branch hold its initial weights, and gamma its initial 0.
            "forget": gamma is not None and bool(gamma.any()),
        }

    def fused(self) -> nn.Module:
        """Return a copy with every re-parameterised block merged into one convolution, computed in float64."""
        return reparam.fused(self)

    def forward(self, lq: Tensor) -> Tensor:
        height, width = (self.scale * side for side in lq.shape[-2:])
        lq = pad_to_multiple(lq, self.factor)
        shallow = self._head(lq)  # (B, num_feats, H / factor, W / factor)
        deep = self.body(shallow)
        if self.plain_trunk:
            deep = deep + shallow
        if self.forget:
            high = lq - gaussian_blur(lq, 5, 1.0) if self.use_gaussian else lq
            deep = self.gamma * deep + self.hfb(self._head(high))
        return crop(self.upsample(self.tail(deep)), height, width)

    def _head(self, image: Tensor) -> Tensor:
        # (B, C, H, W) -> (B, C * factor**2, H / factor, W / factor) -> num_feats channels
        return self.head(F.pixel_unshuffle(image, self.factor) if self.factor > 1 else image)
