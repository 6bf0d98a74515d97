"""`srzoo data make-lr`: bit-exact LR files, resumed, never over an input."""

import json
import os

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from srzoo.data.gt_images import GTImages
from srzoo.data.paired import PairedImages
from srzoo.data.reduction import reduced
from srzoo.data.storage.folder import PREPARED
from srzoo.images import read_header, read_image, to_tensor, write_image
from srzoo.metrics.psnr import PSNR
from srzoo.ops.resize import imresize
from tests.support import SHARED, needs_shared, photograph, write_photographs
from tests.test_convert import srzoo


@pytest.fixture
def make_lr(tmp_path, monkeypatch):
    """Run the command over tmp_path/gt into tmp_path/out; return its exit code."""

    def make(*words):
        return srzoo(monkeypatch, "data", "make-lr", tmp_path / "gt", tmp_path / "out", *words)

    return make


def state(folder):
    """(content, time) of each file, without the journal."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != PREPARED)
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@needs_shared
@pytest.mark.parametrize("dataset", ["Set5", pytest.param("Set14", marks=pytest.mark.slow)])
def test_files_are_the_published_ones_bit_for_bit(dataset, tmp_path, monkeypatch):
    gt = SHARED / "data" / dataset / "GT"
    assert srzoo(monkeypatch, "data", "make-lr", gt, tmp_path, "--scale", "2,3,4") == 0
    for scale in (2, 3, 4):
        ours = sorted((tmp_path / f"LRbicx{scale}").glob("*.png"))
        assert len(ours) == len(list(gt.iterdir()))
        for file in ours:
            theirs = read_image(SHARED / "data" / dataset / f"LRbicx{scale}" / file.name)
            assert np.array_equal(read_image(file).rgb, theirs.rgb), file.name


@needs_shared
@pytest.mark.parametrize("name", ["bird", "head"])
def test_legacy_files_have_the_psnr_that_an_older_matlab_computed(name, tmp_path, monkeypatch):
    expected = json.loads((SHARED / "reference" / "matlab_bicubic.json").read_text())["Set5_x3"][name][0]
    (tmp_path / "gt").mkdir()
    file = SHARED / "data" / "Set5" / "GT" / f"{name}.png"
    (tmp_path / "gt" / f"{name}.png").symlink_to(file)
    words = ["--scale", "3", "--kernel", "matlab-legacy"]
    assert srzoo(monkeypatch, "data", "make-lr", tmp_path / "gt", tmp_path / "out", *words) == 0
    lq = read_image(tmp_path / "out" / "LRmatlab-legacyx3" / f"{name}x3.png").rgb
    height, width = lq.shape[0] * 3, lq.shape[1] * 3
    chw = torch.from_numpy(np.ascontiguousarray(lq.transpose(2, 0, 1)))  # (3, h, w)
    sr = imresize(chw, size=(height, width), border="replicate")
    gt = to_tensor(read_image(file).rgb[:height, :width])
    psnr = PSNR(scale=3, protocol="matlab-y")(sr[None] / 255, gt[None])
    assert psnr.item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pil_and_area_are_those_of_the_libraries(mode):
    image = Image.fromarray(photograph(48, 60)).convert(mode)
    pixels = np.asarray(image).reshape(48, 60, -1)
    pillow = np.asarray(image.resize((20, 16), Image.Resampling.BICUBIC)).reshape(16, 20, -1)
    assert np.array_equal(reduced(pixels, 3, "pil"), pillow)
    means = cv2.resize(pixels, (20, 16), interpolation=cv2.INTER_AREA).reshape(16, 20, -1)
    assert np.array_equal(reduced(pixels, 3, "area"), means)


@pytest.mark.parametrize("kernel", ["matlab", "matlab-legacy", "pil", "area"])
def test_16_bits_are_kept_with_their_fractions(kernel):
    pixels = photograph(48, 60).astype(np.uint16) * 257
    small = reduced(pixels, 2, kernel)
    assert small.dtype == np.uint16
    assert small.max() > 255
    # Levels of 8 bits are multiples of 257; means of them are not.
    assert (small % 257).any()
    assert np.abs(small / 257 - reduced(photograph(48, 60), 2, kernel)).max() < 1.1


def test_grey_16_bits_alpha_and_profile_stay_and_sides_are_cropped(tmp_path, make_lr):
    profile = bytes(16) + b"GRAY" + bytes(108)
    grey = photograph(49, 61)[:, :, :1].astype(np.uint16) * 257
    write_image(tmp_path / "gt" / "sub" / "grey.png", grey, profile)
    write_image(tmp_path / "gt" / "alpha.png", np.dstack([photograph(49, 61), photograph(49, 61)[:, :, 0]]))
    assert make_lr("--scale", "2") == 0
    header = read_header(tmp_path / "out" / "LRbicx2" / "sub" / "greyx2.png")
    assert (header.size, header.grey, header.bits) == ((24, 30), True, 16)
    with Image.open(tmp_path / "out" / "LRbicx2" / "sub" / "greyx2.png") as image:
        assert image.info["icc_profile"] == profile
    assert read_header(tmp_path / "out" / "LRbicx2" / "alphax2.png").alpha


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_printed_option_reads_what_gt_images_computes(dtype, tmp_path, make_lr, capsys):
    write_image(tmp_path / "gt" / "a.png", photograph(49, 61).astype(dtype) * (257 if dtype == np.uint16 else 1))
    assert make_lr("--scale", "3") == 0
    line = f'{{type: PairedImages, gt: {tmp_path / "gt"}, lq: {tmp_path / "out"}/LRbicx3, lq_template: "{{}}x3"}}'
    assert line in capsys.readouterr().out
    options = {"scale": 3, "phase": "eval", "gt": tmp_path / "gt"}
    pairs = PairedImages(**options, lq=tmp_path / "out" / "LRbicx3", lq_template="{}x3")
    assert list(pairs.check(full=True)) == [[], []]
    computed = GTImages(**options)
    for name in ("lq", "gt"):
        assert torch.equal(pairs[0][name], computed[0][name])


def test_the_printed_option_names_another_kernel(tmp_path, make_lr, capsys):
    write_photographs(tmp_path / "gt", 1, 48, 60)
    assert make_lr("--scale", "2", "--kernel", "pil") == 0
    assert 'LRpilx2, lq_template: "{}x2", lq_kernel: pil}' in capsys.readouterr().out


def test_a_second_run_writes_nothing_and_more_scales_add_theirs(tmp_path, make_lr, capsys):
    write_photographs(tmp_path / "gt", 2, 40, 50)
    assert make_lr("--scale", "2") == 0
    before = state(tmp_path / "out")
    assert make_lr("--scale", "2") == 0
    assert "wrote 0 files" in capsys.readouterr().out
    assert make_lr("--scale", "2,4") == 0
    after = state(tmp_path / "out")
    assert before.items() < after.items()
    assert len(after) == 4


def test_a_dry_run_counts_and_writes_nothing(tmp_path, make_lr, capsys):
    write_photographs(tmp_path / "gt", 2, 40, 50)
    assert make_lr("--scale", "2,5", "--dry-run") == 0
    out = capsys.readouterr().out
    assert f"would write 4 files to {tmp_path / 'out'}, at most {2 * 3 * (20 * 25 + 8 * 10):,} bytes" in out
    assert not (tmp_path / "out").exists()


def test_changed_inputs_are_made_again_and_damaged_outputs_too(tmp_path, make_lr, capsys):
    first, second = write_photographs(tmp_path / "gt", 2, 40, 50)
    assert make_lr("--scale", "2") == 0
    before = state(tmp_path / "out")
    write_image(first, photograph(40, 50, 7, 7))
    os.utime(second)  # touched, not changed
    damaged = tmp_path / "out" / "LRbicx2" / f"{second.stem}x2.png"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0")
    capsys.readouterr()
    assert make_lr("--scale", "2") == 0
    assert "1 input(s) changed since their files were made" in capsys.readouterr().out
    after = state(tmp_path / "out")
    assert after["LRbicx2/00x2.png"][0] != before["LRbicx2/00x2.png"][0]
    assert after["LRbicx2/01x2.png"][0] == before["LRbicx2/01x2.png"][0]


def test_a_run_that_was_killed_continues(tmp_path, make_lr):
    write_photographs(tmp_path / "gt", 3, 40, 50)
    assert make_lr("--scale", "2") == 0
    before = state(tmp_path / "out")
    # The last file is there but its line is cut; the second is not there at all.
    journal = tmp_path / "out" / PREPARED
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(lines[0] + lines[2][:-20])
    (tmp_path / "out" / "LRbicx2" / "01x2.png").unlink()
    assert make_lr("--scale", "2") == 0
    after = state(tmp_path / "out")
    assert {name: content for name, (content, _) in after.items()} == {n: c for n, (c, _) in before.items()}
    assert after["LRbicx2/00x2.png"] == before["LRbicx2/00x2.png"]
    assert make_lr("--scale", "2") == 0
    assert state(tmp_path / "out") == after


def test_files_of_another_program_are_not_replaced(tmp_path, make_lr, capsys):
    write_photographs(tmp_path / "gt", 2, 40, 50)
    foreign = tmp_path / "out" / "LRbicx2" / "00x2.png"
    write_image(foreign, photograph(20, 25))
    content = foreign.read_bytes()
    assert make_lr("--scale", "2") == 2
    assert "exists with other content" in capsys.readouterr().err
    assert foreign.read_bytes() == content
    assert (tmp_path / "out" / "LRbicx2" / "01x2.png").is_file()
    assert make_lr("--scale", "2", "--overwrite") == 0
    assert foreign.read_bytes() != content


def test_bad_images_are_listed_at_the_end_and_the_others_are_done(tmp_path, make_lr, capsys):
    good = write_photographs(tmp_path / "gt", 1, 40, 50)[0]
    (tmp_path / "gt" / "text.png").write_text("no image")
    write_image(tmp_path / "gt" / "tiny.png", photograph(1, 50))
    content = bytearray(good.read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "gt" / "flipped.png").write_bytes(content)
    assert make_lr("--scale", "2") == 2
    error = capsys.readouterr().err
    assert "3 image(s) could not be used; all others are done" in error
    for name in ("text.png: not a readable image", "tiny.png: smaller than the scale 2", "flipped.png: "):
        assert f"{tmp_path / 'gt'}/{name}" in error
    assert list(state(tmp_path / "out")) == ["LRbicx2/00x2.png"]


def test_output_inside_the_input_or_over_it_is_refused(tmp_path, monkeypatch, capsys):
    write_photographs(tmp_path / "gt", 1, 40, 50)
    assert srzoo(monkeypatch, "data", "make-lr", tmp_path / "gt", tmp_path / "gt" / "lr", "--scale", "2") == 2
    assert "lies inside the input folder" in capsys.readouterr().err
    # A link from the output folder to the input.
    (tmp_path / "out" / "LRbicx2").mkdir(parents=True)
    (tmp_path / "out" / "LRbicx2" / "00x2.png").symlink_to(tmp_path / "gt" / "00.png")
    content = (tmp_path / "gt" / "00.png").read_bytes()
    words = ["--scale", "2", "--overwrite"]
    assert srzoo(monkeypatch, "data", "make-lr", tmp_path / "gt", tmp_path / "out", *words) == 2
    assert "is an input and would be overwritten" in capsys.readouterr().err
    assert (tmp_path / "gt" / "00.png").read_bytes() == content


@pytest.mark.parametrize("scale", ["1", "2,x", "0", "-2", ""])
def test_wrong_scales_are_refused(scale, tmp_path, make_lr, capsys):
    write_photographs(tmp_path / "gt", 1, 40, 50)
    assert make_lr(f"--scale={scale}") == 2
    assert "scale" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_processes_write_the_same_files(tmp_path, monkeypatch, make_lr):
    write_photographs(tmp_path / "gt", 3, 40, 50)
    assert make_lr("--scale", "2") == 0
    words = ["--scale", "2", "--workers", "2"]
    assert srzoo(monkeypatch, "data", "make-lr", tmp_path / "gt", tmp_path / "two", *words) == 0
    one, two = ({n: c for n, (c, _) in state(tmp_path / name).items()} for name in ("out", "two"))
    assert one == two
