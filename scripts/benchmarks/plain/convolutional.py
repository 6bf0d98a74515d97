"""Convolutional networks step by step from a state dict, as the figures of their papers show them.

Baselines for srzoo's networks, without modules, views or shared parts. Each function takes the state dict of srzoo's
network under its default options, and images (B, 3, H, W).
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]
MEAN = (0.4488, 0.4371, 0.4040)


def conv(w: Weights, name: str, x: Tensor) -> Tensor:
    """Apply the 3x3 or 1x1 convolution `name`, padded with zeros."""
    kernel = w[f"{name}.weight"]
    return F.conv2d(x, kernel, w.get(f"{name}.bias"), padding=kernel.shape[-1] // 2)


def gates(w: Weights, first: str, second: str, statistic: Tensor) -> Tensor:
    """Compute channel attention from a statistic (B, C, 1, 1) -> (B, C, 1, 1)."""
    return torch.sigmoid(conv(w, second, F.relu(conv(w, first, statistic))))


def imdn(w: Weights, lq: Tensor) -> Tensor:
    """Run IMDN x4."""
    x = head = conv(w, "fea_conv", lq)
    collected = []
    for block in range(1, 7):
        name, rest, kept = f"IMDB{block}", x, []
        for step in range(1, 4):
            out = F.leaky_relu(conv(w, f"{name}.c{step}", rest), 0.05)
            # Distillation: 16 of 64 channels are kept, 48 go on.
            kept.append(out[:, :16])
            rest = out[:, 16:]
        kept.append(conv(w, f"{name}.c4", rest))
        out = torch.cat(kept, 1)
        mean = out.mean((2, 3), keepdim=True)
        deviation = (out - mean).pow(2).mean((2, 3), keepdim=True).sqrt()
        out = out * gates(w, f"{name}.cca.conv_du.0", f"{name}.cca.conv_du.2", mean + deviation)
        x = conv(w, f"{name}.c5", out) + x
        collected.append(x)
    x = F.leaky_relu(conv(w, "c.0", torch.cat(collected, 1)), 0.05)
    x = conv(w, "LR_conv", x) + head
    return F.pixel_shuffle(conv(w, "upsampler.0", x), 4)


def srresnet(w: Weights, lq: Tensor) -> Tensor:
    """Run SRResNet x4."""
    x = F.leaky_relu(conv(w, "conv_first", lq), 0.1)
    for block in range(16):
        x = x + conv(w, f"body.{block}.conv2", F.relu(conv(w, f"body.{block}.conv1", x)))
    x = F.leaky_relu(F.pixel_shuffle(conv(w, "upconv1", x), 2), 0.1)
    x = F.leaky_relu(F.pixel_shuffle(conv(w, "upconv2", x), 2), 0.1)
    x = conv(w, "conv_last", F.leaky_relu(conv(w, "conv_hr", x), 0.1))
    return x + F.interpolate(lq, scale_factor=4, mode="bilinear", align_corners=False)


def rrdb(w: Weights, lq: Tensor) -> Tensor:
    """Run RRDBNet x4 with 23 blocks."""
    x = head = conv(w, "conv_first", lq)
    for block in range(23):
        outer = x
        for dense in ("rdb1", "rdb2", "rdb3"):
            features = [x]
            for step in range(1, 5):
                grown = conv(w, f"body.{block}.{dense}.conv{step}", torch.cat(features, 1))
                features.append(F.leaky_relu(grown, 0.2))
            x = x + 0.2 * conv(w, f"body.{block}.{dense}.conv5", torch.cat(features, 1))
        x = outer + 0.2 * x
    x = head + conv(w, "conv_body", x)
    for name in ("conv_up1", "conv_up2"):
        x = F.leaky_relu(conv(w, name, F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
    return conv(w, "conv_last", F.leaky_relu(conv(w, "conv_hr", x), 0.2))


def _shifted(lq: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract DIV2K's mean and scale to [0, 255]; return the mean too."""
    mean = torch.tensor(MEAN, dtype=lq.dtype, device=lq.device).view(1, 3, 1, 1)  # (1, 3, 1, 1)
    return (lq - mean) * 255, mean


