"""`srzoo upscale`: image files enlarged by a network."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.application import add_application, upscalers_of
from srzoo.commands.arguments import add_overwrite, describe
from srzoo.commands.clips import separate, upscale_clips
from srzoo.commands.network import add_network, named_network

if TYPE_CHECKING:
    from torch import nn

    from srzoo.data.listing import Fault
    from srzoo.infer.gather import Inputs
    from srzoo.infer.jobs import Plan
    from srzoo.infer.targets import Naming


# Suffixes of files that are no images, and no folders either.
_VIDEOS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".gifv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add inputs, output, network, and the way in which it is applied."""
    describe(
        parser,
        "Enlarge images and videos. Without --weights, -opt and --arch a small network that comes with srzoo is used. "
        "Files that cannot be used are listed at the end, and all others are written; the exit code is 0 if there were "
        "none. "
        "Alpha, grey, 16 bits, ICC profiles and resolution are kept, and orientation tags are applied.",
        "photo.jpg",
        "photos -o enlarged --weights IMDN_x4.pth --recursive --skip-existing",
        "'scans/*.tif' -o enlarged --format tiff --outscale 3.5",
        "clip.mp4 -o large.mp4",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="images, folders of them, videos, or patterns ('*.png')"
    )
    parser.add_argument(
        "-o",
        dest="out",
        type=Path,
        metavar="OUT",
        help="folder to write to, or with one input the name of an image or video file (default: beside each input, as "
        "NAME_x2.png)",
    )
    add_network(
        parser,
        without="a small network that comes with srzoo",
        scale="magnification of --arch, or of the network that comes with srzoo: 2, 3 or 4 (default of the latter: 2)",
    )
    add_application(parser)
    _add_files(parser)
    parser.add_argument(
        "--debug", action="store_true", help="print the traceback of the error that ends the run (default: off)"
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that decide which files are read and written."""
    parser.add_argument(
        "--outscale",
        type=float,
        metavar="X",
        help="final magnification: the output is resized bicubically to round(side * X) (default: that of the network)",
    )
    parser.add_argument(
        "--format",
        choices=["png", "jpg", "webp", "tiff"],
        help="of the outputs; PNG, TIFF and WebP are lossless, JPEG has quality 95 (default: by the name OUT, or png)",
    )
    parser.add_argument(
        "--suffix", help="added to the names of outputs (default: _x2 beside the inputs, nothing in another folder)"
    )
    parser.add_argument(
        "--recursive", action="store_true", help="images in sub-folders too, which OUT gets as well (default: off)"
    )
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out images whose output exists (default: stop with an error)",
    )
    add_overwrite(parser, "outputs that exist")
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=500_000_000,
        metavar="N",
        help="refuse larger inputs (default: 500000000) [pixels]",
    )


def run(arguments: Arguments) -> None:
    """Upscale the files.

    Raises:
        FileNotFoundError: an input, weights or options do not exist.
        ValueError: contradicting arguments, no network, outputs that exist or cannot be held by the format.
        UnusedImagesError: images that could not be used; the others are done.
        OSError: outputs cannot be written.
    """
    from srzoo.data.listing import Fault
    from srzoo.engine.log import log_to, logger
    from srzoo.infer.gather import gather

    log_to()
    if arguments.outscale is not None and not (0 < arguments.outscale < math.inf):
        raise ValueError(f"--outscale must be above 0, got {arguments.outscale:g}")
    if arguments.skip_existing and arguments.overwrite:
        raise ValueError("--skip-existing keeps outputs that exist and --overwrite replaces them: give one of them")
    inputs = gather(arguments.inputs, recursive=arguments.recursive, without=_folder_inside(arguments))
    videos, inputs.files = separate(inputs.files)
    net = _network(arguments)
    faults = upscale_clips(arguments, videos, net, not inputs.files) if videos else []
    if videos and not inputs.files:
        return _report(faults)
    naming = _naming(arguments, inputs, net)
    inputs.files, outputs = naming.without_outputs(inputs.files)
    inputs.left_out += [Fault(path, "output of an earlier run") for path in outputs]
    _say_left_out(inputs, arguments.recursive)
    planned = _planned(arguments, inputs, naming)
    if planned.jobs:
        logger.info(f"{len(planned.jobs)} image(s), x{naming.magnification:g}, {_name(net)}")
    elif not planned.faults:
        logger.info(f"nothing left to do: {naming.out or 'outputs lie beside their inputs'}")
    _report([*faults, *_run_jobs(arguments, planned, net, naming.out)])


def _report(faults: "list[Fault]") -> None:
    """Raise UnusedImagesError if there are files that could not be used."""
    from srzoo.data.listing import UnusedImagesError

    if faults:
        raise UnusedImagesError(faults)


def _folder_inside(arguments: Arguments) -> Path | None:
    """Return OUT if it is a folder inside an input folder, whose content is no input then."""
    out: Path | None = arguments.out
    if out is None or not out.is_dir():
        return None
    folders = [Path(word).resolve() for word in arguments.inputs]
    return out if out.resolve() not in folders else None


def _network(arguments: Arguments) -> "nn.Module":
    """Return the network in the form that is deployed, with merged blocks."""
    from srzoo.engine.log import logger
    from srzoo.infer.packaged import packaged_weights, scale_for
    from srzoo.layers.reparam import fused
    from srzoo.weights import load_network

    if arguments.weights or arguments.opt or arguments.arch:
        net = named_network(arguments)
    else:
        if arguments.set:
            raise ValueError("--set overrides options of a network: name it with -opt or --arch")
        scale = arguments.scale or (2 if arguments.outscale is None else scale_for(arguments.outscale))
        file = packaged_weights(scale)
        net = load_network(file)
        logger.info(
            f"weights: {file}, which come with srzoo and are small; larger networks (--weights FILE) are better"
        )
    return fused(net)


def _name(net: "nn.Module") -> str:
    from srzoo.contract import identity_of

    identity = identity_of(net)
    return f"{identity.type} x{identity.scale}"


def _naming(arguments: Arguments, inputs: "Inputs", net: "nn.Module") -> "Naming":
    """Decide where outputs go and in which format.

    Raises:
        ValueError: the name OUT and --format contradict each other.
    """
    from srzoo.contract import identity_of
    from srzoo.images import EXTENSIONS, FORMATS
    from srzoo.infer.targets import Naming

    out: Path | None = arguments.out
    by_suffix = {suffix: kind for kind, known in FORMATS.items() for suffix in known.suffixes}
    single = len(inputs.files) == 1 and inputs.files[0].named
    stated = by_suffix.get(out.suffix.lower()) if out is not None and single and not out.is_dir() else None
    if out is not None and single and not out.is_dir() and not stated and out.suffix.lower() in (*EXTENSIONS, *_VIDEOS):
        raise ValueError(f"{out}: images are written as {', '.join(by_suffix)}; expected such a name, or a folder")
    if stated and arguments.format not in (None, stated):
        raise ValueError(
            f"{out} ends in {out.suffix if out else ''}, but --format says {arguments.format}: leave it out"
        )
    if stated and arguments.suffix is not None:
        raise ValueError(f"{out} is the name of the output: leave out --suffix")
    if out is not None and not stated and out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file, and a folder is needed for the outputs: choose another name")
    if arguments.suffix is not None and ("/" in arguments.suffix or "\0" in arguments.suffix):
        raise ValueError(f"--suffix {arguments.suffix!r}: expected text that a file name can have")
    magnification = arguments.outscale or identity_of(net).scale
    return Naming(out, stated is not None, stated or arguments.format or "png", arguments.suffix, magnification)


def _say_left_out(inputs: "Inputs", recursive: bool) -> None:
    from srzoo.data.folders import summary
    from srzoo.engine.log import logger

    if inputs.left_out:
        hint = "" if recursive else "; --recursive takes sub-folders too"
        needed = any(fault.reason == "sub-folder" for fault in inputs.left_out)
        logger.info(f"left out: {summary(inputs.left_out)}" + hint * needed)


def _planned(arguments: Arguments, inputs: "Inputs", naming: "Naming") -> "Plan":
    """Check all headers and outputs, and say which files are upscaled in part or not at all."""
    from srzoo.engine.log import logger
    from srzoo.infer.jobs import listed, plan, refuse_existing, refuse_unwritable

    result = plan(
        inputs.files,
        naming.targets(inputs.files),
        kind=naming.kind,
        magnification=naming.magnification,
        max_pixels=arguments.max_pixels,
    )
    if arguments.skip_existing:
        before = len(result.jobs)
        result.jobs = [job for job in result.jobs if not job.target.exists()]
        if len(result.jobs) < before:
            logger.info(f"{before - len(result.jobs)} of {before} outputs exist and are kept (--skip-existing)")
    elif not arguments.overwrite:
        refuse_existing(result.jobs)
    refuse_unwritable(result.jobs)
    several = [str(job.source) for job in result.jobs if job.header.has_more]
    if several:
        logger.info(
            f"{len(several)} file(s) with several pictures (frames, pages): the first is taken\n{listed(several)}"
        )
    return result


def _run_jobs(arguments: Arguments, planned: "Plan", net: "nn.Module", out: Path | None) -> "list[Fault]":
    """Upscale the planned files; return those that could not be used."""
    from srzoo.engine.log import logger
    from srzoo.images import console_lock
    from srzoo.infer.files import upscale_all
    from srzoo.progress import Meter

    faults = list(planned.faults)
    if planned.jobs:
        upscalers = upscalers_of(arguments, net)
        meter = Meter("upscale", len(planned.jobs), console_lock)
        try:
            written, failed = upscale_all(planned.jobs, upscalers, meter, max_pixels=arguments.max_pixels)
        finally:
            meter.close()
        faults += failed
        conditions = (f"{name} {value}" for name, value in upscalers[0].describe().items() if value is not None)
        logger.info(", ".join(conditions))
        place = out if out is not None else planned.jobs[0].target.parent
        logger.info(
            f"wrote {len(written)} of {len(planned.jobs)} image(s), {meter.rate()}: "
            f"{written[0].target if len(written) == 1 else place}"
        )
    return faults
