"""`srzoo upscale` on every kind of file, and its messages."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import srzoo.infer.files
import srzoo.infer.packaged
from srzoo import load_network
from srzoo.cli import parse
from srzoo.command import execute
from srzoo.images import colour_profile, read_header, read_image, resolution, to_tensor, write_image
from srzoo.registry import ARCHS
from srzoo.weights import save_weights
from tests.support import ROOT, SHARED, needs_shared, photograph

CASES = SHARED / "cases" / "images"
EXPECTED = json.loads((SHARED / "cases" / "images.json").read_text()) if CASES.is_dir() else []
RGB = photograph(20, 24)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Folder with small networks x2.safetensors, x3.safetensors and x4.safetensors."""
    folder = tmp_path_factory.mktemp("weights")
    for scale in (2, 3, 4):
        torch.manual_seed(scale)
        net = ARCHS.build("SRVGGNetCompact", {"num_feat": 8, "num_conv": 1}, scale=scale)
        save_weights(folder / f"x{scale}.safetensors", net, {})
    return folder


@pytest.fixture
def packaged(weights, monkeypatch):
    """The small networks in the place of those that come with the package."""
    monkeypatch.setattr(srzoo.infer.packaged, "packaged_folder", lambda: weights)
    return weights


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def upscale(*words):
    """Run the command in this process; return its exit code."""
    arguments = parse(["upscale", *map(str, words)])
    return execute(arguments.run, arguments)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def network_output(file, pixels):
    """The output of the network in a file, as levels."""
    with torch.no_grad():
        sr = load_network(file)(to_tensor(pixels)[None])[0]
    return (sr.clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()


# Every kind of file.


@pytest.fixture(scope="module")
def cases(weights, tmp_path_factory):
    """All files of cases/images upscaled in one run: output folder, exit code, standard output and error."""
    out = tmp_path_factory.mktemp("cases") / "out"
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        code = upscale(CASES, "-o", out, "--weights", weights / "x2.safetensors")
    return out, code, printed.getvalue(), errors.getvalue()


@needs_shared
def test_bad_files_are_listed_and_the_good_ones_written(cases):
    out, code, printed, errors = cases
    assert code == 2
    bad = {case["file"] for case in EXPECTED if case["outcome"] == "refused"}
    listed = errors[errors.index("image(s) could not be used") :].splitlines()[1:]
    assert {Path(line.split(": ")[0].strip()).name for line in listed} == bad
    assert len(files(out)) == len(EXPECTED) - len(bad)
    assert "first is taken" in printed
    assert all(name in printed for name in ("animated.gif", "pages.tif"))
    assert f"{out}\n" in printed


@needs_shared
@pytest.mark.parametrize(
    "case", [case for case in EXPECTED if case["outcome"] == "upscaled"], ids=lambda case: case["file"]
)
def test_every_kind_of_file_keeps_what_it_has(cases, case):
    source = CASES / case["file"]
    # exif6.jpg, .png, .tif and .webp differ by their suffixes alone.
    names = [cases[0] / f"{source.name}.png", cases[0] / f"{source.stem}.png"]
    header = read_header(next(path for path in names if path.exists()))
    picture = read_image(next(path for path in names if path.exists()))
    width, height = case.get("shown_size_wh", (128, 96))
    assert header.size == (2 * height, 2 * width)
    assert header.alpha == case.get("alpha", False)
    assert header.bits == (8 if case["bits"] in (8, None) else 16)
    assert header.grey == read_header(source).grey
    assert header.orientation == 1
    assert (colour_profile(names[1], 3) is not None) == case["icc"] if names[1].exists() else True
    if picture.alpha is not None:
        assert picture.alpha.min() < picture.alpha.max()
    # The network's weights are random: its outputs are near its inputs all the same.
    small = read_image(source).rgb
    assert abs(picture.rgb.mean() / small.mean() - 1) < 0.5


@needs_shared
def test_resolution_is_kept(cases):
    assert resolution(cases[0] / "dpi.png") == pytest.approx((300, 300), rel=1e-3)


# Which network.


@pytest.mark.usefixtures("packaged")
def test_it_works_without_any_option(here, packaged, capsys):
    write_image(here / "photo.jpg", RGB)
    before = (here / "photo.jpg").read_bytes()
    assert upscale("photo.jpg") == 0
    assert files(here) == ["photo.jpg", "photo_x2.png"]
    assert (here / "photo.jpg").read_bytes() == before
    stored = read_image(here / "photo.jpg").rgb
    np.testing.assert_allclose(
        read_image(here / "photo_x2.png").rgb, network_output(packaged / "x2.safetensors", stored), atol=1
    )
    out = capsys.readouterr().out
    assert "x2.safetensors, which come with srzoo and are small; larger networks (--weights FILE) are better" in out
    assert "tile_rule exact, tile auto: whole images, ensemble none, precision float32" in out
    assert out.splitlines()[-1].endswith(": photo_x2.png")


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize(
    ("words", "scale", "size"),
    [
        (["--scale", "3"], 3, (60, 72)),
        (["--scale", "4"], 4, (80, 96)),
        (["--outscale", "3.5"], 4, (70, 84)),
        (["--outscale", "1.5"], 2, (30, 36)),
        (["--outscale", "2.01"], 3, (40, 48)),
        (["--outscale", "5"], 4, (100, 120)),
        (["--outscale", "1.5", "--scale", "4"], 4, (30, 36)),
    ],
)
def test_the_nearest_network_is_taken(here, words, scale, size, capsys):
    write_image(here / "photo.png", RGB)
    assert upscale("photo.png", "-o", "y.png", *words) == 0
    assert read_header(here / "y.png").size == size
    assert f"x{scale}.safetensors" in capsys.readouterr().out


def test_missing_weights_of_the_package_are_named(here, monkeypatch, capsys):
    monkeypatch.setattr(srzoo.infer.packaged, "packaged_folder", lambda: here / "nowhere")
    write_image(here / "photo.png", RGB)
    assert upscale("photo.png") == 2
    assert "nowhere/x2.safetensors): install srzoo again, or name a file with --weights" in capsys.readouterr().err
    assert upscale("photo.png", "--scale", "8") == 2
    assert "are for --scale 2, 3, 4, got 8" in capsys.readouterr().err


def test_the_network_may_be_named(here, weights):
    write_image(here / "photo.png", RGB)
    torch.save(load_network(weights / "x2.safetensors").state_dict(), here / "bare.pth")
    wanted = network_output(weights / "x2.safetensors", RGB)
    (here / "net.yml").write_text("name: n\nscale: 2\nnetwork_g: {type: SRVGGNetCompact, num_feat: 8, num_conv: 1}\n")
    named = ["--arch", "SRVGGNetCompact", "--scale", "2", "--set", "network_g.num_feat=8", "network_g.num_conv=1"]
    for number, words in enumerate((["-opt", "net.yml"], named, [])):
        assert upscale("photo.png", "--weights", "bare.pth", "-o", f"{number}.png", *words) == 0
        np.testing.assert_allclose(read_image(here / f"{number}.png").rgb, wanted, atol=1)
    assert upscale("photo.png", "--arch", "Bicubic", "--scale", "3") == 0
    assert read_header(here / "photo_x3.png").size == (60, 72)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arch", "IMDN", "--scale", "2"], "IMDN has weights, and none are given: name them with --weights FILE"),
        (["--arch", "Bicubic"], "--arch Bicubic: give its magnification too, with --scale N"),
        (
            ["--arch", "Bicubik", "--scale", "2"],
            "--arch: network_g: unknown network 'Bicubik'; did you mean 'Bicubic'?",
        ),
        (["--set", "network_g.num_feat=8"], "--set overrides options of a network: name it with -opt or --arch"),
        (["--weights", "odd.pth"], "or name it here: -opt FILE, or --arch TYPE --scale N --set network_g.KEY=VALUE"),
        (["--weights", "none.pth"], "none.pth"),
        (["--weights", "{x2}", "--scale", "4"], "enlarges by 2, but --scale says 4"),
        (["--weights", "{x2}", "--outscale", "0"], "--outscale must be above 0, got 0"),
        (["--weights", "{x2}", "--outscale", "nan"], "--outscale must be above 0, got nan"),
        (["--weights", "{x2}", "--device", "cuda:77"], "--device cuda:77: "),
        (["--weights", "{x2}", "--skip-existing", "--overwrite"], "give one of them"),
        (["--weights", "{x2}", "-o", "y.jpg", "--format", "png"], "y.jpg ends in .jpg, but --format says png"),
        (["--weights", "{x2}", "-o", "photo.png"], "photo.png is an input, and would be replaced"),
        (["--weights", "{x2}", "-o", "photo.png", "--overwrite"], "photo.png is an input, and would be replaced"),
        (["--weights", "{x2}", "-o", "y.bmp"], "y.bmp: images are written as .png, .jpg"),
        (["--weights", "{x2}", "-o", "y.MP4"], "y.MP4: images are written as .png, .jpg"),
        (["--weights", "{x2}", "-o", "bare"], "bare is a file, and a folder is needed for the outputs"),
        (["--weights", "{x2}", "--suffix", "a/b"], "--suffix 'a/b'"),
        (["--weights", "{x2}", "*.tif"], "no file fits the pattern *.tif"),
        (["--weights", "{x2}", "empty"], "image folder empty holds no image"),
        (["--weights", "{x2}", "--max-pixels", "100"], "more than --max-pixels allows"),
    ],
)
def test_contradictions_are_refused_before_anything_is_written(here, weights, words, message, capsys):
    write_image(here / "photo.png", RGB)
    (here / "empty").mkdir()
    (here / "bare").write_bytes(b"x")
    torch.save({"strange.weight": torch.zeros(3, 3)}, here / "odd.pth")
    before = files(here)
    words = [word.replace("{x2}", str(weights / "x2.safetensors")) for word in words]
    inputs = [] if words[-1] in ("*.tif", "empty") else ["photo.png"]
    assert upscale(*inputs, *words) == 2
    assert message in capsys.readouterr().err
    assert files(here) == before


