"""DRCT: dense residual connections of Swin transformer blocks.

Hsu, Lee, Chou, "DRCT: Saving Image Super-Resolution away from Information Bottleneck", CVPRW 2024, arXiv:2404.00722.
Written from the paper; attribute names are the published ones. Deviations from the published code: options that it
accepts and ignores do not exist here; masks and index tables are derived, not saved (files that carry them load); an
image is padded once to a multiple of the window.

Between the first and the last convolution features are rows, one per pixel, in the order of windows. Window partition,
shifted windows and their masks are in layers/window.py, attention in layers/attention.py.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from srzoo.contract import PlainValue, count_modules
from srzoo.layers.attention import attention_by_products, biased_attention
from srzoo.layers.mean_shift import MeanShift
from srzoo.layers.plain import in_plain_form
from srzoo.layers.upsample import subpixel_scale, subpixel_upsampler
from srzoo.layers.window import (
    Windows,
    edge_masks_of_image,
    from_rows,
    plain_and_shifted_windows,
    relative_position_index,
    rows_linear,
    rows_product,
    to_rows,
)
from srzoo.ops.pad import crop, pad_to_multiple
from srzoo.registry import ARCHS, PositiveFloat, PositiveInt, Probability


@dataclass(frozen=True)
class BlockSettings:
    """Settings that all Swin blocks of a group share; see :class:`DRCT`.

    Args:
        window: side of the attention windows [pixels].
        mlp_ratio: hidden width of an MLP over its width.
        qkv_bias: biases in the projections to query, key and value.
        drop: dropout of features.
        attn_drop: dropout of attention weights.
        drop_path: probability of dropping a residual of an image.
    """

    window: int
    mlp_ratio: float
    qkv_bias: bool
    drop: float
    attn_drop: float
    drop_path: float


class WindowAttention(nn.Module):
    """Attention among the pixels of each window, with a learnt bias per offset (Swin, equation 4).

    Rows in the order of `windows` (R, dim) -> (R, dim).
    """

    def __init__(self, dim: int, num_heads: int, settings: BlockSettings) -> None:
        super().__init__()
        self.window, self.num_heads, self.attn_drop = settings.window, num_heads, settings.attn_drop
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * self.window - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.qkv = nn.Linear(dim, 3 * dim, bias=settings.qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(settings.drop)

    def forward(self, rows: Tensor, windows: Windows) -> Tensor:
        pixels, dim = self.window**2, rows.shape[1]
        qkv = rows_linear(rows, self.qkv, self.window)  # (R, 3 * dim)
        qkv = qkv.view(-1, pixels, 3, self.num_heads, dim // self.num_heads)  # (windows, N, 3, heads, c), N = w**2
        bias = self._bias()  # (1, heads, N, N)
        if windows.masks is not None:
            bias = bias + windows.masks  # (kinds, heads, N, N)
        dropout = self.attn_drop if self.training else 0.0
        if windows.counts is None:
            out = attention_by_products(qkv, bias, dropout)
        else:
            out = biased_attention(qkv, bias, windows.counts, dropout)
        # (windows, N, dim) -> (R, dim)
        return self.proj_drop(rows_linear(out.view(-1, dim), self.proj, self.window))

    def _bias(self) -> Tensor:
        """Return the bias of each pair of pixels of a window: (1, heads, N, N)."""
        pixels = self.window**2
        index = relative_position_index(self.window, self.relative_position_bias_table.device)
        bias = self.relative_position_bias_table.index_select(0, index)  # (N * N, heads)
        return bias.view(pixels, pixels, -1).permute(2, 0, 1).contiguous()[None]  # (1, heads, N, N)


class Mlp(nn.Module):
    """Two linear layers with GELU between: rows (R, dim) -> (R, dim)."""

    def __init__(self, dim: int, hidden: int, window: int, drop: float) -> None:
        super().__init__()
        self.window = window
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.drop(F.gelu(rows_linear(rows, self.fc1, self.window)))
        return self.drop(rows_linear(hidden, self.fc2, self.window))


class SwinBlock(nn.Module):
    """Attention and MLP, each after a norm and inside a skip connection: rows (R, dim) -> (R, dim)."""

    def __init__(self, dim: int, num_heads: int, settings: BlockSettings) -> None:
        super().__init__()
        self.drop_path = settings.drop_path
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, settings)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * settings.mlp_ratio), settings.window, settings.drop)

    def forward(self, rows: Tensor, batch: int, windows: Windows) -> Tensor:
        rows = rows + self._stochastic_depth(self._attended(rows, windows), batch)
        return rows + self._stochastic_depth(self.mlp(self.norm2(rows)), batch)

    def adjusted(self, rows: Tensor, windows: Windows, adjust: nn.Conv2d) -> Tensor:
        """Return `adjust`, a 1x1 convolution, of the output, for inference: (R, dim) -> (R, num_out).

        The second layer of the MLP is merged into `adjust`, which has few outputs and is the only reader of x + fc2(h):
        adjust(x + fc2(h)) = adjust(x) + (W_adjust W_fc2) h + W_adjust b_fc2. A sixth of the multiply-adds is saved.
        """
        fc2, window = self.mlp.fc2, self.mlp.window
        attended = self._attended(rows, windows)
        # In place, here and below: without gradients nobody needs what is overwritten. Autocast mixes types.
        rows = attended.add_(rows) if attended.dtype == rows.dtype else rows + attended
        hidden = torch.ops.aten.gelu_(rows_linear(self.norm2(rows), self.mlp.fc1, window))  # (R, hidden)
        weight = adjust.weight.flatten(1)  # (num_out, dim)
        bias = torch.addmv(adjust.bias, weight, fc2.bias) if adjust.bias is not None else weight @ fc2.bias
        return rows_product(rows, weight, bias, window).add_(rows_product(hidden, weight @ fc2.weight, None, window))

    def _attended(self, rows: Tensor, windows: Windows) -> Tensor:
        """Return the attention branch: (R, dim) -> (R, dim)."""
        return windows.merge(self.attn(windows.partition(self.norm1(rows)), windows))

    def _stochastic_depth(self, residual: Tensor, batch: int) -> Tensor:
        """Apply stochastic depth: in training, drop the residual of a whole image with probability `drop_path`.

        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382; kept residuals are divided by
        the probability of keeping them.
        """
        if not (self.drop_path and self.training):
            return residual
        keep = torch.rand(batch, 1, 1, device=residual.device) >= self.drop_path
        images = residual.view(batch, -1, residual.shape[1])  # (B, H * W, dim)
        return (images * (keep.to(residual.dtype) / (1 - self.drop_path))).view_as(residual)  # (R, dim)


class ResidualDenseGroup(nn.Module):
    """Five Swin blocks, each on the input and all earlier outputs (RDG, section 3.3): rows (R, dim) -> (R, dim)."""

    def __init__(self, dim: int, gc: int, num_heads: int, settings: BlockSettings) -> None:
        super().__init__()
        self.window = settings.window
        for number in range(1, 6):
            width = dim + (number - 1) * gc
            ratio = settings.mlp_ratio if number < 4 else 1.0
            block = SwinBlock(width, _num_heads(width, num_heads), replace(settings, mlp_ratio=ratio))
            self.add_module(f"swin{number}", block)
            self.add_module(f"adjust{number}", nn.Conv2d(width, gc if number < 5 else dim, 1))

    def forward(self, rows: Tensor, batch: int, plain: Windows, shifted: Windows) -> Tensor:
        features = [rows]
        for number in range(1, 6):
            x = torch.cat(features, 1) if number > 1 else rows  # (R, dim + (number - 1) * gc)
            block, adjust = getattr(self, f"swin{number}"), getattr(self, f"adjust{number}")
            windows = shifted if number % 2 == 0 else plain
            if self.training or torch.is_grad_enabled() or in_plain_form():
                x = rows_linear(block(x, batch, windows), adjust, self.window)
            else:
                x = block.adjusted(x, windows, adjust)
            features.append(F.leaky_relu(x, 0.2, inplace=True) if number < 5 else x)
        return torch.add(rows, features[-1], alpha=0.2)


def _num_heads(width: int, num_heads: int) -> int:
    """Return the attention heads of a block, by the published rule that makes them divide its width."""
    return num_heads - width % num_heads


def _base_heads(tensors: Mapping[str, Tensor], group: int) -> int:
    """Return the smallest `num_heads` by which that rule gives the attention heads of a group's five blocks."""
    tables = [tensors[f"layers.{group}.swin{number}.attn.relative_position_bias_table"] for number in range(1, 6)]
    widths = [tensors[f"layers.{group}.swin{number}.norm1.weight"].shape[0] for number in range(1, 6)]
    heads = [table.shape[1] for table in tables]
    fitting = (n for n in range(max(heads), max(heads) + 64) if [_num_heads(w, n) for w in widths] == heads)
    return next(fitting, 0)


