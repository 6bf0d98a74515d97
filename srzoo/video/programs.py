"""The programs ffmpeg and ffprobe: their place, their version, their output."""

import functools
import re
import shutil
import subprocess
from pathlib import Path


def installed() -> bool:
    """Return True if both programs are there."""
    return all(shutil.which(name) is not None for name in ("ffmpeg", "ffprobe"))


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        FileNotFoundError: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"videos need the program {name}: install ffmpeg (apt-get install ffmpeg)")
    return found


@functools.cache
def every_frame() -> list[str]:
    """Return the arguments that keep ffmpeg from dropping and repeating frames; 5.1 gave them another name."""
    text = subprocess.run([program("ffmpeg"), "-version"], capture_output=True, text=True, check=True).stdout
    match = re.match(r"ffmpeg version n?(\d+)\.(\d+)", text)
    old = match is not None and (int(match[1]), int(match[2])) < (5, 1)
    return ["-vsync" if old else "-fps_mode", "passthrough"]


def file_name(path: Path) -> str:
    """Return a path as the programs take it."""
    # A name with a colon would be taken for a protocol, one with a dash for an option.
    return f"file:{path}"


def last_line(text: str) -> str:
    """Return the end of a program's messages, which names its error."""
    lines = text.strip().splitlines()
    return lines[-1].strip()[:300] if lines else "no reason given"


def description(path: Path) -> str:
    """Return the facts of a file as ffprobe's JSON; errors as in :func:`_told_about`."""
    return _told_about(path, "-show_streams", "-show_format", "-of", "json")


def packet_times(path: Path) -> list[int | None]:
    """Return the times of the packets of the picture that are shown, in ticks; errors as in :func:`_told_about`."""
    words = ("-select_streams", "V:0", "-show_entries", "packet=pts,flags", "-of", "csv=p=0")
    packets = [line.split(",") for line in _told_about(path, *words).split()]
    # Packets with the flag D are there for decoding alone and not shown.
    return [int(pts) if pts.lstrip("-").isdigit() else None for pts, flags, *_ in packets if "D" not in flags]


def _told_about(path: Path, *arguments: str) -> str:
    """Return what ffprobe writes about a file.

    Raises:
        FileNotFoundError: ffprobe is not installed.
        ValueError: it cannot read the file.
    """
    done = subprocess.run(
        [program("ffprobe"), "-v", "error", *arguments, file_name(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"{path} is not a video that ffmpeg can read: {last_line(done.stderr)}")
    return done.stdout
