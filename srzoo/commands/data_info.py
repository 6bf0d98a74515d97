"""`srzoo data info`: summary of a folder of images."""

import argparse
import json
import sys
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overwrite, add_workers, check_target, describe
from srzoo.commands.preparation import add_dry_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder and the forms of the summary."""
    describe(
        parser,
        "Summarise a folder of images: number, sizes, formats, modes, depths, pixels, mean values, files of equal "
        "content, problems; with -o also as a contact sheet.",
        "datasets/DIV2K/train_HR -o div2k.png",
        "datasets/Set5/GT --json",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of images; sub-folders are searched too")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="contact sheet to write, PNG (default: none)")
    parser.add_argument(
        "--pictures",
        type=int,
        default=100,
        metavar="N",
        help="images on the contact sheet, evenly chosen (default: 100)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON (default: text)")
    parser.add_argument(
        "--headers", action="store_true", help="read headers and file ends alone (default: decode every image)"
    )
    add_workers(parser)
    add_dry_run(parser)
    add_overwrite(parser, "FILE")


def run(arguments: Arguments) -> None:
    """Print the summary and write the contact sheet.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: a contact sheet that exists, or a wrong number.
        UnusedImagesError: images with problems; the summary is printed first.
    """
    from srzoo.data.listing import UnusedImagesError
    from srzoo.data.prepare.contact_sheet import contact_sheet
    from srzoo.data.prepare.summary import summarise
    from srzoo.images import write_image

    if arguments.pictures < 1:
        raise ValueError(f"--pictures must be at least 1, got {arguments.pictures}")
    sheet = arguments.out
    if sheet is not None:
        check_target(sheet, arguments.overwrite, (".png",))
    num_thumbnails = arguments.pictures if sheet is not None and not arguments.dry_run else 0
    found = summarise(
        arguments.folder,
        decode=not arguments.headers,
        num_thumbnails=num_thumbnails,
        workers=arguments.workers,
    )
    sys.stdout.write((json.dumps(found.as_json(), indent=2) if arguments.json else found.text()) + "\n")
    if sheet is not None and arguments.dry_run:
        sys.stderr.write(f"would write {sheet}, a contact sheet\n")
    elif sheet is not None and found.thumbnails:
        write_image(sheet, contact_sheet(found.thumbnails))
        sys.stderr.write(f"wrote {sheet}: {len(found.thumbnails)} images\n")
    if found.problems:
        raise UnusedImagesError(found.problems)
