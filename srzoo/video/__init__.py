"""Reading and writing video files through the program ffmpeg. The only package that knows it."""

from srzoo.video.clip import SUFFIXES, Clip, is_video
from srzoo.video.facts import probe
from srzoo.video.frames import FrameReader, FrameWriter

__all__ = ["SUFFIXES", "Clip", "FrameReader", "FrameWriter", "is_video", "probe"]
