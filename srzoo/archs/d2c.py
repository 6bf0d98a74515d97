"""D2C-SR: a tree of branches gives several diverging estimates of the image, and a small network fuses them.

Li, Jiang, Zhang, Luo, Fan, Zeng, "D2C-SR: A Divergence to Convergence Approach for Real-World Image Super-Resolution",
ECCV 2022, arXiv:2103.14373. Written from the paper and the released networks' shapes; attribute names are the
published ones (``body12`` is the second child of ``body1``). Deviations: any tree and any registered backbone block can
be chosen; the mean shifts are constants, not trained. The authors' files are for BGR images: `srzoo convert weights`
converts them to RGB.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from srzoo.contract import PlainValue, contract_of, count_modules
from srzoo.layers.distillation import DistillationBlock, require_width
from srzoo.layers.gates import channel_gates
from srzoo.layers.initial import Init, draw_lecun_normal
from srzoo.layers.mean_shift import RGB_MEAN
from srzoo.layers.residual import ResidualBlock
from srzoo.layers.upsample import subpixel_scale, subpixel_upsampler
from srzoo.registry import ARCHS, BACKBONES, PositiveInt


class ChannelGates(nn.Module):
    """Channel gates from the mean over the image: (B, C, H, W) -> the same. RCAN, ECCV 2018, section 3.3."""

    def __init__(self, num_feat: int) -> None:
        super().__init__()
        self.conv_du = channel_gates(num_feat)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv_du(x.mean((2, 3), keepdim=True))


@partial(BACKBONES.register, name="RCAN")
class RCANBlock(nn.Module):
    """RCAN's residual channel attention block: (B, num_feat, H, W) -> (B, num_feat, H, W).

    Args:
        num_feat: width, at least 16 [channels].
    """

    receptive_radius = None
    unbounded_by = "channel attention averages over the image"

    def __init__(self, *, num_feat: int) -> None:
        super().__init__()
        if num_feat < 16:
            raise ValueError(
                f"the RCAN backbone needs num_feat of at least 16 (attention has a 16th of them), got {num_feat}"
            )
        self.body = nn.Sequential(
            nn.Conv2d(num_feat, num_feat, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat, num_feat, 3, 1, 1),
            ChannelGates(num_feat),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@partial(BACKBONES.register, name="EDSR")
class EDSRBlock(ResidualBlock):
    """EDSR's residual block: (B, num_feat, H, W) -> (B, num_feat, H, W).

    Args:
        num_feat: width [channels].
    """

    receptive_radius = 2

    def __init__(self, *, num_feat: int) -> None:
        super().__init__(num_feat)


@partial(BACKBONES.register, name="IMDN")
class IMDNBlock(DistillationBlock):
    """IMDN's information multi-distillation block: (B, num_feat, H, W) -> (B, num_feat, H, W).

    Args:
        num_feat: width, a multiple of 16 [channels].
    """

    receptive_radius = None
    unbounded_by = "channel attention averages over the image"

    def __init__(self, *, num_feat: int) -> None:
        require_width(num_feat, 16, "a quarter")
        super().__init__(num_feat, num_feat // 4, attention=True)


class Group(nn.Module):
    """Backbone blocks and a convolution inside a skip connection: (B, num_feat, H, W) -> (B, num_feat, H, W)."""

    def __init__(self, backbone: str, num_feat: int, num_block: int) -> None:
        super().__init__()
        blocks = [BACKBONES.build(backbone, {}, num_feat=num_feat) for _ in range(num_block)]
        self.body = nn.Sequential(*blocks, nn.Conv2d(num_feat, num_feat, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ConvMeanShift(nn.Conv2d):
    """Image plus or minus the mean colour of DIV2K, as the published 1x1 convolution; not trained."""

    def __init__(self, num_ch: int, sign: int) -> None:
        super().__init__(num_ch, num_ch, 1)
        mean = torch.tensor(RGB_MEAN if num_ch == 3 else (0.0,) * num_ch)
        weight = torch.eye(num_ch).view(num_ch, num_ch, 1, 1)  # the identity
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(sign * mean, requires_grad=False)


class DivergenceTree(nn.Module):
    """The divergence network (figure 3): (B, C, H, W) -> leaves (B, num_leaves, C, scale*H, scale*W).

    Every node is a body of groups. A leaf's features pass through one convolution per level, after each of which the
    features of the next ancestor are added, the head's at last, and then through the leaf's upsampling tail. Leaves are
    ordered depth first, so that siblings are adjacent.
    """

    def __init__(
        self,
        *,
        scale: int,
        num_ch: int,
        levels: tuple[int, ...],
        backbone: str,
        num_feat: int,
        num_group: int,
        num_block: int,
    ) -> None:
        super().__init__()
        self.levels = levels
        self.sub_mean = ConvMeanShift(num_ch, -1)
        self.add_mean = ConvMeanShift(num_ch, 1)
        self.head = nn.Sequential(nn.Conv2d(num_ch, num_feat, 3, 1, 1))
        for depth in range(1, len(levels) + 1):
            for node in self.nodes(depth):
                groups = [Group(backbone, num_feat, num_block) for _ in range(num_group)]
                self.add_module(f"body{node}", nn.Sequential(*groups, nn.Conv2d(num_feat, num_feat, 3, 1, 1)))
        self.leaves = list(self.nodes(len(levels)))
        for leaf in self.leaves:
            tail = nn.Sequential(subpixel_upsampler(num_feat, scale), nn.Conv2d(num_feat, num_ch, 3, 1, 1))
            self.add_module(f"tail{leaf}", tail)
        for number in range(1, len(self.leaves) * len(levels) + 1):
            self.add_module(f"res_conv{number}", nn.Conv2d(num_feat, num_feat, 3, 1, 1))

    def nodes(self, depth: int) -> Iterator[str]:
        """Yield the names of the nodes of a level, one digit per generation."""
        names = [""]
        for children in self.levels[:depth]:
            names = [f"{parent}{child}" for parent in names for child in range(1, children + 1)]
        yield from names

    def forward(self, lq: Tensor) -> Tensor:
        features = {"": self.head(self.sub_mean(lq))}
        for depth in range(1, len(self.levels) + 1):
            for node in self.nodes(depth):
                features[node] = self.get_submodule(f"body{node}")(features[node[:-1]])
        leaves = []  # of (B, C, scale * H, scale * W)
        for index, leaf in enumerate(self.leaves):
            x = features[leaf]
            # From the leaf's parent up to the head, whose name is the empty string.
            for step in range(len(self.levels)):
                number = index * len(self.levels) + step + 1
                x = self.get_submodule(f"res_conv{number}")(x) + features[leaf[: len(leaf) - step - 1]]
            leaves.append(self.add_mean(self.get_submodule(f"tail{leaf}")(x)))
        return torch.stack(leaves, 1)  # (B, K, C, scale * H, scale * W)


class _ConvRelu(nn.Module):
    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(num_in, num_out, 3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


class ConvergenceNet(nn.Module):
    """Weights of the leaves in each pixel (section 3.3): (B, K, C, H, W) -> (B, K, H, W), positive, sum 1 over K."""

    def __init__(self, num_leaves: int, num_ch: int, num_feat: int = 64) -> None:
        super().__init__()
        self.fusion_final = nn.Sequential(
            _ConvRelu(num_leaves * num_ch, num_feat), _ConvRelu(num_feat, num_feat), _ConvRelu(num_feat, num_leaves)
        )

    def forward(self, leaves: Tensor) -> Tensor:
        return self.fusion_final(leaves.flatten(1, 2)).softmax(1)  # (B, K * C, H, W) -> (B, K, H, W)


@dataclass(frozen=True)
class D2COutput:
    """Everything that D2CNet computes.

    Args:
        sr: the fused image (B, C, H, W).
        leaves: the tree's estimates (B, K, C, H, W).
        weights: the leaves' weights in each pixel (B, K, H, W).
    """

    sr: Tensor
    leaves: Tensor
    weights: Tensor


@ARCHS.register
class D2CNet(nn.Module):
    """D2C-SR: (B, C, h, w) -> (B, C, scale*h, scale*w), range [0, 1]; in training the leaves instead.

    ``net(lq)`` returns all leaves (B, K, C, H, W) in training mode and the fused image in evaluation mode; ``output``
    selects "sr", "leaves" or "all" (:class:`D2COutput`) in either mode. Defaults are the released networks.

    Args:
        scale: magnification: 3 or a power of 2 (published: 2, 3, 4, 8).
        num_in_ch: colour channels in and out.
        backbone: blocks of the bodies: RCAN (released), EDSR, IMDN, or a registered one.
        levels: children of each node, level by level, at most 9; [2, 2] has four leaves.
        num_feat: width of the features [channels].
        num_group: residual groups in each node's body.
        num_block: backbone blocks in each group.
        init: initial weights: published (MegEngine's: normal, variance 1 / fan-in, biases 0) or torch (PyTorch's
            default).
    """

    scales = (1, 2, 3, 4, 8)
    multiple_of = 1
    half_safe = ("float16", "bfloat16")
    has_leaves = True
    free_options = ("init",)
    # In training the fused image is only computed on demand.
    idle_in_training = r"fusion\."
    key_options: ClassVar = {
        r"tree\.body1\.(\d+)\.body": "num_group",
        r"tree\.body1\.0\.body\.(\d+)\.": "num_block",
        r"tree\.tail(\d+)\.1\.weight": "levels",
        r"tree\.head\.0\.weight": "num_feat",
    }

    def __init__(
        self,
        *,
        scale: int,
        num_in_ch: PositiveInt = 3,
        backbone: str = "RCAN",
        levels: tuple[PositiveInt, ...] = (2, 2),
        num_feat: PositiveInt = 64,
        num_group: PositiveInt = 2,
        num_block: PositiveInt = 4,
        init: Init = "published",
    ) -> None:
        super().__init__()
        levels = tuple(levels)
        if not levels or max(levels) > 9:
            raise ValueError(f"levels must give 1 to 9 children for each of at least one level, got {list(levels)}")
        required = [name for name, option in BACKBONES.parameters(backbone).items() if option.default is option.empty]
        if required:
            raise ValueError(
                f"backbone {backbone} requires {', '.join(required)}; a backbone is built with num_feat only"
            )
        self.tree = DivergenceTree(
            scale=scale,
            num_ch=num_in_ch,
            levels=levels,
            backbone=backbone,
            num_feat=num_feat,
            num_group=num_group,
            num_block=num_block,
        )
        self.fusion = ConvergenceNet(len(self.tree.leaves), num_in_ch)
        if init == "published":
            draw_lecun_normal([self])
        block = contract_of(BACKBONES[backbone])
        block_radius, self.unbounded_by = block.receptive_radius, block.unbounded_by
        self.receptive_radius = None
        if block_radius is not None:
            # The tail's convolutions and the fusion network's are at the output's resolution or between it and LQ.
            body = num_group * (num_block * block_radius + 1) + 1
            self.receptive_radius = 1 + len(levels) * (body + 1) + (3 if scale > 1 else 4)

    def published_state(self) -> dict[str, Tensor]:
        """Raise: this layout cannot be written.

        Raises:
            ValueError: always; the authors' code reads a MegEngine pickle of two networks for BGR images.
        """
        raise ValueError("D2C-SR's authors read a MegEngine pickle of two networks for BGR images: it is not written")

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`; any backbone may fit."""
        num_feat, num_in_ch = tensors["tree.head.0.weight"].shape[:2]
        leaves = [match.group(1) for name in tensors if (match := re.fullmatch(r"tree\.tail(\d+)\.1\.bias", name))]
        for backbone in BACKBONES:
            yield {
                "scale": subpixel_scale(tensors, f"tree.tail{leaves[0]}.0."),
                "num_in_ch": num_in_ch,
                "backbone": backbone,
                # The name of a leaf has a digit for each level, counted from 1.
                "levels": [max(map(int, digits)) for digits in zip(*leaves, strict=True)],
                "num_feat": num_feat,
                "num_group": count_modules(r"tree\.body1\.(\d+)\.body", tensors),
                # A convolution follows a group's blocks.
                "num_block": count_modules(r"tree\.body1\.0\.body\.(\d+)\.", tensors) - 1,
            }

    def forward(
        self, lq: Tensor, output: Literal["auto", "sr", "leaves", "all"] = "auto", detach_leaves: bool = False
    ) -> Tensor | D2COutput:
        """Return the output described above; `detach_leaves` keeps the fused image's gradient out of the tree."""
        leaves = self.tree(lq)
        if output == "leaves" or (output == "auto" and self.training):
            return leaves
        fused_from = leaves.detach() if detach_leaves else leaves
        weights = self.fusion(fused_from)
        sr = (fused_from * weights[:, :, None]).sum(1)  # (B, K, C, H, W) * (B, K, 1, H, W) -> (B, C, H, W)
        return D2COutput(sr, leaves, weights) if output == "all" else sr
