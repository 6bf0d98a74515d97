"""Videos upscaled frame by frame; decoding, computing and encoding overlap."""

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from srzoo.images import FileLayout
from srzoo.infer.picture import OpenPicture, output_size, upscaled_bands
from srzoo.infer.upscale import Upscaler
from srzoo.progress import Meter
from srzoo.video import Video, frame_reader, frame_writer

logger = logging.getLogger("srzoo")


def upscale_clip(clip: Video, upscaler: Upscaler, path: Path, magnification: float, meter: Meter) -> None:
    """Upscale every frame of a video, and write them with its rate, colours and sound.

    Frames are streamed: a few are in memory at a time.

    Args:
        clip: the video.
        upscaler: of frames.
        path: to write; appears whole or not at all.
        magnification: of each side.
        meter: counts the frames.

    Raises:
        OSError: the output cannot be written.
        ValueError: the video is damaged, or the network cannot take its frames.
    """
    size = output_size(clip.size, magnification)
    layout = FileLayout(*size, 3, 8 if clip.bits == 8 else 16)
    with (
        frame_reader(clip) as reader,
        frame_writer(path, clip, size) as writer,
        ThreadPoolExecutor(1) as reading,
        ThreadPoolExecutor(1) as writing,
    ):
        coming, going = reading.submit(reader.read), Future[None]()
        going.set_result(None)
        while (frame := coming.result()) is not None:
            coming = reading.submit(reader.read)
            picture = OpenPicture(clip.size, frame)
            output = np.concatenate(list(upscaled_bands(upscaler, picture, layout, in_strips=False)))
            going.result()
            going = writing.submit(writer.write, output)
            meter.add(size[0] * size[1])
        going.result()
