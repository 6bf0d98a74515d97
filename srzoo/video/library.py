"""The package av (PyAV), which brings ffmpeg's libraries: facts of files, by the names of ffprobe.

It takes the place of the program ffmpeg where that is not installed.
"""

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from srzoo.video.programs import file_name

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

# Numbers of ITU-T H.273, as the libraries have them -> names, as the programs have them. 2 is unspecified.
NAMES: Mapping[str, Mapping[int, str]] = {
    "color_space": {
        0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
        10: "bt2020c", 14: "ictcp",
    },
    "color_range": {1: "tv", 2: "pc"},
    "color_transfer": {
        1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
        11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
        17: "smpte428", 18: "arib-std-b67",
    },
    "color_primaries": {
        1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
        11: "smpte431", 12: "smpte432", 22: "ebu3213",
    },
}  # fmt: skip
# Option of ffmpeg -> attribute of a codec context, kind of name.
TAGS = {
    "colorspace": ("colorspace", "color_space"),
    "color_range": ("color_range", "color_range"),
    "color_trc": ("color_trc", "color_transfer"),
    "color_primaries": ("color_primaries", "color_primaries"),
}
# Rotation of a frame, counterclockwise -> filters that show it upright.
UPRIGHT: Mapping[int, tuple[tuple[str, str], ...]] = {
    0: (),
    90: (("transpose", "cclock"),),
    180: (("hflip", ""), ("vflip", "")),
    270: (("transpose", "clock"),),
}


def installed() -> bool:
    """Return True if the package is there."""
    return importlib.util.find_spec("av") is not None


def description(path: Path) -> str:
    """Return the facts of a file as JSON like ffprobe's.

    Raises:
        ValueError: not a video, or a damaged one.
    """
    with opened(path) as container:
        streams = [_stream_facts(stream) for stream in container.streams]
        told = {"streams": streams, "format": {"start_time": (container.start_time or 0) / 1e6}}
        videos = [facts for facts in streams if facts["codec_type"] == "video" and not facts["disposition"]]
        frame = _first_frame(path, container, int(str(videos[0]["index"]))) if videos else None
    if frame is not None:
        videos[0]["side_data_list"] = [{"rotation": frame.rotation}]
        if frame.interlaced_frame:
            videos[0]["field_order"] = "interlaced"
        if frame.rotation % 360 not in UPRIGHT or _is_mirrored(frame):
            raise ValueError(f"{path} is to be shown mirrored or at an angle, which needs the program ffmpeg")
    return json.dumps(told)


def opened(path: Path) -> "InputContainer":
    """Open a file; ValueError if it is not a video."""
    import av
    from av.error import FFmpegError

    try:
        return av.open(file_name(path))
    except (FFmpegError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a video that ffmpeg's libraries can read: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Return the reason that the libraries give, without a number and a file's name."""
    return str(getattr(error, "strerror", "") or error)


def _stream_facts(stream: "Stream") -> dict[str, object]:
    from av.video.stream import VideoStream

    facts: dict[str, object] = {"codec_type": stream.type, "index": stream.index}
    base = stream.time_base or Fraction(1)
    facts |= {"time_base": _text(base), "start_time": float((stream.start_time or 0) * base)}
    if not isinstance(stream, VideoStream):
        return facts
    context = stream.codec_context
    is_cover = "attached_pic" in str(stream.disposition)
    facts |= {"disposition": {"attached_pic": 1} if is_cover else {}, "width": context.width, "height": context.height}
    facts |= {"pix_fmt": context.pix_fmt or "", "sample_aspect_ratio": str(stream.sample_aspect_ratio or 1)}
    facts |= {"r_frame_rate": _text(stream.base_rate), "avg_frame_rate": _text(stream.average_rate)}
    # 1 is progressive, 0 unknown.
    facts["field_order"] = "progressive" if context.field_order < 2 else "interlaced"
    for attribute, kind in TAGS.values():
        number = getattr(context, attribute)
        unspecified = number == (0 if kind == "color_range" else 2)
        facts[kind] = "" if unspecified else NAMES[kind].get(number, f"number {number}")
    return facts


def _text(rate: Fraction | None) -> str:
    return "" if rate is None else f"{rate.numerator}/{rate.denominator}"


def _first_frame(path: Path, container: "InputContainer", index: int) -> "av.VideoFrame | None":
    from av.error import FFmpegError

    try:
        return next(container.decode(container.streams[index]), None)  # pyright: ignore[reportReturnType]
    except FFmpegError as error:
        raise ValueError(f"{path}: the video stream cannot be decoded: {reason_of(error)}") from error


def _is_mirrored(frame: "av.VideoFrame") -> bool:
    """Return True if a frame's display matrix turns it over: its determinant is negative."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), "<i4").astype(float)  # rows of three
    return bool(a * d - b * c < 0)


def packet_times(path: Path, index: int) -> list[int | None]:
    """Return the times of the packets of a stream that are shown, in ticks, in the order of the file."""
    with opened(path) as container:
        packets = container.demux(container.streams[index])
        # The last packet is empty: it makes a decoder give out its last frames.
        return [packet.pts for packet in packets if packet.size and not packet.is_discard]


@contextlib.contextmanager
def reported() -> Iterator[list[tuple[int, str, str]]]:
    """Collect the errors that the libraries report inside the ``with`` block, on any thread: (level, part, message)."""
    from av import logging

    before = logging.get_level()
    logging.set_level(logging.ERROR)
    try:
        with logging.Capture(local=False) as errors:
            yield errors
    finally:
        logging.set_level(before)


def video_stream(container: "InputContainer") -> "VideoStream":
    """Return the first video stream that is no cover picture."""
    return next(stream for stream in container.streams.video if "attached_pic" not in str(stream.disposition))
