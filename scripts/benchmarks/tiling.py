"""Outputs in tiles against outputs of whole images, in dB, over the overlap; the tables of docs/tiling.md.

python scripts/benchmarks/tiling.py --data DIR --weights DIR [--tile 48] [--images 1]

DIR of data holds Set5/LRbicx2 (see docs/datasets.md), DIR of weights the files that the networks' authors released.
Networks without released weights here get random ones, drawn so that every layer keeps the variance of its input.
"""

import argparse
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from srzoo.contract import PlainValue, contract_of
from srzoo.images import read_image, to_tensor
from srzoo.infer.tile import TileRule
from srzoo.infer.upscale import Upscaler
from srzoo.registry import ARCHS
from srzoo.weights import load_weights

OVERLAPS = (0, 8, 16, 32)
# (network, options, scale, released weights or None)
Case = tuple[str, dict[str, PlainValue], int, str | None]
UNBOUNDED: list[Case] = [
    ("IMDN", {}, 2, "IMDN_x2.pth"),
    ("IMDN", {}, 3, "IMDN_x3.pth"),
    ("IMDN", {}, 4, "IMDN_x4.pth"),
    ("IMDN_AS", {}, 1, "IMDN_AS.pth"),
    ("RCAN", {"num_group": 2, "num_block": 4}, 2, None),
    ("D2CNet", {"num_feat": 32, "num_group": 1, "num_block": 2}, 2, None),
    ("DRCT", {"embed_dim": 60, "depths": [6, 6], "num_heads": [6, 6], "window_size": 8, "gc": 16}, 2, None),
]
BOUNDED: list[Case] = [
    ("Bicubic", {}, 2, None),
    ("RT4KSR", {}, 2, "rt4ksr_x2.pth"),
    ("RT4KSR", {}, 3, "rt4ksr_x3.pth"),
    ("IMDN_RTC", {}, 2, "model_RTC.pth"),
    ("IMDN_RTE", {"img_range": 255.0}, 2, "model_RTE.pth"),
    ("IMDNPlus", {}, 4, "IMDN_plus_x4.pth"),
    ("SRVGGNetCompact", {"num_conv": 16}, 2, None),
    ("SRResNet", {"num_block": 4}, 2, None),
    ("EDSR", {"num_block": 4}, 2, None),
    ("RRDBNet", {"num_block": 2}, 2, None),
    ("D2CNet", {"backbone": "EDSR", "num_feat": 32, "num_group": 1, "num_block": 2}, 2, None),
]


def network(case: Case, weights: Path) -> nn.Module:
    """Build a network with its released weights, or with random ones."""
    name, options, scale, file = case
    torch.manual_seed(0)
    net = ARCHS.build(name, options, scale=scale).eval()
    if file is not None:
        load_weights(net, weights / file)
        return net
    for parameter in net.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.8 / math.sqrt(parameter[0].numel()))
    return net


def decibels(one: Tensor, other: Tensor) -> float:
    """Return the PSNR between two outputs, as they would be saved without rounding."""
    error = float((one.clamp(0, 1) - other.clamp(0, 1)).square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def against_whole(
    net: nn.Module, images: Sequence[Tensor], wholes: Sequence[Tensor], tile: int, overlap: int, rule: TileRule
) -> str:
    """Return the PSNR of tiles against whole images, mean over images, as text; a dash for tiles that are refused."""
    try:
        upscaler = Upscaler(net, tile=tile, overlap=overlap, tile_rule=rule)
    except ValueError:
        return "-"
    values = [decibels(upscaler(image), whole) for image, whole in zip(images, wholes, strict=True)]
    return f"{sum(values) / len(values):.1f}"


def row(cells: Sequence[str]) -> None:
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds Set5")
    parser.add_argument("--weights", type=Path, required=True, help="folder of released weights")
    parser.add_argument("--tile", type=int, default=48, help="side of the tiles [LQ pixels]")
    parser.add_argument("--images", type=int, default=1, help="number of images, the smallest first")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    files = sorted((arguments.data / "Set5" / "LRbicx2").glob("*.png"))
    images = [to_tensor(read_image(file).rgb)[None] for file in files]
    images = sorted(images, key=Tensor.numel)[: arguments.images]
    sizes = ", ".join(f"{image.shape[-1]}x{image.shape[-2]}" for image in images)
    sys.stdout.write(f"torch {torch.__version__}; tiles of {arguments.tile}; images of {sizes} pixels\n\n")
    row(["network", "weights", "tiles", *(f"overlap {overlap}" for overlap in OVERLAPS)])
    row(["---"] * (3 + len(OVERLAPS)))
    for case in UNBOUNDED:
        net = network(case, arguments.weights)
        wholes = [Upscaler(net, tile=0)(image) for image in images]
        rules: tuple[tuple[str, TileRule], ...] = (("blended", "exact"), ("cut", "drct"))
        for word, rule in rules:
            values = [against_whole(net, images, wholes, arguments.tile, overlap, rule) for overlap in OVERLAPS]
            row([f"{case[0]} x{case[2]}", case[3] or "random", word, *values])
    sys.stdout.write("\n")
    row(["network", "weights", "receptive radius", "largest difference", "dB at overlap 8"])
    row(["---"] * 5)
    for case in BOUNDED:
        net = network(case, arguments.weights)
        wholes = [Upscaler(net, tile=0)(image) for image in images]
        exact = Upscaler(net, tile=arguments.tile)
        most = max(float((exact(image) - whole).abs().max()) for image, whole in zip(images, wholes, strict=True))
        scaled = most / max(1.0, max(float(whole.abs().max()) for whole in wholes))
        less = against_whole(net, images, wholes, arguments.tile, 8, "exact")
        radius = contract_of(net).receptive_radius
        row([f"{case[0]} x{case[2]}", case[3] or "random", str(radius), f"{scaled:.0e}", less])


if __name__ == "__main__":
    main()
