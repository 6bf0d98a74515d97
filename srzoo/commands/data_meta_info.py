"""`srzoo data meta-info`: BasicSR's lists of images with their sizes."""

import argparse
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import describe
from srzoo.commands.preparation import add_list, write_list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder, the templates and the file to write."""
    describe(
        parser,
        "Write a BasicSR meta_info file, `name.png (H,W,C)` in a line, for `meta_info:` of datasets. Sizes come from "
        "headers: no image is decoded.",
        "datasets/DIV2K/train_HR_sub -o datasets/DIV2K/meta_info_DIV2K_sub.txt",
        "'datasets/RealSR(V3)' --template realsr --only '*/Test/4/*' -o datasets/RealSR/meta_info_test_x4.txt",
    )
    parser.add_argument("gt", type=Path, metavar="DIR", help="folder of GT images; sub-folders are searched too")
    add_list(parser)


def run(arguments: Arguments) -> None:
    """Write the list.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: arguments that contradict each other, no image of the form, a list that exists, or images at fault.
    """
    from srzoo.data.prepare.lists import meta_info, templates_of

    if arguments.template is None:
        templates = [arguments.gt_template or "{}"]
    elif arguments.gt_template is not None:
        raise ValueError("--template names the files by itself: leave out --gt-template")
    else:
        templates = [gt for gt, _ in templates_of(arguments.template, 1)]
    lines = meta_info(arguments.gt, templates, arguments.only)
    write_list(lines, arguments, "images", f"no image of this form in {arguments.gt}")