# Which files.


def test_trees_names_and_resuming(here, weights, capsys):
    for name in ("in/a.png", "in/a.jpg", "in/sub/b.png"):
        write_image(here / name, RGB)
    run = ["in", "-o", "in/out", "--recursive", "--weights", weights / "x2.safetensors"]
    assert upscale(*run) == 0
    outputs = ["a.jpg.png", "a.png.png", "sub/b.png"]
    assert files("in/out") == outputs
    assert capsys.readouterr().out.splitlines()[-1].endswith(": in/out")
    # A second run: outputs are no inputs, and nothing is replaced without a word.
    assert upscale(*run) == 2
    error = capsys.readouterr().err
    assert "3 of 3 outputs exist, so that nothing was written" in error
    (here / "in" / "out" / "a.png.png").write_bytes(b"kept")
    (here / "in" / "out" / "sub" / "b.png").unlink()
    assert upscale(*run, "--skip-existing") == 0
    assert "2 of 3 outputs exist and are kept" in capsys.readouterr().out
    assert files("in/out") == outputs
    assert (here / "in" / "out" / "a.png.png").read_bytes() == b"kept"
    assert upscale(*run, "--overwrite") == 0
    assert (here / "in" / "out" / "a.png.png").read_bytes() != b"kept"


def test_a_folder_without_permission_is_refused_at_once(here, weights, monkeypatch, capsys):
    write_image(here / "in" / "a.png", RGB)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != here or mode != os.W_OK | os.X_OK)
    assert upscale("in", "-o", "new/out", "--weights", weights / "x2.safetensors") == 2
    assert f"no permission to write to the folder {here}: choose another one" in capsys.readouterr().err
    assert files(here) == ["in/a.png"]
    monkeypatch.undo()
    monkeypatch.chdir(here)
    (here / "new").write_bytes(b"x")
    assert upscale("in", "-o", "new/out", "--weights", weights / "x2.safetensors") == 2
    assert "new is a file, and a folder is needed" in capsys.readouterr().err


