"""The program ffmpeg and the package av, which takes its place; tests/video/test_clips.py goes through both."""

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from srzoo.video import library, probe, programs
from tests.video.test_clips import LOSSLESS, enlarged, ffmpeg, film, frames

if TYPE_CHECKING:
    from av.container import InputContainer

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="videos need ffmpeg")


def test_program_and_package_give_the_same_facts_and_frames(tmp_path, monkeypatch):
    pytest.importorskip("av")
    sources = [film(tmp_path / "in.mp4", seconds=0.2), tmp_path / "turned.mp4", tmp_path / "deep.mkv"]
    ffmpeg("-i", sources[0], "-c", "copy", "-metadata:s:v:0", "rotate=90", sources[1])
    deep = "scale=out_color_matrix=bt2020:out_range=tv"
    film(sources[2], "-vf", deep, *LOSSLESS, "-pix_fmt", "yuv422p10le", "-colorspace", "bt2020nc", seconds=0.2)
    monkeypatch.setattr(programs, "installed", lambda: False)
    through_package = [(probe(source), frames(source)) for source in sources]
    monkeypatch.undo()
    for source, (clip, decoded) in zip(sources, through_package, strict=True):
        assert clip == probe(source)
        for one, other in zip(decoded, frames(source), strict=True):
            assert one.dtype == other.dtype
            assert np.abs(one.astype(int) - other).max() <= (1 if clip.bits == 8 else 256)


@pytest.mark.slow
def test_program_and_package_copy_the_same_sound(tmp_path, monkeypatch):
    pytest.importorskip("av")
    source = film(tmp_path / "in.mp4", audio=True)
    enlarged(source, tmp_path / "program.mp4")
    monkeypatch.setattr(programs, "installed", lambda: False)
    enlarged(source, tmp_path / "package.mp4")
    assert probe(tmp_path / "package.mp4").audio == 1
    sounds = [tmp_path / f"{name}.aac" for name in ("package", "program")]
    for sound in sounds:
        ffmpeg("-i", sound.with_suffix(".mp4"), "-vn", "-c:a", "copy", sound)
    assert sounds[0].read_bytes() == sounds[1].read_bytes()


def test_videos_need_one_of_them(tmp_path, monkeypatch):
    film(tmp_path / "in.mp4")
    monkeypatch.setattr(programs, "installed", lambda: False)
    monkeypatch.setattr(library, "installed", lambda: False)
    with pytest.raises(FileNotFoundError, match=r'install ffmpeg\) or the package av \(pip install "srzoo\[video\]"\)'):
        probe(tmp_path / "in.mp4")


def mirrored(path, source):
    """Copy a video with a display matrix that turns it over."""
    import av

    given: InputContainer = av.open(str(source), "r")
    with given, av.open(path, "w") as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        stream.set_display_rotation(0, hflip=True)
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)


def test_a_video_that_is_to_be_mirrored_needs_the_program(tmp_path, monkeypatch):
    pytest.importorskip("av")
    mirrored(tmp_path / "in.mp4", film(tmp_path / "upright.mp4", seconds=0.2))
    monkeypatch.setattr(programs, "installed", lambda: False)
    assert probe(tmp_path / "upright.mp4").size == (32, 48)
    with pytest.raises(ValueError, match="mirrored or at an angle, which needs the program ffmpeg"):
        probe(tmp_path / "in.mp4")


def test_damage_that_the_libraries_conceal_is_reported(tmp_path, monkeypatch):
    pytest.importorskip("av")
    whole = film(tmp_path / "whole.mkv", *LOSSLESS, seconds=0.3).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    monkeypatch.setattr(programs, "installed", lambda: False)
    with pytest.raises(
        ValueError, match=r"cut\.mkv is damaged: \d of \d frames could be decoded: File ended prematurely"
    ):
        frames(tmp_path / "cut.mkv")
