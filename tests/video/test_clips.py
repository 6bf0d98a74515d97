"""Videos: facts, frames and files, through ffmpeg and, in its place, the package av."""

import json
import os
import shutil
import subprocess
import threading
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.images import to_levels, to_tensor, write_image
from srzoo.infer.clip import upscale_clip
from srzoo.infer.upscale import Upscaler
from srzoo.progress import Meter
from srzoo.registry import ARCHS
from srzoo.video import frame_reader, frame_writer, is_video, probe, programs
from tests.support import photograph

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="videos need ffmpeg")

PLAIN = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
LOSSLESS = ("-c:v", "ffv1")


@pytest.fixture(autouse=True, params=["ffmpeg", pytest.param("av", marks=pytest.mark.slow)])
def backend(request, monkeypatch):
    """Read and write through the program, then through the package as where the program is missing."""
    if request.param == "av":
        pytest.importorskip("av")
        monkeypatch.setattr(programs, "installed", lambda: False)
        monkeypatch.setattr(programs, "program", lambda name: pytest.fail(f"{name} was called"))
    return request.param


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, words)], check=True)


def streams(path):
    words = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", str(path)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)["streams"]


def film(path, *settings, size="48x32", rate="24000/1001", seconds=0.5, audio=False):
    """Write a moving test picture, with a tone."""
    sound = ["-f", "lavfi", "-i", f"sine=440:duration={seconds}", "-c:a", "aac"]
    picture = ["-f", "lavfi", "-i", f"testsrc=size={size}:rate={rate}:duration={seconds}"]
    ffmpeg(*picture, *(sound if audio else []), *(settings or PLAIN), path)
    return path


def enlarged(source, target, scale=2, magnification=None):
    upscaler = Upscaler(ARCHS.build("Bicubic", {}, scale=scale), tile=0)
    meter = Meter("clip", 1, threading.Lock())
    upscale_clip(probe(source), upscaler, target, magnification or scale, meter)
    return target


def frames(path):
    found = []
    with frame_reader(probe(path)) as reader:
        while (frame := reader.read()) is not None:
            found.append(frame)
    return found


def srzoo(*words):
    arguments = parse(["upscale", *map(str, words)])
    return execute(arguments.run, arguments)


@pytest.mark.parametrize(("rate", "suffix"), [("24000/1001", ".mp4"), ("30000/1001", ".mkv"), ("25", ".mov")])
def test_rate_frames_and_sound_are_kept(tmp_path, rate, suffix):
    source = film(tmp_path / f"in{suffix}", rate=rate, audio=True)
    target = enlarged(source, tmp_path / f"out{suffix}")
    before, after = probe(source), probe(target)
    assert (after.rate, after.frames, after.size) == (Fraction(rate), before.frames, (64, 96))
    packets = [[s["nb_read_packets"] for s in streams(path) if s["codec_type"] == "audio"] for path in (source, target)]
    assert packets[0] == packets[1] != []


