"""The eight test degradations, as a command and step by step."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from srzoo.data.degrade import KINDS, degraded
from srzoo.images import read_image, write_image
from tests.support import SHARED, needs_shared, photograph, write_photographs
from tests.test_convert import srzoo

GT = photograph(96, 120)


def psnr(a, b):
    return 10 * np.log10(255**2 / max(np.square(a.astype(float) - b).mean(), 1e-9))


@needs_shared
def test_the_clean_one_is_the_classic_lr_file():
    gt = read_image(SHARED / "data" / "Set5" / "GT" / "bird.png").rgb
    height, width = (side - side % 4 for side in gt.shape[:2])
    lq = read_image(next((SHARED / "data" / "Set5" / "LRbicx4").glob("bird*"))).rgb
    assert np.array_equal(degraded(gt[:height, :width], "bicubic", 4, 0, "matlab"), lq)


@needs_shared
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "noise" not in kind])
def test_files_without_noise_are_the_authors_bit_for_bit(kind, tmp_path, monkeypatch):
    (tmp_path / "gt").mkdir()
    (tmp_path / "gt" / "img_002.png").symlink_to(SHARED / "data" / "Set14" / "GT" / "img_002.png")
    assert srzoo(monkeypatch, "data", "degrade", tmp_path / "gt", tmp_path / "out", "--kinds", kind) == 0
    ours, theirs = (
        read_image(folder / kind / "img_002.png").rgb for folder in (tmp_path / "out", SHARED / "reference/degraded")
    )
    assert np.array_equal(ours, theirs)


def test_noisy_values_are_truncated_as_by_the_authors_and_rounded_under_matlab():
    grey = np.full((400, 400, 3), 128, np.uint8)
    pillow, matlab = (degraded(grey, "bicubic_noise20", 4, 7, kernel).astype(int) for kernel in ("pillow", "matlab"))
    # The same noise: the fraction is dropped in one and rounded in the other.
    assert set(np.unique(matlab - pillow)) == {0, 1}
    assert (matlab - pillow).mean() == pytest.approx(0.5, abs=0.02)


def test_blur_is_a_gaussian_of_sigma_2_before_the_reduction():
    blurred = np.rint(gaussian_filter(GT.astype(float), (2, 2, 0), mode="mirror", radius=10)).astype(np.uint8)
    assert psnr(degraded(blurred, "bicubic", 4, 0), degraded(GT, "blur2_bicubic", 4, 0)) > 55


def test_noise_has_a_deviation_of_20_and_comes_after_the_reduction():
    grey = np.full((400, 400, 3), 128, np.uint8)
    noise = degraded(grey, "bicubic_noise20", 4, 7, "matlab").astype(float) - 128
    assert noise.std() == pytest.approx(20, abs=0.3)
    assert noise.mean() == pytest.approx(0, abs=0.5)
    neighbours = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.03, "white after the reduction"


def test_jpeg_of_quality_50_comes_last():
    noisy = degraded(GT, "bicubic_noise20", 4, 3)
    encoded = io.BytesIO()
    Image.fromarray(noisy).save(encoded, "JPEG", quality=50)
    assert psnr(np.asarray(Image.open(encoded)), degraded(GT, "bicubic_noise20_jpeg50", 4, 3)) > 45


def test_the_command_writes_every_kind_the_same_for_everyone(tmp_path, monkeypatch, capsys):
    write_photographs(tmp_path / "gt", 2, 40, 50)
    outs = [tmp_path / name for name in ("one", "two")]
    for out in outs:
        assert srzoo(monkeypatch, "data", "degrade", tmp_path / "gt", out) == 0
    assert "wrote 16 images" in capsys.readouterr().out
    for kind in KINDS:
        for name in ("00", "01"):
            first, second = (read_image(out / kind / f"{name}.png").rgb for out in outs)
            assert first.shape == (10, 12, 3)
            assert np.array_equal(first, second)
    noise = [
        read_image(outs[0] / "bicubic_noise20" / f"{name}.png").rgb.astype(float)
        - read_image(outs[0] / "bicubic" / f"{name}.png").rgb
        for name in ("00", "01")
    ]
    correlation = np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]
    assert abs(correlation) < 0.5, "each image has its own noise"


def test_a_bad_file_among_good_ones_is_listed_and_the_others_done(tmp_path, monkeypatch, capsys):
    paths = write_photographs(tmp_path / "gt", 3, 40, 50)
    paths[1].write_bytes(paths[1].read_bytes()[:500])
    write_image(tmp_path / "gt" / "deep.png", photograph(40, 50).astype(np.uint16))
    (tmp_path / "gt" / "00.bmp").write_bytes(paths[0].read_bytes())
    assert srzoo(monkeypatch, "data", "degrade", tmp_path / "gt", tmp_path / "out", "--kinds", "bicubic") == 2
    said = capsys.readouterr()
    assert "wrote 3 images" in said.out
    assert "2 image(s) could not be used; all others are done:" in said.err
    assert f"{paths[1]}: truncated" in said.err
    assert "deep.png: expected an 8-bit image" in said.err
    # Names that would collide without their suffixes keep them.
    assert sorted(path.name for path in (tmp_path / "out" / "bicubic").iterdir()) == [
        "00.bmp.png",
        "00.png.png",
        "02.png",
    ]


def test_wrong_requests_are_refused(tmp_path, monkeypatch, capsys):
    write_photographs(tmp_path / "gt", 1, 40, 50)
    cases = [
        ((tmp_path / "none", tmp_path / "out"), "none"),
        (
            (tmp_path / "gt", tmp_path / "out", "--kinds", "bicubic", "blur3"),
            "unknown degradation blur3; known: all, bicubic",
        ),
        (
            (tmp_path / "gt", tmp_path / "out", "--scale", "50"),
            "expected an 8-bit image of at least 50x50, got uint8 40x50",
        ),
    ]
    for arguments, message in cases:
        assert srzoo(monkeypatch, "data", "degrade", *arguments) == 2
        assert message in capsys.readouterr().err
    assert srzoo(monkeypatch, "data", "degrade", tmp_path / "gt", tmp_path / "out", "--kinds", "bicubic") == 0
    assert srzoo(monkeypatch, "data", "degrade", tmp_path / "gt", tmp_path / "out") == 2
    assert "1 files exist" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "folder"), [("blurr", "gt"), ("bicubic", "nowhere")])
def test_a_refused_request_reports_no_written_images(kind, folder, tmp_path, monkeypatch, capsys):
    write_photographs(tmp_path / "gt", 1)
    assert srzoo(monkeypatch, "data", "degrade", tmp_path / folder, tmp_path / "out", "--kinds", kind) == 2
    assert "wrote" not in capsys.readouterr().out
