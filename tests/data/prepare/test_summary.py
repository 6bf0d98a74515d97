"""`srzoo data info`: what a folder of images holds, in numbers and as a contact sheet."""

import json

import numpy as np
import pytest

from srzoo.data.prepare.contact_sheet import contact_sheet
from srzoo.images import image_size, read_image, write_image
from tests.support import SHARED, needs_shared, photograph
from tests.test_convert import srzoo


@pytest.fixture
def info(tmp_path, monkeypatch):
    """Run the command over tmp_path/images; return its exit code."""
    return lambda *words: srzoo(monkeypatch, "data", "info", tmp_path / "images", *words)


@pytest.fixture
def images(tmp_path):
    """Write a folder of images of every mode and depth; return them by name."""
    photo = photograph(24, 32)
    pixels = {
        "rgb.png": photo,
        "copy of rgb.png": photo,
        "sub/grey.png": photo[:20, :, :1],
        "grey as rgb.png": np.repeat(photo[:20, :, :1], 3, 2),
        "alpha.png": np.dstack([photo, photo[:, :, 0]]),
        "deep.png": photo.astype(np.uint16) * 256 + 7,
        "shallow.png": photo.astype(np.uint16) * 257,
        "plain.png": np.full((24, 40, 3), (1, 2, 3), np.uint8),
    }
    for name, image in pixels.items():
        write_image(tmp_path / "images" / name, image)
    (tmp_path / "images" / "notes.txt").write_text("none")
    return pixels


def test_numbers_are_those_of_the_pixels(images, tmp_path, info, capsys):
    assert info("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["count"] == 8
    assert found["pixels"] == sum(image.shape[0] * image.shape[1] for image in images.values())
    assert found["num_bytes"] == sum(path.stat().st_size for path in (tmp_path / "images").rglob("*.png"))
    assert found["kinds"] == {"PNG": 8}
    assert found["modes"] == {"RGB with alpha": 1, "RGB": 6, "grey": 1}
    assert found["bits"] == {"8": 6, "16": 2}
    assert (found["height"], found["width"]) == ([20, 24, 24], [32, 32, 40])
    assert found["sizes"] == {"24x32": 5, "20x32": 2, "24x40": 1}
    assert found["remarks"] == {"grey saved as RGB": 1, "8 bits saved as 16": 1, "of one colour": 1}
    assert found["duplicates"] == [["copy of rgb", "rgb"]]
    assert found["left_out"] == "1 .txt"
    assert found["problems"] == []
    values = np.concatenate(
        [
            (np.broadcast_to(image[:, :, :3], (*image.shape[:2], 3)) / np.iinfo(image.dtype).max).reshape(-1, 3)
            for image in images.values()
        ]
    )
    assert found["mean"] == pytest.approx(values.mean(0).tolist())
    assert found["std"] == pytest.approx(values.std(0).tolist())


@pytest.mark.usefixtures("images")
def test_the_text_says_the_same_and_headers_alone_give_no_values(info, capsys):
    assert info() == 0
    text = capsys.readouterr().out
    for line in (
        "images:     8,",
        "bits:       8: 6, 16: 2",
        "mean RGB:",
        "duplicates: copy of rgb = rgb",
        "problems:   0",
    ):
        assert line in text
    assert info("--headers") == 0
    text = capsys.readouterr().out
    assert "images:     8," in text
    assert "mean RGB" not in text


@pytest.mark.usefixtures("images")
def test_processes_find_the_same(info, capsys):
    assert info("--json") == 0
    one = json.loads(capsys.readouterr().out)
    assert info("--json", "--workers", "2") == 0
    assert json.loads(capsys.readouterr().out) == one


@needs_shared
def test_files_with_problems_are_listed_after_the_summary(monkeypatch, capsys):
    assert srzoo(monkeypatch, "data", "info", SHARED / "cases" / "images", "--json") == 2
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    expected = json.loads((SHARED / "cases" / "images.json").read_text())
    broken = {"bomb.png", "bomb30k.png", "hole.jpg", "idat_corrupt.png"}
    assert {problem["file"].rpartition("/")[2] for problem in found["problems"]} == broken
    assert found["count"] == len(expected) - len(broken)
    assert f"{len(broken)} image(s) could not be used" in captured.err


def test_the_contact_sheet_shows_every_image(images, tmp_path, info, capsys):
    write_image(tmp_path / "images" / "bad.png", photograph(24, 32))
    (tmp_path / "images" / "bad.png").write_bytes(b"no image")
    assert info("-o", tmp_path / "sheet.png") == 2
    assert f"wrote {tmp_path / 'sheet.png'}: 8 images" in capsys.readouterr().err
    assert image_size(tmp_path / "sheet.png") == (3 * 150 + 8, 3 * 136 + 8)
    sheet = read_image(tmp_path / "sheet.png").rgb
    for name, image in images.items():
        if image.dtype == np.uint8 and image.shape[2] == 3:
            windows = np.lib.stride_tricks.sliding_window_view(sheet, image.shape)[:, :, 0]
            first = np.argwhere((windows[:, :, 0, 0] == image[0, 0]).all(2))
            assert any(np.array_equal(windows[y, x], image) for y, x in first), name
    # An existing one is kept, and a dry run writes none.
    assert info("-o", tmp_path / "sheet.png") == 2
    assert "sheet.png exists" in capsys.readouterr().err
    assert info("-o", tmp_path / "other.png", "--dry-run") == 2
    assert "would write" in capsys.readouterr().err
    assert not (tmp_path / "other.png").exists()


def test_pictures_are_chosen_evenly_and_large_ones_are_reduced(tmp_path, info):
    for number in range(10):
        write_image(tmp_path / "images" / f"{number}.png", np.full((300, 200, 3), 25 * number, np.uint8))
    assert info("-o", tmp_path / "sheet.png", "--pictures", "4") == 0
    sheet = read_image(tmp_path / "sheet.png").rgb
    centres = [sheet[8 + 64 + row * 150, 8 + 64 + column * 136, 0] for row in (0, 1) for column in (0, 1)]
    assert centres == [0, 50, 125, 175]


def test_labels_are_ascii_whatever_the_name():
    sheet = contact_sheet({"日本語": np.zeros((10, 10, 3), np.uint8)})
    assert sheet.shape == (158, 144, 3)
    # The label is below the picture.
    assert (sheet[8 + 128 :] < 255).any()