def _subpixel_tail(w: Weights, x: Tensor, mean: Tensor) -> Tensor:
    """Enlarge features by 4 and undo :func:`_shifted`."""
    x = F.pixel_shuffle(conv(w, "upsample.0", x), 2)
    x = F.pixel_shuffle(conv(w, "upsample.2", x), 2)
    return conv(w, "conv_last", x) / 255 + mean


def edsr(w: Weights, lq: Tensor) -> Tensor:
    """Run EDSR (baseline) x4."""
    lq, mean = _shifted(lq)
    x = head = conv(w, "conv_first", lq)
    for block in range(16):
        x = x + conv(w, f"body.{block}.conv2", F.relu(conv(w, f"body.{block}.conv1", x)))
    return _subpixel_tail(w, conv(w, "conv_after_body", x) + head, mean)


def rcan(w: Weights, lq: Tensor) -> Tensor:
    """Run RCAN x4."""
    lq, mean = _shifted(lq)
    x = head = conv(w, "conv_first", lq)
    for group in range(10):
        y = x
        for block in range(20):
            name = f"body.{group}.residual_group.{block}.rcab"
            z = conv(w, f"{name}.2", F.relu(conv(w, f"{name}.0", y)))
            pooled = F.adaptive_avg_pool2d(z, 1)
            y = y + z * gates(w, f"{name}.3.attention.1", f"{name}.3.attention.3", pooled)
        x = x + conv(w, f"body.{group}.conv", y)
    return _subpixel_tail(w, conv(w, "conv_after_body", x) + head, mean)


def srvgg(w: Weights, lq: Tensor) -> Tensor:
    """Run SRVGGNetCompact x4."""
    x = lq
    for number in range(0, 34, 2):
        x = F.prelu(conv(w, f"body.{number}", x), w[f"body.{number + 1}.weight"])
    return F.pixel_shuffle(conv(w, "body.34", x), 4) + F.interpolate(lq, scale_factor=4, mode="nearest")


def d2c(w: Weights, lq: Tensor) -> Tensor:
    """Run D2C-SR x4 with two levels of two branches, and its fusion."""

    def body(node: str, x: Tensor) -> Tensor:
        for group in range(2):
            y = x
            for block in range(4):
                name = f"tree.body{node}.{group}.body.{block}.body"
                z = conv(w, f"{name}.2", F.relu(conv(w, f"{name}.0", y)))
                pooled = F.adaptive_avg_pool2d(z, 1)
                y = y + z * gates(w, f"{name}.3.conv_du.0", f"{name}.3.conv_du.2", pooled)
            x = x + conv(w, f"tree.body{node}.{group}.body.4", y)
        return conv(w, f"tree.body{node}.2", x)

    head = conv(w, "tree.head.0", conv(w, "tree.sub_mean", lq))
    parents = {node: body(node, head) for node in ("1", "2")}
    leaves = []
    for index, leaf in enumerate(("11", "12", "21", "22")):
        x = body(leaf, parents[leaf[0]])
        x = conv(w, f"tree.res_conv{2 * index + 1}", x) + parents[leaf[0]]
        x = conv(w, f"tree.res_conv{2 * index + 2}", x) + head
        x = F.pixel_shuffle(conv(w, f"tree.tail{leaf}.0.0", x), 2)
        x = F.pixel_shuffle(conv(w, f"tree.tail{leaf}.0.2", x), 2)
        leaves.append(conv(w, "tree.add_mean", conv(w, f"tree.tail{leaf}.1", x)))
    x = torch.cat(leaves, 1)
    for layer in range(3):
        x = F.relu(conv(w, f"fusion.fusion_final.{layer}.conv", x))
    shares = x.softmax(1)  # (B, 4, H, W), one map per leaf
    return sum((leaf * shares[:, i : i + 1] for i, leaf in enumerate(leaves)), torch.zeros_like(leaves[0]))
