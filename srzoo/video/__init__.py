"""Reading and writing video files through the program ffmpeg, or the package av. The only place that knows them."""

from pathlib import Path

from srzoo.video import programs
from srzoo.video.clip import SUFFIXES, Video, is_video
from srzoo.video.facts import probe
from srzoo.video.frames import FrameReader, FrameWriter

__all__ = ["SUFFIXES", "FrameReader", "FrameWriter", "Video", "frame_reader", "frame_writer", "is_video", "probe"]


def frame_reader(clip: Video) -> FrameReader:
    """Return the frames of a video, to be used in a ``with`` block."""
    if programs.installed():
        from srzoo.video.program_frames import ProgramReader

        return ProgramReader(clip)
    from srzoo.video.library_frames import LibraryReader

    return LibraryReader(clip)


def frame_writer(path: Path, clip: Video, size: tuple[int, int]) -> FrameWriter:
    """Return a video file to write frames to, in a ``with`` block.

    Args:
        path: to write; its suffix is one of SUFFIXES.
        clip: whose rate, depth, colours, pixel aspect and audio are kept.
        size: (H, W) of the frames [pixels].
    """
    if programs.installed():
        from srzoo.video.program_frames import ProgramWriter

        return ProgramWriter(path, clip, size)
    from srzoo.video.library_frames import LibraryWriter

    return LibraryWriter(path, clip, size)
