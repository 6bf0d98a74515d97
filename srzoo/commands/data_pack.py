"""`srzoo data pack`: a folder of images as a pack or an LMDB database."""

import argparse
import sys
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import add_overwrite, add_workers, describe
from srzoo.commands.preparation import add_dry_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two paths, the form of the store and the switches."""
    describe(
        parser,
        "Pack a folder of images, so that training reads it without opening and decoding files. OUT is named where the "
        "folder was, `gt: OUT`, and gives the same samples bit for bit. A run that was interrupted is continued by the "
        "same command; a complete pack is left as it is. With --verify and without OUT, an existing pack is checked.",
        "datasets/DIV2K/train_HR datasets/DIV2K/train_HR.pack",
        "datasets/Set5/GT datasets/Set5/GT.lmdb --store lmdb --dry-run",
    )
    parser.add_argument("source", type=Path, metavar="IN", help="folder of images; sub-folders are packed too")
    parser.add_argument("out", type=Path, metavar="OUT", nargs="?", help="folder of the pack (default: none)")
    parser.add_argument(
        "--store",
        choices=["mmap", "lmdb"],
        default="mmap",
        help="mmap: srzoo's memory-mapped pack; lmdb: BasicSR's database, data.mdb and meta_info.txt (default: mmap)",
    )
    parser.add_argument(
        "--codec",
        choices=["raw", "png", "webp"],
        help="raw: pixels, of which a crop reads only its own; png, webp: compressed without loss (default: raw, png "
        "for lmdb)",
    )
    parser.add_argument("--shard-size", default="4GB", metavar="SIZE", help="largest file of a pack (default: 4GB)")
    add_workers(parser)
    parser.add_argument(
        "--verify", action="store_true", help="read the pack again, and compare checksums (default: off)"
    )
    add_dry_run(parser)
    add_overwrite(parser, "a pack of other images")


def run(arguments: Arguments) -> None:
    """Write and check the pack.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: another store is at OUT, or images that cannot be used.
        OSError: the disk is full, or would be.
    """
    from srzoo.data.listing import UnusedImagesError
    from srzoo.data.storage.packing import plan_packing, remove_store, shard_bytes
    from srzoo.progress import shown

    if arguments.out is None:
        if not arguments.verify:
            raise ValueError("name the folder to write, OUT; to check an existing pack, add --verify")
        _verify(arguments.source)
        return
    packing = plan_packing(
        arguments.source,
        arguments.out,
        form=arguments.store,
        codec=arguments.codec or ("png" if arguments.store == "lmdb" else "raw"),
        shard_size=shard_bytes(arguments.shard_size),
        overwrite=arguments.overwrite,
    )
    count = len(packing.files)
    if packing.complete:
        sys.stdout.write(f"{packing.out} holds the {count} images of {packing.source} already\n")
    else:
        needed, faults = packing.estimate()
        packing.refuse_full_disk(needed)
        left_out = f"; left out: {len(packing.left_out)} other files" if packing.left_out else ""
        done = f", {packing.num_done} are packed already" if packing.num_done else ""
        sys.stdout.write(
            f"{packing.source}: {count} images{done}; {packing.out} takes about {needed / 1e6:,.1f} MB{left_out}\n"
        )
        if arguments.dry_run:
            if faults:
                raise UnusedImagesError(faults)
            return
        if arguments.overwrite:
            remove_store(packing.out)
        for _ in shown(packing.write(arguments.workers), "packing", count):
            pass
        written = sum(file.stat().st_size for file in packing.out.iterdir())
        sys.stdout.write(f"packed {count} images to {packing.out}, {written / 1e6:,.1f} MB\n")
    if arguments.verify:
        _verify(packing.out)


def _verify(path: Path) -> None:
    """Read all images of a store.

    Raises:
        ValueError: no store, or damaged images.
    """
    from srzoo.data.storage import open_store
    from srzoo.data.storage.packing import damaged_images
    from srzoo.progress import shown

    store = open_store(path)
    if store is None:
        raise ValueError(f"{path} is neither a pack nor an LMDB database")
    found = list(shown(damaged_images(store), "verifying", len(store.names)))
    faults = [fault for fault in found if fault is not None]
    if faults:
        lines = "".join(f"\n  {fault.file}: {fault.reason}" for fault in faults)
        raise ValueError(
            f"{len(faults)} of {len(found)} images are damaged: pack the folder anew with --overwrite{lines}"
        )
    sys.stdout.write(f"{path}: {len(found)} images are whole\n")
