"""`srzoo data subimages`: BasicSR's grid and names, pairs cut alike."""

import errno
import subprocess
import sys
import time

import numpy as np
import pytest

from srzoo.atomic import write_atomic
from srzoo.data.folders import search
from srzoo.data.paired import PairedImages
from srzoo.data.prepare import jobs
from srzoo.data.prepare.sub_images import Grid
from srzoo.data.storage.folder import PREPARED
from srzoo.images import read_header, read_image, write_image
from tests.support import ROOT, all_ended, photograph, write_photographs
from tests.test_convert import srzoo


@pytest.fixture
def subimages(tmp_path, monkeypatch):
    """Run the command over tmp_path/gt into tmp_path/out; return its exit code."""

    def cut(*words):
        return srzoo(monkeypatch, "data", "subimages", tmp_path / "gt", tmp_path / "out", *words)

    return cut


def basicsr_starts(length, size, step, thresh):
    """First pixels of the tiles, by the rule of BasicSR's script."""
    starts = np.arange(0, length - size + 1, step)
    if length - (starts[-1] + size) > thresh:
        starts = np.append(starts, length - size)
    return starts.tolist()


@pytest.mark.parametrize("thresh", [0, 7, 100])
@pytest.mark.parametrize("length", [48, 49, 71, 72, 73, 95, 96, 97, 200])
def test_tiles_lie_as_in_basicsr(length, thresh):
    assert Grid(48, 24, thresh).starts(length) == basicsr_starts(length, 48, 24, thresh)


def test_tiles_are_numbered_row_by_row_and_lie_flush_with_the_border(tmp_path, subimages, capsys):
    image = photograph(70, 100)
    write_image(tmp_path / "gt" / "deep" / "a.png", image)
    assert subimages("--size", "48", "--step", "24") == 0
    assert "wrote 8 files" in capsys.readouterr().out
    corners = [(y, x) for y in (0, 22) for x in (0, 24, 48, 52)]
    for number, (y, x) in enumerate(corners, 1):
        tile = read_image(tmp_path / "out" / "deep" / f"a_s{number:03d}.png").rgb
        assert np.array_equal(tile, image[y : y + 48, x : x + 48]), number
    # The journal is no file of the dataset.
    listing = search(tmp_path / "out")
    assert len(listing.images) == 8
    assert listing.left_out == []
    assert (tmp_path / "out" / PREPARED).is_file()


def test_strips_up_to_thresh_are_left_out(tmp_path, subimages):
    write_image(tmp_path / "gt" / "a.png", photograph(48, 53))
    assert subimages("--size", "48", "--step", "24", "--thresh", "5") == 0
    assert [image.key for image in search(tmp_path / "out").images] == ["a_s001"]


def test_pixels_are_lossless_in_16_bits_grey_and_alpha(tmp_path, subimages):
    grey = photograph(48, 60)[:, :, :1].astype(np.uint16) * 257 + 3
    alpha = np.dstack([photograph(48, 60), photograph(48, 60)[:, :, 1]])
    write_image(tmp_path / "gt" / "grey.png", grey)
    write_image(tmp_path / "gt" / "alpha.png", alpha)
    assert subimages("--size", "48", "--step", "48") == 0
    header = read_header(tmp_path / "out" / "grey_s002.png")
    assert (header.grey, header.bits) == (True, 16)
    assert np.array_equal(read_image(tmp_path / "out" / "grey_s002.png").rgb[:, :, :1], grey[:, 12:])
    picture = read_image(tmp_path / "out" / "alpha_s002.png")
    assert np.array_equal(picture.rgb, alpha[:, 12:, :3])
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, alpha[:, 12:, 3])


@pytest.mark.parametrize("template", ["{}", "{}x2"])
def test_lq_is_cut_alike(template, tmp_path, subimages, capsys):
    # The sides of GT are no multiples of the scale: LQ covers GT without the last row and column.
    for name, top in (("a", 0), ("b", 30)):
        image = photograph(71, 101, top)
        write_image(tmp_path / "gt" / f"{name}.png", image)
        write_image(tmp_path / "lq" / f"{template.format(name)}.png", image[:70:2, :100:2])
    assert subimages("--size", "48", "--step", "24", "--lq", tmp_path / "lq", "--scale", "2") == 0
    assert f"gt: {tmp_path / 'out' / 'GT'}, lq: {tmp_path / 'out' / 'LQ'}" in capsys.readouterr().out
    pairs = PairedImages(scale=2, phase="eval", gt=tmp_path / "out" / "GT", lq=tmp_path / "out" / "LQ")
    assert len(pairs) == 16
    assert all(faults == [] for faults in pairs.check(full=True))
    for pair in pairs.pairs:
        assert pair.gt is not None
        assert pair.lq is not None
        assert np.array_equal(read_image(pair.gt).rgb[::2, ::2], read_image(pair.lq).rgb)


def test_partners_that_do_not_fit_are_listed_and_the_others_are_cut(tmp_path, subimages, capsys):
    for name in ("fits", "alone", "twice", "wrong"):
        write_image(tmp_path / "gt" / f"{name}.png", photograph(48, 48))
    for name in ("fits", "twice", "twicex2", "spare"):
        write_image(tmp_path / "lq" / f"{name}.png", photograph(24, 24))
    write_image(tmp_path / "lq" / "wrongx2.png", photograph(16, 16))
    assert subimages("--size", "48", "--step", "24", "--lq", tmp_path / "lq", "--scale", "2") == 2
    error = capsys.readouterr().err
    assert "4 image(s) could not be used" in error
    assert "alone.png: has no single partner alone.* or alonex2.*" in error
    assert "twice.png: has no single partner" in error
    assert "wrong.png: partner" in error
    assert "spare.png: extra" in error
    assert [image.key for image in search(tmp_path / "out").images] == ["GT/fits_s001", "LQ/fits_s001"]


