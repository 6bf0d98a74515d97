"""Reading and writing video files through the program ffmpeg. The only package that knows it."""

from srzoo.video.clip import SUFFIXES, Video, is_video
from srzoo.video.facts import probe
from srzoo.video.frames import FrameReader, FrameWriter

__all__ = ["SUFFIXES", "FrameReader", "FrameWriter", "Video", "is_video", "probe"]
