"""Frames of videos in and out, whichever backend decodes and encodes them."""

import abc
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from srzoo.video.clip import MATRICES, Video
from srzoo.video.facts import probe

# Rounding of colour conversions: to the nearest value, with chroma at full size.
_SCALER = "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"


class FrameReader(abc.ABC):
    """Frames of a clip in order: (H, W, 3) RGB, uint8, or uint16 for more than 8 bits; a context manager."""

    def __init__(self, clip: Video) -> None:
        self.clip, self.count = clip, 0

    def __enter__(self) -> "FrameReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abc.abstractmethod
    def read(self) -> np.ndarray | None:
        """Return the next frame; None after the last.

        Raises:
            ValueError: the file is damaged, here or before: an error is reported, or frames are missing.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Give up the file."""

    def damaged(self, reason: str) -> ValueError:
        """Return the error of a file that cannot be decoded from here on, with a reason or ""."""
        reached = f"{self.count} of {self.clip.frames} frames could be decoded"
        return ValueError(f"{self.clip.path} is damaged: {reached}{reason and f': {reason}'}")


class FrameWriter(abc.ABC):
    """A video file with the frames written to it and the sound of a clip; a context manager.

    The file appears when the context ends without an error, with all its frames, or not at all.

    Args:
        path: to write; its suffix is a key of ENCODERS.
        clip: whose rate, depth, colours, pixel aspect and audio are kept.
    """

    def __init__(self, path: Path, clip: Video) -> None:
        self.path, self.clip, self.count = path, clip, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix, delete=False
        ) as file:
            self.temporary = Path(file.name)

    @abc.abstractmethod
    def write(self, frame: np.ndarray) -> None:
        """Add a frame: (H, W, 3) RGB of the clip's depth (uint8, or uint16).

        Raises:
            OSError: the encoder has ended; with its reason.
        """

    @abc.abstractmethod
    def finish(self) -> None:
        """Encode what is left and complete the temporary file; errors as in :meth:`write`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give up the encoder."""

    def __enter__(self) -> "FrameWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.finish()
                self._publish()
        finally:
            self.close()
            self.temporary.unlink(missing_ok=True)

    def _publish(self) -> None:
        """Count the frames in the temporary file, and give it its name."""
        written = probe(self.temporary)
        if (written.frames, written.rate) != (self.count, self.clip.rate):
            raise OSError(
                f"{self.path} was not kept: it would have {written.frames} frames at {written.rate} per second, in "
                f"place of {self.count} at {self.clip.rate}"
            )
        self.temporary.chmod(0o644)
        self.temporary.replace(self.path)

    def failure(self, reason: str) -> OSError:
        """Return the error of a file that cannot be written."""
        return OSError(f"could not write {self.path}: {reason}")


def decoding(clip: Video) -> str:
    """Return the arguments of ffmpeg's filter `scale` from a clip's frames to full-range RGB."""
    matrix = MATRICES.get(clip.matrix, "auto")
    return f"in_color_matrix={matrix}:in_range={clip.range or 'auto'}:out_range=pc:{_SCALER}"


def encoding(clip: Video) -> str:
    """Return the arguments of ffmpeg's filter `scale` from full-range RGB to frames like a clip's."""
    matrix = MATRICES[matrix_to_write(clip)]
    return f"out_color_matrix={matrix}:in_range=pc:out_range={clip.range or 'tv'}:{_SCALER}"


def matrix_to_write(clip: Video) -> str:
    """Return the matrix of the output: RGB without a matrix becomes YUV of today's televisions."""
    return "bt709" if clip.matrix == "gbr" else clip.matrix


def tags_to_write(clip: Video) -> dict[str, str]:
    """Return the colour tags of the output that are not empty, by ffmpeg's names of its options."""
    levels = clip.range or ("tv" if clip.matrix == "gbr" else "")
    tags = {"colorspace": matrix_to_write(clip), "color_range": levels}
    tags |= {"color_trc": clip.transfer, "color_primaries": clip.primaries}
    return {option: value for option, value in tags.items() if value}
