"""`srzoo data subimages`: overlapping tiles of training images."""

import argparse
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import describe
from srzoo.commands.preparation import add_preparation, prepare, yaml_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folders and the grid."""
    describe(
        parser,
        "Cut training images into overlapping sub-images, which are read faster: OUT/NAME_s001.png, NAME_s002.png, ... "
        "row by row, on the grid of BasicSR's script; the last row and column lie flush with the border. Pixels, "
        "depth, grey, alpha and colour profile stay as they are. With --lq, LQ files NAME or NAMExN are cut alike, "
        "and tiles go to OUT/GT and OUT/LQ.",
        "datasets/DIV2K/train_HR datasets/DIV2K/train_HR_sub",
        "datasets/Flickr2K/HR datasets/Flickr2K/HR_sub --size 512 --step 512",
        "datasets/DIV2K/train_HR datasets/DIV2K/pairs_sub --lq datasets/DIV2K/LRbicx4 --scale 4",
    )
    parser.add_argument("images", type=Path, metavar="IN", help="folder of images (GT); sub-folders are searched too")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write the sub-images to")
    parser.add_argument("--size", type=int, default=480, help="side of a sub-image [GT pixels] (default: 480)")
    parser.add_argument("--step", type=int, default=240, help="from one to the next [GT pixels] (default: 240)")
    parser.add_argument(
        "--thresh",
        type=int,
        default=0,
        help="widest strip at the right or bottom that is left out [GT pixels]; a wider one gets a tile flush with the "
        "border (default: 0)",
    )
    parser.add_argument("--lq", type=Path, metavar="DIR", help="folder of LQ images to cut alike (default: none)")
    parser.add_argument("--scale", type=int, metavar="N", help="GT size divided by LQ size, with --lq (default: none)")
    add_preparation(parser)


def run(arguments: Arguments) -> None:
    """Write the sub-images.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: a grid that does not fit, OUT inside IN, files made with other settings, or images that cannot be
            used.
    """
    from srzoo.data.prepare.sub_images import Grid, sub_image_jobs

    if (arguments.lq is None) != (arguments.scale is None):
        raise ValueError("--lq DIR and --scale N belong together: give both or neither")
    grid = Grid(arguments.size, arguments.step, arguments.thresh, 1 if arguments.lq is None else arguments.scale)
    jobs, faults = sub_image_jobs(arguments.images, arguments.out, grid, arguments.lq)
    out = arguments.out
    gt, lq = (out, None) if arguments.lq is None else (out / "GT", out / "LQ")
    line = f"gt: {yaml_path(gt)}" + ("}" if lq is None else f", lq: {yaml_path(lq)}}}")
    kind = "GTImages" if lq is None else "PairedImages"
    prepare(jobs, faults, arguments, "subimages", [f"{{type: {kind}, {line}"])
