"""Frames of videos, decoded and encoded by ffmpeg."""

import contextlib
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from srzoo.video.clip import ENCODERS, MATRICES, Video
from srzoo.video.facts import probe
from srzoo.video.programs import every_frame, file_name, last_line, program

# Rounding of colour conversions: to the nearest value, with chroma at full size.
_SCALER = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


class FrameReader:
    """Frames of a clip in order: (H, W, 3) RGB, uint8, or uint16 for more than 8 bits; a context manager."""

    def __init__(self, clip: Video) -> None:
        self.clip, self.count = clip, 0
        self._type = np.dtype("u1" if clip.bits == 8 else "<u2")
        conversion = (
            f"scale=in_color_matrix={MATRICES.get(clip.matrix, 'auto')}:in_range={clip.range or 'auto'}:out_range=pc"
        )
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the context
        command = [program("ffmpeg"), "-v", "error", "-nostdin", "-i", file_name(clip.path), "-map", "0:V:0"]
        command += [*every_frame(), "-vf", f"{conversion}:{_SCALER}", "-f", "rawvideo"]
        command += ["-pix_fmt", "rgb24" if clip.bits == 8 else "rgb48le", "-"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors)

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _end(self._process)
        self._errors.close()

    def read(self) -> np.ndarray | None:
        """Return the next frame; None after the last.

        Raises:
            ValueError: the file is damaged, here or before: ffmpeg reports an error, or frames are missing.
        """
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
            reason = f": {last_line(errors)}" if errors.strip() else ""
            raise ValueError(
                f"{self.clip.path} is damaged: {self.count} of {self.clip.frames} frames could be decoded{reason}"
            )
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


class FrameWriter:
    """A video file with the frames written to it and the sound of a clip; a context manager.

    The file appears when the context ends without an error, with all its frames, or not at all.

    Args:
        path: to write; its suffix is a key of ENCODERS.
        clip: whose rate, depth, colours, pixel aspect and audio are kept.
        size: (H, W) of the frames [pixels].
    """

    def __init__(self, path: Path, clip: Video, size: tuple[int, int]) -> None:
        self.path, self.clip, self.count = path, clip, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix, delete=False
        ) as file:
            self._temporary = Path(file.name)
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the context
        self._process = subprocess.Popen(self._command(size), stdin=subprocess.PIPE, stderr=self._errors)

    def _command(self, size: tuple[int, int]) -> list[str]:
        clip = self.clip
        # RGB without a matrix becomes YUV of today's televisions.
        matrix = "bt709" if clip.matrix == "gbr" else clip.matrix
        conversion = f"scale=out_color_matrix={MATRICES[matrix]}:in_range=pc:out_range={clip.range or 'tv'}:{_SCALER}"
        filters = f"{conversion},format={clip.output_format(size)},setsar={clip.pixel_aspect}"
        encoder, *settings = ENCODERS[self.path.suffix.lower()]
        tags = {"-colorspace": matrix, "-color_range": clip.range or ("tv" if clip.matrix == "gbr" else "")}
        tags |= {"-color_trc": clip.transfer, "-color_primaries": clip.primaries}
        command = [program("ffmpeg"), "-v", "error", "-nostdin", "-y"]
        command += ["-itsoffset", f"{clip.start:.6f}", "-f", "rawvideo", "-framerate", str(clip.rate)]
        command += ["-pix_fmt", "rgb24" if clip.bits == 8 else "rgb48le", "-video_size", f"{size[1]}x{size[0]}"]
        command += ["-i", "-", "-i", file_name(clip.path), "-map", "0:v", "-map", "1:a?", "-map_metadata", "1"]
        command += [*every_frame(), "-vf", filters, "-c:a", "copy", "-c:v", encoder, *settings]
        command += [word for option, value in tags.items() if value for word in (option, value)]
        return [*command, file_name(self._temporary)]

    def write(self, frame: np.ndarray) -> None:
        """Add a frame: (H, W, 3) RGB of the clip's depth (uint8, or uint16).

        Raises:
            OSError: ffmpeg has ended; with its reason.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data.cast("B"))
        except BrokenPipeError:
            raise self._failure() from None
        self.count += 1

    def _failure(self) -> OSError:
        self._process.wait()
        self._errors.seek(0)
        return OSError(f"could not write {self.path}: {last_line(self._errors.read())}")

    def __enter__(self) -> "FrameWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
        finally:
            _end(self._process)
            self._errors.close()
            self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        """Wait for the encoder, count the frames in its file, and give the file its name."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            raise self._failure() from None
        if self._process.wait():
            raise self._failure()
        written = probe(self._temporary)
        if (written.frames, written.rate) != (self.count, self.clip.rate):
            raise OSError(
                f"{self.path} was not kept: it would have {written.frames} frames at {written.rate} per second, in "
                f"place of {self.count} at {self.clip.rate}"
            )
        self._temporary.chmod(0o644)
        self._temporary.replace(self.path)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program that is no longer needed, and close its pipes."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.wait()