@ARCHS.register
class DRCT(nn.Module):
    """DRCT: (B, C, H, W) -> (B, C, scale*H, scale*W), range [0, 1]. Any size: padded to a multiple of the window.

    Defaults are DRCT (14.1 million parameters at x4); DRCT-L has 12 entries in `depths` and `num_heads`.

    Args:
        scale: magnification: 3 or a power of 2 (published: 2, 3, 4).
        num_in_ch: colour channels in and out.
        embed_dim: width of the features between groups [channels].
        depths: one entry per group; a group always has five blocks, the values only spread `drop_path_rate`.
        num_heads: attention heads per group; a block of width w has num_heads - w % num_heads of them.
        window_size: side of the attention windows [pixels].
        mlp_ratio: hidden width of the MLPs over their width, in the first three blocks of a group; then 1.
        gc: growth: channels that each block adds to the input of the next ones.
        img_size: side of the LQ training crops, at least a window; decides nothing but the size of the masks that
            `--layout authors` writes [pixels].
        qkv_bias: biases in the projections to query, key and value.
        drop_rate: dropout of features.
        attn_drop_rate: dropout of attention weights.
        drop_path_rate: stochastic depth of the last group; earlier groups have proportionally less.
        img_range: factor applied to [0, 1] inputs inside the network (1 or 255).
        resi_connection: 1conv: a convolution after the groups; identity: none.
        checkpointing: recompute each group in the backward pass instead of keeping its features; the same gradients.
    """

    scales = (1, 2, 3, 4, 8)
    multiple_of = 16
    half_safe = ("float16", "bfloat16")
    receptive_radius = None
    unbounded_by = "shifted windows pass features on"
    unsupported_formats: ClassVar = {
        "ncnn": "window attention sorts pixels by index, and ncnn has no such layer",
        "tflite": "window attention has tensors of more dimensions than TFLite's layers take",
    }
    free_options = ("drop_rate", "attn_drop_rate", "drop_path_rate", "checkpointing", "img_size", "depths")
    ignored_keys = r".*(attn_mask|relative_position_index)$"
    key_options: ClassVar = {
        r"layers\.(\d+)\.swin1": "depths",
        r"conv_first\.weight": "embed_dim",
        r"layers\.0\.adjust1\.weight": "gc",
        r"layers\.0\.swin1\.attn\.relative_position_bias_table": "window_size",
        r"layers\.0\.swin1\.mlp\.fc1\.weight": "mlp_ratio",
    }

    def __init__(
        self,
        *,
        scale: int,
        num_in_ch: PositiveInt = 3,
        embed_dim: PositiveInt = 180,
        depths: tuple[PositiveInt, ...] = (6, 6, 6, 6, 6, 6),
        num_heads: tuple[PositiveInt, ...] = (6, 6, 6, 6, 6, 6),
        window_size: PositiveInt = 16,
        mlp_ratio: PositiveFloat = 2.0,
        gc: PositiveInt = 32,
        img_size: PositiveInt = 64,
        qkv_bias: bool = True,
        drop_rate: Probability = 0.0,
        attn_drop_rate: Probability = 0.0,
        drop_path_rate: Probability = 0.1,
        img_range: PositiveFloat = 1.0,
        resi_connection: Literal["1conv", "identity"] = "1conv",
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        _check(embed_dim, gc, tuple(depths), tuple(num_heads), window_size, img_size, mlp_ratio)
        self.scale = scale
        self.window = self.multiple_of = window_size
        self.img_size = img_size
        self.checkpointing = checkpointing
        self.shift = MeanShift(num_in_ch, img_range)
        self.conv_first = nn.Conv2d(num_in_ch, embed_dim, 3, 1, 1)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(embed_dim)})
        self.pos_drop = nn.Dropout(drop_rate)
        num_blocks = sum(depths)
        drop_paths = [drop_path_rate * place / max(num_blocks - 1, 1) for place in range(num_blocks)]
        settings = BlockSettings(window_size, mlp_ratio, qkv_bias, drop_rate, attn_drop_rate, 0.0)
        self.layers = nn.ModuleList(
            ResidualDenseGroup(embed_dim, gc, heads, replace(settings, drop_path=drop_paths[sum(depths[:group])]))
            for group, heads in enumerate(num_heads)
        )
        self.norm = nn.LayerNorm(embed_dim)
        conv = nn.Conv2d(embed_dim, embed_dim, 3, 1, 1) if resi_connection == "1conv" else nn.Identity()
        self.conv_after_body = conv
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(embed_dim, 64, 3, 1, 1), nn.LeakyReLU(inplace=True))
        self.upsample = subpixel_upsampler(64, scale)
        self.conv_last = nn.Conv2d(64, num_in_ch, 3, 1, 1)
        self.apply(_initialise)

    def forward(self, lq: Tensor) -> Tensor:
        height, width = lq.shape[-2:]
        shallow = self.conv_first(self.shift(pad_to_multiple(lq, self.window)))
        features = self.conv_after_body(self._groups(shallow)) + shallow
        sr = self.shift.inverse(self.conv_last(self.upsample(self.conv_before_upsample(features))))
        return crop(sr, self.scale * height, self.scale * width)

    def published_state(self) -> dict[str, Tensor]:
        """Return the state dict with the tables that the published code saves too, for crops of `img_size`."""
        window, side = self.window, self.img_size
        index = relative_position_index(window, torch.device("cpu")).view(window**2, window**2)
        state = dict(self.state_dict())
        for group in range(len(self.layers)):
            for number in range(1, 6):
                state[f"layers.{group}.swin{number}.attn.relative_position_index"] = index
                if number % 2 == 0:
                    state[f"layers.{group}.swin{number}.attn_mask"] = edge_masks_of_image(window, side // window)
        return state

    @staticmethod
    def options_in(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, PlainValue]]:
        """Yield the options of a state dict, for :func:`srzoo.contract.options_in`."""
        embed_dim, num_in_ch = tensors["conv_first.weight"].shape[:2]
        num_group = count_modules(r"layers\.(\d+)\.swin1", tensors)
        depths: list[PlainValue] = [6] * num_group
        heads: list[PlainValue] = [_base_heads(tensors, group) for group in range(num_group)]
        table = tensors["layers.0.swin1.attn.relative_position_bias_table"]  # ((2 * window - 1)**2, heads)
        yield {
            "scale": subpixel_scale(tensors, "upsample."),
            "num_in_ch": num_in_ch,
            "embed_dim": embed_dim,
            "depths": depths,
            "num_heads": heads,
            "window_size": (math.isqrt(table.shape[0]) + 1) // 2,
            "mlp_ratio": tensors["layers.0.swin1.mlp.fc1.weight"].shape[0] / embed_dim,
            "gc": tensors["layers.0.adjust1.weight"].shape[0],
            "qkv_bias": "layers.0.swin1.attn.qkv.bias" in tensors,
            "resi_connection": "1conv" if "conv_after_body.weight" in tensors else "identity",
        }

    def _groups(self, features: Tensor) -> Tensor:
        """Apply all groups: (B, embed_dim, H, W) -> (B, embed_dim, H, W); the window divides H and W."""
        batch, _, height, width = features.shape
        size = (batch, height, width)
        windows = plain_and_shifted_windows(size, self.window, features.device, features.dtype)
        rows = self.pos_drop(self.patch_embed["norm"](to_rows(features, self.window)))  # (B * H * W, embed_dim)
        checkpointing = self.checkpointing and torch.is_grad_enabled() and not torch.compiler.is_exporting()
        for group in self.layers:
            if checkpointing:
                rows = checkpoint(group, rows, batch, *windows, use_reentrant=False)
            else:
                rows = group(rows, batch, *windows)
        return from_rows(self.norm(rows), self.window, size)