def test_sound_keeps_its_place_if_the_picture_begins_later(tmp_path):
    film(tmp_path / "picture.mp4")
    ffmpeg("-f", "lavfi", "-i", "sine=440:duration=1", "-c:a", "aac", tmp_path / "sound.mp4")
    words = ["-itsoffset", "0.2", "-i", tmp_path / "picture.mp4", "-i", tmp_path / "sound.mp4"]
    ffmpeg(*words, "-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "in.mkv")
    assert probe(tmp_path / "in.mkv").start == pytest.approx(0.2, abs=0.03)
    enlarged(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert probe(tmp_path / "out.mkv").start == pytest.approx(0.2, abs=0.03)


COLOURS = [
    ("bt709", "tv", "bt709", "bt709", "yuv420p"),
    ("smpte170m", "tv", "smpte170m", "smpte170m", "yuv420p"),
    ("bt709", "pc", "bt709", "bt709", "yuv444p"),
    ("bt2020nc", "tv", "smpte2084", "bt2020", "yuv420p10le"),
    ("bt2020nc", "tv", "arib-std-b67", "bt2020", "yuv422p10le"),
]


@pytest.mark.parametrize(("matrix", "levels", "transfer", "primaries", "pixels"), COLOURS)
def test_colours_depth_and_their_description_are_kept(tmp_path, matrix, levels, transfer, primaries, pixels):
    tags = ["-colorspace", matrix, "-color_range", levels, "-color_trc", transfer, "-color_primaries", primaries]
    scaled = f"scale=out_color_matrix={matrix.removesuffix('nc')}:out_range={levels}"
    source = film(tmp_path / "in.mkv", "-vf", scaled, "-c:v", "libx264", "-qp", "0", "-pix_fmt", pixels, *tags)
    target = enlarged(source, tmp_path / "out.mkv")
    before, after = probe(source), probe(target)
    assert (after.matrix, after.transfer, after.primaries) == (matrix, transfer, primaries)
    assert after.range == before.range
    assert after.pixel_format.replace("yuvj", "yuv") == pixels
    # The same colours, within what the encoder and subsampled chroma lose: the mean of each channel.
    peak = 255 if "10" not in pixels else 65535
    for small, large in zip(frames(source), frames(target), strict=True):
        means = [frame.reshape(-1, 3).mean(0) / peak for frame in (small, large)]
        assert np.abs(means[0] - means[1]).max() < 0.01


def test_frames_are_those_of_the_network(tmp_path):
    source = film(tmp_path / "in.mkv", *LOSSLESS, "-pix_fmt", "bgr0")
    target = enlarged(source, tmp_path / "out.mkv")
    upscaler = Upscaler(ARCHS.build("Bicubic", {}, scale=2), tile=0)
    for small, large in zip(frames(source), frames(target), strict=True):
        expected = to_levels(upscaler(to_tensor(small)[None])[0], 8).astype(float)
        error = np.square(expected - large).mean()
        assert 10 * np.log10(255**2 / error) > 36


@pytest.mark.parametrize(("size", "scale", "magnification"), [("49x33", 3, 3), ("48x33", 2, 1.5), ("47x32", 2, 2)])
def test_odd_sides_survive(tmp_path, size, scale, magnification):
    source = film(tmp_path / "in.mkv", *LOSSLESS, "-pix_fmt", "yuv444p", size=size)
    width, height = map(int, size.split("x"))
    target = enlarged(source, tmp_path / "out.mp4", scale, magnification)
    assert probe(target).size == (round(height * magnification), round(width * magnification))
    assert len(frames(target)) == probe(source).frames


def test_rotation_is_applied_once(tmp_path):
    upright = film(tmp_path / "upright.mp4")
    ffmpeg("-i", upright, "-c", "copy", "-metadata:s:v:0", "rotate=90", tmp_path / "in.mp4")
    assert probe(tmp_path / "in.mp4").size == (48, 32)
    target = enlarged(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert probe(target).size == (96, 64)
    assert all("rotation" not in str(stream) for stream in streams(target))


def test_pixels_that_are_not_square_stay_so(tmp_path):
    source = film(tmp_path / "in.mp4", "-vf", "setsar=16/15", *PLAIN)
    assert probe(enlarged(source, tmp_path / "out.mp4")).pixel_aspect == Fraction(16, 15)


def with_gaps(path):
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=48x32:rate=30:duration=1", "-vf", "select='not(mod(n,3)*mod(n,7))'",
           "-fps_mode", "passthrough", *PLAIN, path)  # fmt: skip


REFUSED = {
    "variable frame rate": with_gaps,
    "interlaced": lambda path: film(path, "-vf", "interlace", "-flags", "+ilme+ildct", *PLAIN),
    "12 bits": lambda path: film(path, *LOSSLESS, "-pix_fmt", "yuv420p12le"),
    "alpha channel": lambda path: film(path, *LOSSLESS, "-pix_fmt", "yuva420p"),
    "no video stream": lambda path: ffmpeg("-f", "lavfi", "-i", "sine=440:duration=1", "-c:a", "aac", path),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_carried_over_is_refused_by_name(tmp_path, name):
    path = tmp_path / "in.mkv"
    REFUSED[name](path)
    with pytest.raises(ValueError, match=name):
        probe(path)


def test_a_damaged_video_is_reported_and_leaves_nothing(tmp_path, capsys):
    whole = film(tmp_path / "whole.mkv", *LOSSLESS, seconds=1).read_bytes()
    damaged, cut, broken = tmp_path / "damaged.mkv", tmp_path / "cut.mkv", tmp_path / "broken.mp4"
    middle = len(whole) // 2
    damaged.write_bytes(whole[:middle] + os.urandom(2000) + whole[middle + 2000 :])
    cut.write_bytes(whole[: middle + 100])
    broken.write_bytes(film(tmp_path / "plain.mp4").read_bytes()[:700])
    good = film(tmp_path / "good.mp4")
    out = tmp_path / "out"
    assert srzoo(damaged, cut, broken, good, "-o", out, "--arch", "Bicubic", "--scale", "2") == 2
    said = capsys.readouterr().err
    assert all(path.name in said for path in (damaged, cut, broken))
    assert "good.mp4" not in said
    assert [path.name for path in out.iterdir()] == ["good.mp4"]


def test_an_error_of_the_encoder_leaves_nothing(tmp_path, backend):
    source = film(tmp_path / "in.mp4")
    clip, frame = probe(source), np.zeros((64, 96, 3), np.uint8)

    def write(after):
        with frame_writer(tmp_path / "out.mp4", clip, (64, 96)) as writer:
            writer.write(frame)
            after(writer)
            for _ in range(100):
                writer.write(frame)

    def interrupt(_):
        raise KeyboardInterrupt

    def fail(writer):
        if backend == "ffmpeg":
            return writer._process.kill()
        from av.error import ExternalError

        def encode(*_):
            raise ExternalError(1, "no more")

        writer._stream = SimpleNamespace(encode=encode)

    with pytest.raises(OSError, match=r"could not write .*out\.mp4: "):
        write(fail)
    with pytest.raises(KeyboardInterrupt):
        write(interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


def test_the_command_upscales_videos_by_content(tmp_path, capsys):
    source = film(tmp_path / "clip.mp4", audio=True)
    arguments = ["--arch", "Bicubic", "--scale", "2"]
    assert srzoo(source, *arguments) == 0
    assert probe(tmp_path / "clip_x2.mp4").size == (64, 96)
    assert srzoo(source, *arguments) == 2
    assert "outputs exist, so that nothing was written" in capsys.readouterr().err
    assert srzoo(source, *arguments, "-o", tmp_path / "other.webm") == 2  # AAC does not go into WebM
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "clip_x2.mp4"]
    assert srzoo(source, *arguments, "-o", tmp_path / "other.mkv") == 0
    assert srzoo(source, *arguments, "-o", tmp_path / "other.png") == 2
    assert "videos are written as .mp4" in capsys.readouterr().err
    assert srzoo(source, *arguments, "-o", source, "--overwrite") == 2
    assert "is an input, and would be replaced" in capsys.readouterr().err


def test_images_and_videos_are_told_apart_by_content(tmp_path):
    write_image(tmp_path / "a.png", photograph())
    (tmp_path / "a.png").rename(tmp_path / "image.mp4")
    film(tmp_path / "b.mp4").rename(tmp_path / "video.png")
    assert is_video(tmp_path / "video.png")
    assert not is_video(tmp_path / "image.mp4")
