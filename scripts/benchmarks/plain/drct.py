"""DRCT as in a textbook: images permuted for every part, windows cut and rolled, masks and biases materialised.

Baseline for srzoo's DRCT, with the same state-dict keys, so that weights can be copied.
"""

import functools

import torch
from torch import Tensor, nn


def window_partition(x: Tensor, window: int) -> Tensor:
    """Cut images into windows: (B, H, W, C) -> (B * windows, window^2, C)."""
    b, h, w, c = x.shape
    x = x.view(b, h // window, window, w // window, window, c)  # (B, rows, window, columns, window, C)
    # (B, rows, columns, window, window, C) -> (B * windows, window^2, C)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, window * window, c)


def window_reverse(windows: Tensor, window: int, h: int, w: int) -> Tensor:
    """Join windows again: (B * windows, window^2, C) -> (B, H, W, C)."""
    b = windows.shape[0] // (h * w // window**2)
    x = windows.view(b, h // window, w // window, window, window, -1)  # (B, rows, columns, window, window, C)
    # (B, rows, window, columns, window, C) -> (B, H, W, C)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(b, h, w, -1)


@functools.cache
def attention_mask(h: int, w: int, window: int, shift: int) -> Tensor:
    """Return the mask with -100 between pixels of different regions of the shifted image: (windows, n, n)."""
    regions = torch.zeros(1, h, w, 1)
    parts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for row, rows in enumerate(parts):
        for column, columns in enumerate(parts):
            regions[:, rows, columns] = 3 * row + column
    ids = window_partition(regions, window)[..., 0]  # (windows, n)
    return torch.where(ids[:, None] != ids[:, :, None], -100.0, 0.0)


class Attention(nn.Module):
    """Window attention with relative position bias: (B * windows, n, C) -> the same."""

    index: Tensor

    def __init__(self, dim: int, window: int, heads: int) -> None:
        super().__init__()
        self.window, self.heads, self.scale = window, heads, (dim // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        y, x = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
        offset_y = y.flatten()[:, None] - y.flatten()[None] + window - 1
        offset_x = x.flatten()[:, None] - x.flatten()[None] + window - 1
        self.register_buffer("index", offset_y * (2 * window - 1) + offset_x, persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        b, n, c = x.shape
        # Each of q, k and v is (B * windows, heads, n, C / heads).
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        attention = (q * self.scale) @ k.transpose(-2, -1)  # (B * windows, heads, n, n)
        # One bias per head and pair of pixels: (heads, n, n).
        bias = self.relative_position_bias_table[self.index.view(-1)].view(n, n, -1).permute(2, 0, 1).contiguous()
        attention = attention + bias.unsqueeze(0)
        if mask is not None:
            windows = mask.shape[0]
            # The mask is the same for all images and heads: (B, windows, heads, n, n) + (1, windows, 1, n, n).
            attention = attention.view(b // windows, windows, self.heads, n, n) + mask.unsqueeze(1).unsqueeze(0)
            attention = attention.view(-1, self.heads, n, n)  # (B * windows, heads, n, n)
        attention = attention.softmax(-1)
        return self.proj((attention @ v).transpose(1, 2).reshape(b, n, c))  # (B * windows, n, C)


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class SwinBlock(nn.Module):
    """Transformer block over plain or shifted windows: (B, H * W, C) -> the same."""

    def __init__(self, dim: int, window: int, heads: int, shift: int, mlp_ratio: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, window, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        b, _, c = x.shape
        shortcut = x
        x = self.norm1(x).view(b, h, w, c)  # (B, H, W, C)
        mask = None
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
            mask = attention_mask(h, w, self.window, self.shift).to(x)
        x = self.attn(window_partition(x, self.window), mask)
        x = window_reverse(x, self.window, h, w)
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), (1, 2))
        x = shortcut + x.view(b, h * w, c)  # (B, H * W, C)
        return x + self.mlp(self.norm2(x))


class Group(nn.Module):
    """Residual dense group of five Swin blocks: (B, H * W, C) -> the same."""

    def __init__(self, dim: int, gc: int, window: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.act = nn.LeakyReLU(0.2)
        for k in range(5):
            width = dim + k * gc
            shift = window // 2 if k % 2 else 0
            block = SwinBlock(width, window, heads - width % heads, shift, mlp_ratio if k < 3 else 1)
            self.add_module(f"swin{k + 1}", block)
            self.add_module(f"adjust{k + 1}", nn.Conv2d(width, gc if k < 4 else dim, 1))

    def forward(self, x: Tensor, h: int, w: int) -> Tensor:
        def unembed(tokens: Tensor) -> Tensor:
            return tokens.transpose(1, 2).view(tokens.shape[0], -1, h, w)  # (B, C, H, W)

        def embed(image: Tensor) -> Tensor:
            return image.flatten(2).transpose(1, 2)  # (B, H * W, C)

        outputs = [x]
        for k in range(1, 6):
            y = getattr(self, f"swin{k}")(torch.cat(outputs, -1), h, w)
            y = getattr(self, f"adjust{k}")(unembed(y))
            outputs.append(embed(self.act(y) if k < 5 else y))
        return outputs[-1] * 0.2 + x


class PlainDRCT(nn.Module):
    """DRCT x4 for RGB images whose sides are multiples of the window."""

    mean: Tensor

    def __init__(self, embed_dim: int = 180, groups: int = 6, heads: int = 6, window: int = 16, gc: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor((0.4488, 0.4371, 0.4040)).view(1, 3, 1, 1), persistent=False)
        self.conv_first = nn.Conv2d(3, embed_dim, 3, 1, 1)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(embed_dim)})
        self.layers = nn.ModuleList(Group(embed_dim, gc, window, heads, 2) for _ in range(groups))
        self.norm = nn.LayerNorm(embed_dim)
        self.conv_after_body = nn.Conv2d(embed_dim, embed_dim, 3, 1, 1)
        self.conv_before_upsample = nn.Sequential(nn.Conv2d(embed_dim, 64, 3, 1, 1), nn.LeakyReLU())
        convs = [nn.Conv2d(64, 256, 3, 1, 1), nn.PixelShuffle(2), nn.Conv2d(64, 256, 3, 1, 1), nn.PixelShuffle(2)]
        self.upsample = nn.Sequential(*convs)
        self.conv_last = nn.Conv2d(64, 3, 3, 1, 1)

    def forward(self, lq: Tensor) -> Tensor:
        h, w = lq.shape[-2:]
        head = self.conv_first(lq - self.mean)
        x = self.patch_embed["norm"](head.flatten(2).transpose(1, 2))  # (B, H * W, C)
        for group in self.layers:
            x = group(x, h, w)
        x = self.norm(x).transpose(1, 2).view(head.shape)  # (B, C, H, W)
        x = self.conv_after_body(x) + head
        return self.conv_last(self.upsample(self.conv_before_upsample(x))) + self.mean
