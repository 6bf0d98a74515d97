"""Draw bicubic, a network's output and the ground truth side by side, labelled with their PSNR.

    python scripts/picture.py photo.png --weights weights/IMDN_x4.pth -opt options/test/imdn/IMDN_x4.yml -o picture.png

LQ is the MATLAB-exact bicubic reduction of the photograph; the PSNR (protocol basicsr-y) is that of the whole image.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from srzoo import load_network, load_weights
from srzoo.components import build_network
from srzoo.contract import identity_of
from srzoo.images import read_image, to_tensor, to_uint8, write_image
from srzoo.metrics.psnr import PSNR
from srzoo.ops.resize import imresize
from srzoo.options import load_options

GAP, CAPTION = 8, 30  # [pixels]


def labelled_row(images: Sequence[np.ndarray], labels: Sequence[str], enlarge: int) -> np.ndarray:
    """Put images of one size beside each other, each under its label: (H, W, 3) uint8 each -> (H', W', 3) uint8."""
    height, width = (enlarge * side for side in images[0].shape[:2])
    canvas = np.full((height + CAPTION, len(images) * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, image in enumerate(images):
        left = number * (width + GAP)
        canvas[CAPTION:, left : left + width] = image.repeat(enlarge, 0).repeat(enlarge, 1)
    picture = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=18)
    for number, label in enumerate(labels):
        draw.text((number * (width + GAP) + width / 2, CAPTION / 2), label, "black", font, anchor="mm")
    return np.asarray(picture)


def compared(net: nn.Module, scale: int, gt: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Enlarge the reduced photograph by bicubic and by `net`; return (label, image), the ground truth last."""
    height, width = (side - side % scale for side in gt.shape[:2])
    target = torch.from_numpy(np.ascontiguousarray(gt[:height, :width].transpose(2, 0, 1)))  # (3, H, W)
    lq = imresize(target, 1 / scale)[None].float() / 255  # (1, 3, h, w)
    metric, reference = PSNR(scale=scale), to_tensor(gt[:height, :width])[None]
    with torch.inference_mode():
        outputs = {"bicubic": imresize(lq, scale), f"srzoo: {type(net).__name__} x{scale}": net.eval()(lq)}
    rows = [(f"{name}  {float(metric(sr, reference)):.2f} dB", to_uint8(sr[0])) for name, sr in outputs.items()]
    return [*rows, ("ground truth", gt[:height, :width])]


def main() -> None:
    """Read the arguments, compute, write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("photograph", type=Path, help="ground truth, an 8-bit image")
    parser.add_argument("--weights", type=Path, required=True, help="weights of the network")
    parser.add_argument("-opt", type=Path, help="option file that names the network, for weights of other programs")
    parser.add_argument("--window", default="0,0,120", metavar="Y,X,SIDE", help="part to show (default: 0,0,120)")
    parser.add_argument("--enlarge", type=int, default=2, help="magnify the part, pixel by pixel (default: 2)")
    parser.add_argument("-o", "--out", type=Path, required=True, help="picture to write (.png)")
    arguments = parser.parse_args()
    if arguments.opt is None:
        net = load_network(arguments.weights)
    else:
        net = build_network(load_options(arguments.opt, (), "network").options)
        load_weights(net, arguments.weights)
    top, left, side = map(int, arguments.window.split(","))
    rows = compared(net, identity_of(net).scale, read_image(arguments.photograph).rgb)
    crops = [image[top : top + side, left : left + side] for _, image in rows]
    write_image(arguments.out, labelled_row(crops, [label for label, _ in rows], arguments.enlarge))


if __name__ == "__main__":
    main()
