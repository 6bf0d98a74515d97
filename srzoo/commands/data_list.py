"""`srzoo data list`: lists of pairs of LQ and GT files."""

import argparse
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import describe
from srzoo.commands.preparation import add_list, write_list


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folders, the templates and the file to write."""
    describe(
        parser,
        "Write a list of pairs as D2C-SR reads them, `lq_path gt_path` in a line, for `pairs:` of PairedImages. Sizes "
        "are checked. Pairs are found by the names of their files: of two folders, of one with both, or of one with "
        "halves named HR and LR.",
        "'datasets/RealSR(V3)' --template realsr --scale 4 --only '*/Test/*' -o datasets/RealSR/test_x4.txt",
        "datasets/DRealSR/Test_x4 --template drealsr --scale 4 -o datasets/DRealSR/test_x4.txt",
        "datasets/Set5/GT datasets/Set5/LRbicx2 --lq-template '{}x2' --scale 2 --relative -o datasets/Set5/x2.txt",
    )
    parser.add_argument("gt", type=Path, metavar="GT", help="folder of GT images; sub-folders are searched too")
    parser.add_argument("lq", type=Path, metavar="LQ", nargs="?", help="folder of LQ images (default: GT holds both)")
    parser.add_argument("--lq-template", metavar="STEM", help="stem of LQ files, e.g. '{}x4' (default: {})")
    parser.add_argument(
        "--relative", action="store_true", help="write paths relative to the list (default: absolute, as D2C-SR needs)"
    )
    parser.add_argument(
        "--scale",
        type=int,
        metavar="N",
        help="GT size divided by LQ size, which is checked; part of the LQ names of --template (default: not checked)",
    )
    add_list(parser)


def run(arguments: Arguments) -> None:
    """Write the list.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: arguments that contradict each other, no pair, a list that exists, or images at fault.
    """
    from srzoo.data.prepare.lists import pair_list, templates_of

    own = arguments.gt_template is not None or arguments.lq_template is not None
    if arguments.template is None:
        templates = [(arguments.gt_template or "{}", arguments.lq_template or "{}")]
    elif own:
        raise ValueError("--template names the files itself: leave out --gt-template and --lq-template")
    elif arguments.scale is None:
        raise ValueError("--template needs the scale, which is part of the names of LQ files: add --scale N")
    else:
        templates = templates_of(arguments.template, arguments.scale)
    if arguments.relative and arguments.out is None:
        raise ValueError("--relative needs a list that paths are relative to: name it with -o")
    lines = pair_list(
        arguments.gt,
        arguments.lq,
        templates,
        scale=arguments.scale,
        only=arguments.only,
        relative_to=arguments.out.parent if arguments.relative else None,
    )
    write_list(lines, arguments, "pairs", f"no pair in {arguments.gt}")
