"""`srzoo data degrade`: LQ images with the test degradations of Reflash Dropout."""

import argparse
import sys
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two folders, the degradations and the scale."""
    describe(
        parser,
        "Make LQ images from GT images with the eight test degradations of Reflash Dropout: bicubic or blur2_bicubic "
        "(Gaussian blur of sigma 2 first), alone or followed by _noise20, _jpeg50 or _noise20_jpeg50. Files without "
        "noise equal the authors'. The noise of an image depends on its name only, so that everyone gets the same "
        "files.",
        "datasets/Set5/GT datasets/Set5_degraded --kinds bicubic blur2_bicubic_noise20",
    )
    parser.add_argument("gt", type=Path, metavar="GT", help="folder of GT images, 8 bits")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write OUT/<kind>/<name>.png to")
    parser.add_argument(
        "--kinds",
        nargs="+",
        default=["all"],
        metavar="KIND",
        help="degradations to make (default: all)",
    )
    parser.add_argument(
        "--kernel",
        choices=["pillow", "matlab"],
        default="pillow",
        help="filter of the reduction: Pillow's bicubic, as the authors use, or MATLAB's, as in the classic LR files "
        "(default: pillow)",
    )
    parser.add_argument("--scale", type=int, default=4, help="GT size divided by LQ size (default: 4)")


def run(arguments: Arguments) -> None:
    """Write the images.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: an unknown degradation, a scale below 1, a target that exists, or images that cannot be used.
    """
    if arguments.scale < 1:
        raise ValueError(f"--scale must be at least 1, got {arguments.scale}")
    from tqdm import tqdm

    from srzoo.data.degrade import KINDS, degrade_folder

    kinds = KINDS if arguments.kinds == ["all"] else tuple(arguments.kinds)
    files = degrade_folder(arguments.gt, arguments.out, kinds, arguments.scale, arguments.kernel)
    written = 0
    try:
        for _ in tqdm(files, unit="img"):
            written += 1
    finally:  # images that cannot be used are reported after the others are written
        if written:
            sys.stdout.write(f"wrote {written} images to {arguments.out}\n")
