"""Facts about a video file, and what of it can be carried over to another size."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

# Suffixes of video files that can be written -> encoder and its settings, of visually lossless quality.
ENCODERS: dict[str, tuple[str, ...]] = {
    ".mp4": ("libx264", "-crf", "16", "-preset", "medium", "-movflags", "+faststart"),
    ".mov": ("libx264", "-crf", "16", "-preset", "medium", "-movflags", "+faststart"),
    ".m4v": ("libx264", "-crf", "16", "-preset", "medium", "-movflags", "+faststart"),
    ".mkv": ("libx264", "-crf", "16", "-preset", "medium"),
    ".avi": ("libx264", "-crf", "16", "-preset", "medium"),
    ".webm": ("libvpx-vp9", "-crf", "20", "-b:v", "0", "-row-mt", "1", "-deadline", "good", "-cpu-used", "2"),
}
SUFFIXES = tuple(ENCODERS)

# Matrix between YUV and RGB as files name it -> as ffmpeg's scaler does; "" is a file that says nothing.
MATRICES = {
    "": "bt601",
    "bt709": "bt709",
    "smpte170m": "smpte170m",
    "bt470bg": "bt470",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
}


@dataclass(frozen=True)
class Video:
    """A video whose frames can be upscaled.

    Args:
        path: the file.
        size: (H, W) as shown, with rotation applied [pixels].
        rate: frames per second, exact.
        frames: number of frames.
        pixel_format: ffmpeg's name of the samples' layout, such as yuv420p10le.
        matrix: between YUV and RGB, as the file names it; "" if it does not.
        range: "tv" (limited), "pc" (full), or "" if the file does not say.
        transfer: transfer characteristics, or "".
        primaries: colour primaries, or "".
        pixel_aspect: width of a pixel in heights.
        start: of the video after the start of the file [s].
        audio: number of audio streams.
        other_streams: kinds of streams that are not carried over, such as subtitles.
    """

    path: Path
    size: tuple[int, int]
    rate: Fraction
    frames: int
    pixel_format: str
    matrix: str
    range: str
    transfer: str
    primaries: str
    pixel_aspect: Fraction
    start: float
    audio: int
    other_streams: tuple[str, ...]

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return bits_of(self.pixel_format)

    def output_format(self, size: tuple[int, int]) -> str:
        """Return the layout of samples for a video of `size` (H, W): chroma and depth as here, where sides allow it.

        Subsampled chroma needs even sides; full chroma takes any.
        """
        odd_height, odd_width = size[0] % 2, size[1] % 2
        if odd_width or re.search("444|gbr|rgb|bgr", self.pixel_format):
            chroma = "444"
        elif odd_height or "422" in self.pixel_format:
            chroma = "422"
        else:
            chroma = "420"
        return f"yuv{chroma}p" + ("10le" if self.bits > 8 else "")


def bits_of(pixel_format: str) -> int:
    """Return the bits of a sample of ffmpeg's pixel format."""
    match = re.search(r"p0?(\d{1,2})(?:le|be)$|gray(\d{1,2})(?:le|be)$", pixel_format)
    return int(match[1] or match[2]) if match else 8


def is_video(path: Path) -> bool:
    """Return True if a file's content is that of a video container."""
    try:
        with path.open("rb") as file:
            start = file.read(400)
    except OSError:
        return False
    if start[4:8] == b"ftyp":
        # HEIC and AVIF images have the same structure under other brands.
        return start[8:12] not in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
    if start[4:8] in (b"moov", b"mdat", b"wide"):
        return True
    if start[:4] == b"RIFF":
        return start[8:12] == b"AVI "
    if start[:1] == b"G" and start[188:189] == b"G" and start[376:377] == b"G":  # packets of a transport stream
        return True
    return start.startswith(
        (b"\x1a\x45\xdf\xa3", b"FLV\x01", b"OggS", b"\x30\x26\xb2\x75", b"\x00\x00\x01\xba", b"YUV4")
    )
