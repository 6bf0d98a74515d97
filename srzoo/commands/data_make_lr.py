"""`srzoo data make-lr`: LR files from GT, bit for bit as published ones."""

import argparse
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import describe
from srzoo.commands.preparation import add_preparation, prepare, yaml_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two folders, the scales and the kernel."""
    describe(
        parser,
        "Make LR (LQ) files from GT files. GT is cropped at the bottom and right to a multiple of the scale, as by "
        "datasets. Files are PNG with the depth, grey, alpha and colour profile of GT. The default kernel is MATLAB's, "
        "by which the classic LR files come out bit for bit.",
        "datasets/Set5/GT datasets/Set5 --scale 2,3,4",
        "datasets/DIV2K/train_HR datasets/DIV2K --scale 4 --kernel pil",
    )
    parser.add_argument("gt", type=Path, metavar="GT", help="folder of GT images; sub-folders are searched too")
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="folder to write OUT/LRbicx2/NAMEx2.png to, where the option files look; other kernels go to "
        "LRmatlab-legacyx2, LRpilx2 and LRareax2",
    )
    parser.add_argument("--scale", required=True, metavar="N[,N...]", help="GT size divided by LR size, e.g. 2,3,4")
    parser.add_argument(
        "--kernel",
        choices=["matlab", "matlab-legacy", "pil", "area"],
        default="matlab",
        help="matlab: imresize, bicubic; matlab-legacy: with the replicated border of older releases; pil: Pillow's "
        "bicubic; area: block means, OpenCV (default: matlab)",
    )
    add_preparation(parser)


def run(arguments: Arguments) -> None:
    """Write the LR files.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: a wrong scale, OUT inside GT, files made with other settings, or images that cannot be used.
    """
    from srzoo.data.prepare.lr_files import lr_folder, lr_jobs

    words = arguments.scale.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise ValueError(f"--scale: expected whole numbers such as 2,3,4, got {arguments.scale!r}")
    scales = list(dict.fromkeys(map(int, words)))
    jobs, faults = lr_jobs(arguments.gt, arguments.out, scales, arguments.kernel)
    kernel = "" if arguments.kernel == "matlab" else f", lq_kernel: {arguments.kernel}"
    lines = [
        f"{{type: PairedImages, gt: {yaml_path(arguments.gt)}, "
        f"lq: {yaml_path(arguments.out / lr_folder(scale, arguments.kernel))}, "
        f'lq_template: "{{}}x{scale}"{kernel}}}'
        for scale in scales
    ]
    prepare(jobs, faults, arguments, "make-lr", lines)