def _initialise(module: nn.Module) -> None:
    """Initialise linear layers from a truncated normal distribution, as in Swin."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check(
    embed_dim: int,
    gc: int,
    depths: tuple[int, ...],
    num_heads: tuple[int, ...],
    window_size: int,
    img_size: int,
    mlp_ratio: float,
) -> None:
    """Check the widths, windows and groups.

    Raises:
        ValueError: they contradict each other; the message lists every fault.
    """
    faults = []
    if not depths or len(depths) != len(num_heads):
        faults.append(f"depths and num_heads must name the same groups, got {len(depths)} and {len(num_heads)} entries")
    if window_size % 2:
        faults.append(f"window_size must be even (windows are shifted by half), got {window_size}")
    if embed_dim * mlp_ratio < 1:
        faults.append(f"mlp_ratio {mlp_ratio} leaves the MLPs of width {embed_dim} no channel")
    if img_size < window_size:
        faults.append(f"img_size {img_size} is smaller than a window of {window_size}: crops must hold a window")
    for heads in sorted(set(num_heads)):
        for width in (embed_dim + number * gc for number in range(5)):
            if width % _num_heads(width, heads):
                faults.append(
                    f"with num_heads {heads} a block of width {width} has {_num_heads(width, heads)} heads, which do "
                    f"not divide it: choose embed_dim ({embed_dim}) and gc ({gc}) so that they do"
                )
    if faults:
        raise ValueError("; ".join(faults))
