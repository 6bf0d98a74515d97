"""Facts of a video file, read with ffprobe or, without it, with the package av."""

import itertools
import json
import re
from fractions import Fraction
from pathlib import Path

from srzoo.video import library, programs
from srzoo.video.clip import MATRICES, Video, bits_of

_WITHOUT = ("", "unknown", "reserved", "unspecified")


def probe(path: Path) -> Video:
    """Read the facts of a video; refuse, by name, what cannot be carried over.

    Raises:
        FileNotFoundError: no such file, or neither ffmpeg nor av.
        ValueError: not a video or a damaged one; interlaced, of variable frame rate, with alpha, of more than 10 bits,
            or with colours that ffmpeg's scaler cannot convert.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    through_programs = programs.installed()
    if not through_programs and not library.installed():
        raise FileNotFoundError(
            'videos need the program ffmpeg (apt-get install ffmpeg) or the package av (pip install "srzoo[video]")'
        )
    told = json.loads(programs.description(path) if through_programs else library.description(path))
    streams = told.get("streams", [])
    videos = [stream for stream in streams if stream["codec_type"] == "video" and not _is_cover(stream)]
    if not videos:
        raise ValueError(f"{path} has no video stream")
    video = videos[0]
    _refuse(path, video)
    height, width = int(video["height"]), int(video["width"])
    if _rotation(video) % 180:
        height, width = width, height
    index = int(video["index"])
    times = programs.packet_times(path) if through_programs else library.packet_times(path, index)
    rate, frames = _rate(path, video, times)
    told_range = video.get("color_range", "")
    aspect = video.get("sample_aspect_ratio", "1:1").replace(":", "/")
    others = [stream["codec_type"] for stream in streams if stream["codec_type"] not in ("video", "audio")]
    others += ["video"] * (len(videos) - 1)
    return Video(
        path,
        (height, width),
        rate,
        frames,
        pixel_format=video["pix_fmt"],
        matrix=_named(video, "color_space"),
        # yuvj420p and its like are full range by their name.
        range="pc" if video["pix_fmt"].startswith("yuvj") else "" if told_range in _WITHOUT else told_range,
        transfer=_named(video, "color_transfer"),
        primaries=_named(video, "color_primaries"),
        pixel_aspect=Fraction(1) if aspect.startswith("0/") or aspect == "N/A" else Fraction(aspect),
        start=max(float(video.get("start_time", 0)) - float(told["format"].get("start_time", 0)), 0.0),
        audio=sum(stream["codec_type"] == "audio" for stream in streams),
        other_streams=tuple(dict.fromkeys(others)),
    )


def _refuse(path: Path, video: dict[str, str]) -> None:
    """Raise ValueError, with the remedy, for a video that would lose something silently."""
    pixel_format, matrix = video.get("pix_fmt", ""), _named(video, "color_space")
    if not pixel_format or not int(video.get("width", 0)):
        raise ValueError(
            f"{path}: the video stream cannot be decoded: it is damaged, or ffmpeg does not know its codec"
        )
    if video.get("field_order", "progressive") not in ("progressive", "unknown"):
        raise ValueError(f"{path} is interlaced: deinterlace it first (ffmpeg -i IN -vf bwdif OUT)")
    if bits_of(pixel_format) > 10:
        raise ValueError(f"{path} has {bits_of(pixel_format)} bits; videos of 8 and 10 bits are upscaled")
    if re.match(r"yuva|rgba|bgra|argb|abgr|ya\d|gbrap|pal8", pixel_format):
        raise ValueError(
            f"{path} has an alpha channel ({pixel_format}), which would be lost: extract its frames as PNG"
        )
    if matrix not in MATRICES and matrix != "gbr":
        raise ValueError(
            f"{path}: the colour matrix {matrix} is not converted; known: {', '.join(filter(None, MATRICES))}"
        )


def _is_cover(stream: dict[str, dict[str, int]]) -> bool:
    return bool(stream.get("disposition", {}).get("attached_pic"))


def _named(video: dict[str, str], fact: str) -> str:
    value = video.get(fact, "")
    return "" if value in _WITHOUT else value


def _rotation(video: dict[str, object]) -> int:
    entries = video.get("side_data_list", [])
    assert isinstance(entries, list)
    return next((int(entry["rotation"]) for entry in entries if "rotation" in entry), 0)


def _rate(path: Path, video: dict[str, str], shown: list[int | None]) -> tuple[Fraction, int]:
    """Return the exact rate and the number of frames, from the times of all packets.

    Raises:
        ValueError: no frames, or frames at irregular times.
    """
    if not shown:
        raise ValueError(f"{path} has no frames")
    times = sorted(time for time in shown if time is not None)
    base = Fraction(video["time_base"])
    candidates = [_fraction(video.get(name, "")) for name in ("r_frame_rate", "avg_frame_rate")]
    for rate in filter(None, candidates):
        # Containers round times to their ticks; some (AVI, raw streams) have none at all.
        if len(times) < len(shown) or all(
            abs((time - times[0]) * base - number / rate) <= base for number, time in enumerate(times)
        ):
            return rate, len(shown)
    gaps = [float((after - before) * base) * 1000 for before, after in itertools.pairwise(times)]
    raise ValueError(
        f"{path} has a variable frame rate (frames lie {min(gaps):.1f} to {max(gaps):.1f} ms apart): give it a "
        "constant one first (ffmpeg -i IN -vf fps=30 OUT)"
    )


def _fraction(text: str) -> Fraction | None:
    numerator, _, denominator = text.partition("/")
    return Fraction(int(numerator), int(denominator)) if numerator.isdigit() and denominator.strip("0") else None