def test_names_may_be_any_bytes(here, weights):
    write_image(here / "in" / os.fsdecode(b"\xff\xe9 (1).png"), RGB)
    assert upscale("in", "-o", "out", "--weights", weights / "x2.safetensors") == 0
    assert [os.fsencode(name) for name in files("out")] == [b"\xff\xe9 (1).png"]


def test_a_folder_is_resumed_beside_its_images(here, weights):
    for name in ("a.png", "b.png"):
        write_image(here / name, RGB)
    run = [".", "--weights", weights / "x2.safetensors", "--skip-existing"]
    for _ in range(2):
        assert upscale(*run) == 0
        assert files(here) == ["a.png", "a_x2.png", "b.png", "b_x2.png"]


def test_formats_that_lose_something_are_refused_before_anything_is_written(here, weights, capsys):
    write_image(here / "in" / "plain.png", RGB)
    write_image(here / "in" / "alpha.png", np.concatenate([RGB, RGB[..., :1]], 2))
    write_image(here / "in" / "deep.png", RGB.astype(np.uint16) * 257)
    run = ["in", "-o", "out", "--weights", weights / "x2.safetensors"]
    assert upscale(*run, "--format", "jpg") == 2
    error = capsys.readouterr().err
    assert "JPEG cannot hold 2 of 3 outputs" in error
    assert "in/alpha.png: alpha" in error
    assert "in/deep.png: 16 bits" in error
    assert not (here / "out").exists()
    assert upscale(*run, "--format", "tiff") == 0
    assert files("out") == ["alpha.tiff", "deep.tiff", "plain.tiff"]
    assert read_header(here / "out" / "deep.tiff").bits == 16
    assert upscale("in/plain.png", "-o", "x.jpg", *run[3:]) == 0
    assert read_header(here / "x.jpg").kind == "JPEG"
    write_image(here / "wide.png", np.zeros((1, 9000, 3), np.uint8))
    assert upscale("wide.png", "-o", "wide.webp", *run[3:]) == 2
    assert "18000x2 pixels (at most 16,383 on a side)" in capsys.readouterr().err


