"""The part of `srzoo upscale` that deals with videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.application import upscalers_of

if TYPE_CHECKING:
    from torch import nn

    from srzoo.data.listing import Fault
    from srzoo.infer.gather import InputFile


def separate(files: "Sequence[InputFile]") -> "tuple[list[InputFile], list[InputFile]]":
    """Return (videos, other files)."""
    from srzoo.video import is_video

    videos = [file for file in files if is_video(file.path)]
    return videos, [file for file in files if file not in videos]


def upscale_clips(arguments: Arguments, files: "Sequence[InputFile]", net: "nn.Module", alone: bool) -> "list[Fault]":
    """Upscale videos one after the other; return those that could not be used.

    Args:
        arguments: of the command line.
        files: the videos.
        net: the network.
        alone: there is no other input, so that OUT may be the name of a file.

    Raises:
        ValueError: outputs that exist, that are inputs, or that have a suffix of no video.
    """
    from srzoo.contract import identity_of
    from srzoo.data.listing import Fault
    from srzoo.engine.log import logger
    from srzoo.images import console_lock
    from srzoo.infer.clip import upscale_clip
    from srzoo.infer.jobs import listed, reason
    from srzoo.progress import Meter
    from srzoo.video import probe

    magnification = arguments.outscale or identity_of(net).scale
    targets = [_target(arguments, file, magnification, alone and len(files) == 1) for file in files]
    _refuse(files, targets)
    existing = [target for target in targets if target.exists()]
    if existing and not (arguments.overwrite or arguments.skip_existing):
        raise ValueError(
            f"{len(existing)} outputs exist, so that nothing was written: replace them with --overwrite, or keep them "
            f"with --skip-existing:\n{listed(list(map(str, existing)))}"
        )
    upscaler = upscalers_of(arguments, net)[0]
    faults: list[Fault] = []
    for file, target in zip(files, targets, strict=True):
        if target in existing and arguments.skip_existing:
            logger.info(f"{target} exists and is kept (--skip-existing)")
            continue
        try:
            clip = probe(file.path)
            if clip.other_streams:
                logger.warning(f"{file.path}: not carried over: {', '.join(clip.other_streams)} streams")
            meter = Meter(f"upscale {file.path.name}", clip.frames, console_lock)
            try:
                upscale_clip(clip, upscaler, target, magnification, meter)
            finally:
                meter.close()
        except ValueError as error:
            faults.append(Fault(file.path, reason(error, file.path)))
            continue
        logger.info(f"wrote {clip.frames} frames, {meter.rate()}: {target}")
    return faults


def _target(arguments: Arguments, file: "InputFile", magnification: float, single: bool) -> Path:
    """Return the output of a video: OUT itself, or a name in the folder OUT or beside the input."""
    from srzoo.video import SUFFIXES

    out: Path | None = arguments.out
    if out is not None and single and out.suffix and not out.is_dir():
        if out.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{out}: videos are written as {', '.join(SUFFIXES)}; {file.path} is a video")
        return out
    suffix = file.path.suffix if file.path.suffix.lower() in SUFFIXES else ".mp4"
    added = arguments.suffix if arguments.suffix is not None else f"_x{magnification:g}" if out is None else ""
    folder = file.path.parent if out is None else out / file.name.parent
    return folder / f"{file.path.stem}{added}{suffix}"


def _refuse(files: "Sequence[InputFile]", targets: Sequence[Path]) -> None:
    """Refuse outputs that would replace an input or each other."""
    sources = {file.path.resolve(): file.path for file in files}
    for number, target in enumerate(targets):
        if target.resolve() in sources:
            raise ValueError(
                f"{sources[target.resolve()]} is an input, and would be replaced by an output: choose another folder "
                "with -o, or add to the names of outputs with --suffix _x2"
            )
        if target in targets[:number]:
            first = files[targets.index(target)].path
            raise ValueError(f"{first} and {files[number].path} would both be written to {target}: upscale them apart")