def test_images_smaller_than_a_tile_are_listed(tmp_path, subimages, capsys):
    write_image(tmp_path / "gt" / "small.png", photograph(47, 100))
    write_image(tmp_path / "gt" / "large.png", photograph(48, 100))
    assert subimages("--size", "48", "--step", "24") == 2
    assert "small.png: smaller than a sub-image: 47x100, needed 48x48" in capsys.readouterr().err
    assert (tmp_path / "out" / "large_s004.png").is_file()


def test_other_settings_are_noticed_and_overwrite_leaves_no_stale_tiles(tmp_path, subimages, capsys):
    write_photographs(tmp_path / "gt", 1, 96, 96)
    assert subimages("--size", "48", "--step", "24") == 0
    assert len(search(tmp_path / "out").images) == 9
    assert subimages("--size", "48", "--step", "48") == 2
    assert "holds files made with step 24 (now 48)" in capsys.readouterr().err
    assert len(search(tmp_path / "out").images) == 9
    assert subimages("--size", "48", "--step", "48", "--overwrite") == 0
    assert len(search(tmp_path / "out").images) == 4


def test_a_changed_image_leaves_no_stale_tiles_and_a_removed_one_is_named(tmp_path, subimages, capsys):
    first, second = write_photographs(tmp_path / "gt", 2, 96, 96)
    assert subimages("--size", "48", "--step", "24") == 0
    write_image(first, photograph(48, 48))
    second.unlink()
    capsys.readouterr()
    assert subimages("--size", "48", "--step", "24") == 0
    assert "9 file(s) of earlier runs belong to other images: 01_s001.png first" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("00_s*.png"))) == 1


def test_names_that_collide_are_refused_before_anything_is_written(tmp_path, subimages, capsys):
    write_image(tmp_path / "gt" / "a.png", photograph(48, 48))
    write_image(tmp_path / "gt" / "GT" / "a.png", photograph(48, 48))
    write_image(tmp_path / "lq" / "a.png", photograph(24, 24))
    write_image(tmp_path / "lq" / "GT" / "a.png", photograph(24, 24))
    assert subimages("--size", "48", "--step", "24", "--lq", tmp_path / "lq", "--scale", "2") == 0
    assert subimages("--size", "50", "--step", "24", "--lq", tmp_path / "lq", "--scale", "4") == 2
    assert "must be multiples of the scale 4" in capsys.readouterr().err


def test_a_full_disk_stops_the_run_and_leaves_whole_files(tmp_path, subimages, monkeypatch, capsys):
    write_photographs(tmp_path / "gt", 3, 48, 96)
    written = []

    def full(path, write):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, f"could not write {path}: No space left on device")
        written.append(path)
        write_atomic(path, write)

    with monkeypatch.context() as disk:
        disk.setattr(jobs, "write_atomic", full)
        assert subimages("--size", "48", "--step", "48") == 2
    assert "No space left on device" in (error := capsys.readouterr().err)
    assert "could not be used" not in error
    assert len(written) == 3
    assert subimages("--size", "48", "--step", "48") == 0
    assert len(search(tmp_path / "out").images) == 6


@pytest.mark.slow
def test_a_killed_run_continues_and_its_workers_end(tmp_path, subimages):
    for number in range(12):
        write_image(tmp_path / "gt" / f"{number:02}.png", photograph(200, 200, number, number))
    words = ["data", "subimages", tmp_path / "gt", tmp_path / "out", "--size", "48", "--step", "8", "--workers", "2"]
    command = [sys.executable, "-m", "srzoo.cli", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    journal = tmp_path / "out" / PREPARED
    while not journal.is_file():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert all_ended(process.pid, 10)
    done = len(journal.read_text().splitlines())
    assert done < 12
    assert subimages("--size", "48", "--step", "8") == 0
    images = search(tmp_path / "out").images
    assert len(images) == 12 * 400
    assert all(read_image(image.path).rgb.shape == (48, 48, 3) for image in images[::97])
    assert len(journal.read_text().splitlines()) == 12


@pytest.mark.parametrize(
    "words",
    [
        ["--size", "0"],
        ["--step", "0"],
        ["--thresh", "-1"],
        ["--lq", "lq", "--scale", "0"],
        ["--lq", "lq", "--scale", "-2"],
    ],
)
def test_wrong_grids_are_refused(words, tmp_path, subimages, capsys):
    write_photographs(tmp_path / "gt", 1, 96, 96)
    assert subimages(*words) == 2
    assert "expected size, step and scale above 0 and thresh of 0 or more" in (error := capsys.readouterr().err)
    assert f"{words[-2].removeprefix('--')} {words[-1]}" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--scale", "2"], ["--lq", "lq"]])
def test_lq_and_scale_belong_together(words, tmp_path, subimages, capsys):
    write_photographs(tmp_path / "gt", 1, 96, 96)
    assert subimages(*words) == 2
    assert "--lq DIR and --scale N belong together" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