def test_large_images_are_streamed_and_equal_the_others(here, weights, monkeypatch):
    write_image(here / "large.png", photograph(90, 70))
    run = ["large.png", "--weights", weights / "x3.safetensors", "--tile", "16", "--outscale", "2.5"]
    assert upscale(*run, "-o", "whole.png") == 0
    monkeypatch.setattr(srzoo.infer.files, "STREAMED_PIXELS", 1000)
    for name in ("parts.png", "parts.tif"):
        assert upscale(*run, "-o", name) == 0
        difference = read_image(here / name).rgb.astype(int) - read_image(here / "whole.png").rgb
        assert np.abs(difference).max() <= 1


def test_constant_images_stay_constant_and_any_size_works(here):
    write_image(here / "in" / "dot.png", np.full((1, 1, 3), 77, np.uint8))
    write_image(here / "in" / "line.png", np.full((1, 300, 3), 200, np.uint8))
    assert upscale("in", "-o", "out", "--arch", "Bicubic", "--scale", "2") == 0
    assert (read_image(here / "out" / "dot.png").rgb == 77).all()
    assert (read_image(here / "out" / "line.png").rgb == 200).all()


@pytest.mark.slow
def test_ctrl_c_leaves_whole_files_only(here, weights):
    for number in range(30):
        write_image(here / "in" / f"{number}.png", photograph(96, 120))
    words = ["upscale", "in", "-o", "out", "--weights", weights / "x4.safetensors", "--ensemble"]
    process = subprocess.Popen(
        [sys.executable, "-m", "srzoo.cli", *map(str, words)],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not list((here / "out").glob("[0-9]*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode().splitlines()[-1] == "interrupted"
    left = [here / "out" / name for name in files(here / "out")]
    assert 0 < len(left) < 30
    assert all(read_image(path).rgb.shape == (384, 480, 3) for path in left)


def test_two_devices_share_a_folder(here, weights):
    for number in range(5):
        write_image(here / "in" / f"{number}.png", photograph(20, 24, top=9 * number))
    run = ["in", "--weights", weights / "x2.safetensors"]
    assert upscale(*run, "-o", "one") == 0
    assert upscale(*run, "-o", "two", "--device", "cpu", "cpu") == 0
    assert [(here / "one" / name).read_bytes() for name in files("one")] == [
        (here / "two" / name).read_bytes() for name in files("two")
    ]
