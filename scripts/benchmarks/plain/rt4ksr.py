"""RT4KSR x3 as published: blocks in training form, and a high-frequency branch whose result is discarded."""

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.filter import gaussian_blur

from .convolutional import Weights, conv


def _rep_block(w: Weights, name: str, x: Tensor) -> Tensor:
    """Apply the re-parameterisable block in training form; the wide features are padded with their bias."""
    wide = conv(w, f"{name}.expand_conv", x)
    bias = w[f"{name}.expand_conv.bias"]
    padded = F.pad(wide, (1, 1, 1, 1))
    border = torch.ones_like(padded[:, :1])
    border[:, :, 1:-1, 1:-1] = 0
    padded = padded + border * bias.view(1, -1, 1, 1)
    middle = F.conv2d(padded, w[f"{name}.fea_conv.weight"], w[f"{name}.fea_conv.bias"])
    return conv(w, f"{name}.reduce_conv", middle + wide) + x


def _norm(w: Weights, name: str, x: Tensor) -> Tensor:
    """Apply layer norm over channels: (B, C, H, W) -> the same."""
    mean = x.mean(1, keepdim=True)
    variance = (x - mean).pow(2).mean(1, keepdim=True)
    weight, bias = (w[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("weight", "bias"))  # (1, C, 1, 1)
    return (x - mean) / (variance + 1e-6).sqrt() * weight + bias


def rt4ksr(w: Weights, lq: Tensor) -> Tensor:
    """Run RT4KSR x3 on images with even sides."""
    x = conv(w, "head.0", F.pixel_unshuffle(lq, 2))
    high = conv(w, "head.0", F.pixel_unshuffle(lq - gaussian_blur(lq, 5, 1.0), 2))
    # Computed and discarded, as in the published code.
    F.gelu(_rep_block(w, "hfb.0" if "hfb.0.expand_conv.weight" in w else "tail.1", high))
    for block in range(4):
        x = F.gelu(_rep_block(w, f"body.{block}.conv1", _norm(w, f"body.{block}.norm", x)))
    x = _rep_block(w, "tail.1", _norm(w, "tail.0", x))
    return F.pixel_shuffle(conv(w, "upsample.0", x), 6)
