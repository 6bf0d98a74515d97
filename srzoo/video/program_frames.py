"""Frames of videos, decoded and encoded by the program ffmpeg."""

import contextlib
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from srzoo.video.clip import ENCODERS, Video
from srzoo.video.frames import FrameReader, FrameWriter, decoding, encoding, tags_to_write
from srzoo.video.programs import every_frame, file_name, last_line, program


class ProgramReader(FrameReader):
    """Frames that ffmpeg writes to a pipe."""

    def __init__(self, clip: Video) -> None:
        super().__init__(clip)
        self._type = np.dtype("u1" if clip.bits == 8 else "<u2")
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the context
        command = [program("ffmpeg"), "-v", "error", "-nostdin", "-i", file_name(clip.path), "-map", "0:V:0"]
        command += [*every_frame(), "-vf", f"scale={decoding(clip)}", "-f", "rawvideo"]
        command += ["-pix_fmt", "rgb24" if clip.bits == 8 else "rgb48le", "-"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors)

    def close(self) -> None:
        _end(self._process)
        self._errors.close()

    def read(self) -> np.ndarray | None:
        frame = np.empty((*self.clip.size, 3), self._type)
        assert self._process.stdout is not None
        filled = _fill(self._process.stdout, frame.data.cast("B"))
        if filled == frame.nbytes:
            self.count += 1
            return frame
        self._process.wait()
        self._errors.seek(0)
        errors = self._errors.read()
        if filled or self._process.returncode or errors.strip() or self.count != self.clip.frames:
            raise self.damaged(last_line(errors) if errors.strip() else "")
        return None


def _fill(stream: IO[bytes], buffer: memoryview) -> int:
    """Read until the buffer is full or the stream ends; return the number of bytes."""
    filled = 0
    while filled < len(buffer):
        got = stream.readinto(buffer[filled:])  # pyright: ignore[reportAttributeAccessIssue]  # of a buffered pipe
        if not got:
            break
        filled += got
    return filled


class ProgramWriter(FrameWriter):
    """Frames that ffmpeg reads from a pipe.

    Args:
        path: see :class:`FrameWriter`.
        clip: see :class:`FrameWriter`.
        size: (H, W) of the frames [pixels].
    """

    def __init__(self, path: Path, clip: Video, size: tuple[int, int]) -> None:
        super().__init__(path, clip)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the context
        self._process = subprocess.Popen(self._command(size), stdin=subprocess.PIPE, stderr=self._errors)

    def _command(self, size: tuple[int, int]) -> list[str]:
        clip = self.clip
        filters = f"scale={encoding(clip)},format={clip.output_format(size)},setsar={clip.pixel_aspect}"
        encoder, *settings = ENCODERS[self.path.suffix.lower()]
        command = [program("ffmpeg"), "-v", "error", "-nostdin", "-y"]
        command += ["-itsoffset", f"{clip.start:.6f}", "-f", "rawvideo", "-framerate", str(clip.rate)]
        command += ["-pix_fmt", "rgb24" if clip.bits == 8 else "rgb48le", "-video_size", f"{size[1]}x{size[0]}"]
        command += ["-i", "-", "-i", file_name(clip.path), "-map", "0:v", "-map", "1:a?", "-map_metadata", "1"]
        command += [*every_frame(), "-vf", filters, "-c:a", "copy", "-c:v", encoder, *settings]
        command += [word for option, value in tags_to_write(clip).items() for word in (f"-{option}", value)]
        return [*command, file_name(self.temporary)]

    def write(self, frame: np.ndarray) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data.cast("B"))
        except BrokenPipeError:
            raise self._reported() from None
        self.count += 1

    def _reported(self) -> OSError:
        self._process.wait()
        self._errors.seek(0)
        return self.failure(last_line(self._errors.read()))

    def finish(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            raise self._reported() from None
        if self._process.wait():
            raise self._reported()

    def close(self) -> None:
        _end(self._process)
        self._errors.close()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program that is no longer needed, and close its pipes."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.wait()
