"""Files as people have them: lists, links, names, damage; used, left out or refused."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from srzoo.data.gt_images import GTImages
from srzoo.data.lq_images import LQImages
from srzoo.data.paired import PairedImages
from srzoo.engine.evaluate import evaluate
from srzoo.images import read_image, write_image
from tests.support import ROOT, SHARED, needs_shared, photograph, run_test, run_train, write_options, write_photographs


def faults(dataset, full=False):
    return [(fault.file.name, fault.reason) for found in dataset.check(full) for fault in found]


@pytest.fixture
def folders(tmp_path):
    """Four pairs of one name, GT 96x120, LQ 48x60."""
    write_photographs(tmp_path / "gt")
    for number in range(4):
        write_image(tmp_path / "lq" / f"{number:02}.png", photograph(48, 60, top=number * 40, left=number * 30))
    return tmp_path


def test_linked_folders_are_followed_once(folders):
    (folders / "all").mkdir()
    (folders / "all" / "photographs").symlink_to(folders / "gt", target_is_directory=True)
    (folders / "gt" / "loop").symlink_to(folders / "gt", target_is_directory=True)
    dataset = GTImages(scale=2, phase="eval", gt=folders / "all")
    assert [pair.key for pair in dataset.pairs] == [f"photographs/{number:02}" for number in range(4)]


def test_unusual_suffixes_of_images_are_read(folders):
    for suffix in ("jfif", "jpe", "gif", "ppm", "JPG"):
        (folders / "gt" / f"{suffix}.{suffix}").write_bytes((folders / "gt" / "00.png").read_bytes())
    dataset = GTImages(scale=2, phase="eval", gt=folders / "gt")
    assert len(dataset) == 9
    assert faults(dataset, full=True) == []


def test_counts_and_files_left_out_are_said(folders, capsys):
    (folders / "gt" / "notes.txt").write_text("x")
    (folders / "gt" / "more.txt").write_text("x")
    (folders / "gt" / "phone.HEIC").write_bytes(b"x")
    (folders / "gt" / ".cache").mkdir()
    (folders / "gt" / ".cache" / "00.png").write_bytes(b"x")
    write_image(folders / "gt" / "alpha.png", np.dstack([photograph(), photograph()[..., :1]]))
    assert run_test(write_options(folders / "x.yml", options_of(folders, GTImages="gt"))) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        "datasets.test.mine: 5 images; left out: 2 .txt, 1 hidden, 1 .heic; alpha of 1 file(s) is not used"
    )


def options_of(folder, **dataset):
    """Options of a test without weights: one dataset, its type and main folder given as TYPE="folder"."""
    ((kind, place),) = dataset.items()
    key = "gt" if kind == "GTImages" else "lq"
    return {
        "name": "run",
        "scale": 2,
        "network_g": {"type": "Bicubic"},
        "path": {"experiments": str(folder / "experiments")},
        "datasets": {"test": {"mine": {"type": kind, key: str(folder / place)}}},
        "val": {"save_img": True, "metrics": {"psnr": {"type": "PSNR"}} if kind == "GTImages" else {}},
    }


def test_lq_that_is_gt_is_refused(folders):
    same = PairedImages(scale=1, phase="eval", gt=folders / "gt", lq=folders / "gt")
    assert all(reason.startswith("LQ and GT are one file") for _, reason in faults(same))
    assert len(faults(same)) == 4
    (folders / "lq" / "01.png").unlink()
    (folders / "lq" / "01.png").hardlink_to(folders / "gt" / "01.png")
    (folders / "lq" / "02.png").write_bytes((folders / "gt" / "02.png").read_bytes())
    write_image(folders / "lq" / "03.png", photograph(192, 240))
    reasons = dict(faults(PairedImages(scale=2, phase="eval", gt=folders / "gt", lq=folders / "lq")))
    assert reasons["01.png"].startswith("LQ and GT are one file")
    assert reasons["02.png"].startswith("LQ has the content of GT")
    assert reasons["03.png"].endswith("; LQ and GT (LR and HR) are swapped")
    assert len(reasons) == 3
    swapped = dict(faults(PairedImages(scale=4, phase="eval", gt=folders / "lq", lq=folders / "gt")))
    assert swapped["00.png"].endswith("; LQ and GT (LR and HR) are swapped")
    other_scale = dict(faults(PairedImages(scale=4, phase="eval", gt=folders / "gt", lq=folders / "lq")))
    assert other_scale["00.png"].endswith("; scale 2 fits")
    # Equal content at scale 1, in two files, is a pair without a degradation.
    (folders / "copy").mkdir()
    for path in (folders / "gt").iterdir():
        (folders / "copy" / path.name).write_bytes(path.read_bytes())
    assert faults(PairedImages(scale=1, phase="eval", gt=folders / "gt", lq=folders / "copy")) == []


@pytest.mark.parametrize("together", [True, False])
def test_names_of_realsr_are_templates(folders, together):
    for number in range(4):
        lq = folders / ("gt" if together else "lq") / f"Canon_{number}_LR2.png"
        (folders / "gt" / f"{number:02}.png").rename(folders / "gt" / f"Canon_{number}_HR.png")
        (folders / "lq" / f"{number:02}.png").rename(lq)
    lq_folder = folders / ("gt" if together else "lq")
    options: dict[str, Any] = {"gt_template": "{}_HR", "lq_template": "{}_LR2"}
    dataset = PairedImages(scale=2, phase="eval", gt=folders / "gt", lq=lq_folder, **options)
    assert [(pair.key, pair.lq and pair.lq.name) for pair in dataset.pairs] == [
        (f"Canon_{number}_HR", f"Canon_{number}_LR2.png") for number in range(4)
    ]
    assert faults(dataset) == []
    assert dataset.describe() == "4 images"
    (folders / "gt" / "Canon_9_HR.png").write_bytes((folders / "gt" / "Canon_0_HR.png").read_bytes())
    (folders / "gt" / "contents.png").write_bytes((folders / "gt" / "Canon_0_HR.png").read_bytes())
    dataset = PairedImages(scale=2, phase="eval", gt=folders / "gt", lq=lq_folder, **options)
    assert [reason.partition(" in ")[0] for _, reason in faults(dataset)][:1] == ["has no partner Canon_9_LR2.*"]
    assert "1 not named {}_HR" in dataset.describe()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lists_are_read_in_every_unicode_encoding(folders, encoding):
    (folders / "gt" / "00.png").rename(folders / "gt" / "grün.png")
    (folders / "list.txt").write_bytes("01.png (96,120,3)\r\ngrün.png (96,120,3)\r\n".encode(encoding))
    dataset = GTImages(scale=2, phase="eval", gt=folders / "gt", meta_info=folders / "list.txt")
    assert [pair.key for pair in dataset.pairs] == ["01", "grün"]
    assert faults(dataset) == []


def test_lists_in_other_encodings_are_refused_by_line(folders):
    (folders / "list.txt").write_bytes("01.png\n\ngrün.png".encode("latin-1"))
    with pytest.raises(ValueError, match=r"list.txt:3 is not text in UTF-8"):
        GTImages(scale=2, phase="eval", gt=folders / "gt", meta_info=folders / "list.txt")


@pytest.mark.parametrize(
    "line",
    [
        "lq/00.png gt/00.png",
        "gt/00.png, lq/00.png",
        "gt/00.png,lq/00.png",
        "lq/00.png\tgt/00.png",
        "~/lq/00.png ~/gt/00.png",
        "../{name}/lq/00.png ./gt/00.png",
    ],
)
def test_lines_of_pairs_in_every_form(folders, line, monkeypatch):
    monkeypatch.setenv("HOME", str(folders))
    (folders / "list.txt").write_text(line.format(name=folders.name))
    dataset = PairedImages(scale=2, phase="eval", pairs=folders / "list.txt")
    assert [(pair.lq, pair.gt) for pair in dataset.pairs] == [(folders / "lq" / "00.png", folders / "gt" / "00.png")]
    assert faults(dataset) == []


def test_faults_of_lists_name_file_and_line(folders):
    names = ["00.png", "00.png", "../lq/00.png", str(folders / "lq" / "01.png"), "gt/01.png, lq/01.png"]
    (folders / "list.txt").write_text("\n".join(names))
    dataset = GTImages(scale=2, phase="eval", gt=folders / "gt", meta_info=folders / "list.txt")
    outside = f"lies outside the folder {folders / 'gt'}: list names below it"
    assert [reason for _, reason in faults(dataset)] == [
        f"listed twice: {folders}/list.txt:2 and line 1",
        f"named in {folders}/list.txt:3, {outside}",
        f"named in {folders}/list.txt:4, {outside}",
        f"named in {folders}/list.txt:5 but missing; a line of two files belongs into `pairs`",
    ]
    (folders / "list.txt").write_text("lq/00.png gt/00.png\nlq/00.png gt/00.png\nlq/01.png gt/00.png")
    reasons = [reason for _, reason in faults(PairedImages(scale=2, phase="eval", pairs=folders / "list.txt"))]
    assert reasons[0] == f"listed twice with {folders}/lq/00.png: {folders}/list.txt:2 and line 1"


def test_keys_of_pair_lists_stay_below_the_folder_of_results(folders, monkeypatch):
    (folders / "elsewhere").mkdir()
    (folders / "elsewhere" / "00.png").write_bytes((folders / "gt" / "01.png").read_bytes())
    (folders / "here").mkdir()
    (folders / "here" / "list.txt").write_text("../lq/00.png ../gt/00.png\n../lq/01.png ../elsewhere/00.png")
    monkeypatch.chdir(folders / "here")
    dataset = PairedImages(scale=2, phase="eval", pairs=Path("list.txt"))
    assert all(".." not in pair.key.split("/") and not pair.key.startswith("/") for pair in dataset.pairs)
    assert len({pair.key for pair in dataset.pairs}) == 2


def test_gt_of_listed_pairs_is_cut_to_fit(folders):
    gt = photograph(107, 131)
    write_image(folders / "gt" / "00.png", gt)  # a margin of 11 pixels beyond 2 x 48 and 2 x 60
    (folders / "list.txt").write_text("\n".join(f"lq/{number:02}.png gt/{number:02}.png" for number in range(4)))
    dataset = PairedImages(scale=2, phase="eval", pairs=folders / "list.txt")
    assert faults(dataset) == []
    assert dataset.describe() == "4 images; GT of 1 pair(s) is larger than 2 times LQ and cut to fit"
    lq, cut = dataset._whole(dataset.pairs[0])
    assert lq.shape == (48, 60, 3)
    np.testing.assert_array_equal(cut, gt[:96, :120])
    # A margin as wide as LQ means another scale; GT that is too small, and folders, are never cut.
    write_image(folders / "gt" / "00.png", photograph(144, 180))
    write_image(folders / "gt" / "01.png", photograph(90, 120))
    assert [name for name, _ in faults(dataset)] == ["00.png", "01.png"]
    write_image(folders / "gt" / "00.png", gt)
    in_folders = PairedImages(scale=2, phase="eval", gt=folders / "gt", lq=folders / "lq")
    assert [name for name, _ in faults(in_folders)] == ["00.png", "01.png"]


def test_bad_lq_images_are_listed_and_the_others_done(tmp_path, capsys):
    paths = write_photographs(tmp_path / "lq", 4, 24, 30)
    paths[1].write_text("no image")
    content = bytearray(paths[2].read_bytes())
    content[len(content) // 2] ^= 0xFF  # found by decoding alone
    paths[2].write_bytes(bytes(content))
    assert run_test(write_options(tmp_path / "x.yml", options_of(tmp_path, LQImages="lq"))) == 2
    said = capsys.readouterr().err
    assert "2 image(s) could not be used; all others are done:" in said
    assert f"{paths[1]}: not a readable image" in said
    assert f"{paths[2]}: cannot be decoded" in said
    written = sorted(path.name for path in (tmp_path / "experiments" / "run" / "visualization" / "mine").iterdir())
    assert written == ["00.png", "03.png"]
    for path in paths:
        path.write_text("no image")
    assert run_test(write_options(tmp_path / "y.yml", options_of(tmp_path, LQImages="lq") | {"name": "none"})) == 2
    assert "4 fault(s) in the data" in capsys.readouterr().err


@pytest.mark.slow
def test_names_of_any_bytes_and_links_to_themselves_stop_nothing(tmp_path):
    (tmp_path / "lq").mkdir()
    name = tmp_path / "lq" / os.fsdecode(b"caf\xe9\n.png")
    write_image(name, photograph(32, 40))
    (tmp_path / "lq" / "loop.png").symlink_to("loop.png")
    os.mkfifo(tmp_path / "lq" / "pipe.png")
    (tmp_path / "lq" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    file = write_options(tmp_path / "x.yml", options_of(tmp_path, LQImages="lq"))
    # In a process of its own: the output of a test takes any text, that of a terminal does not.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, ROOT / "srzoo" / "test.py", "-opt", file]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert process.stderr.splitlines()[-3:] == [
        f"  {tmp_path}/lq/loop.png: not a readable image (it is a link to a missing file)",
        f"  {tmp_path}/lq/pipe.png: image {tmp_path}/lq/pipe.png is a folder or a device, not a file",
        rf"  {tmp_path}/lq/\udcff.png: not a readable image (the file is empty)",
    ]
    (output,) = (tmp_path / "experiments" / "run" / "visualization" / "mine").iterdir()
    assert output.name == name.name


def test_lq_images_may_be_smaller_than_the_scale(tmp_path):
    sizes = {"one": (1, 1), "row": (1, 7), "column": (5, 2)}
    for name, (height, width) in sizes.items():
        write_image(tmp_path / "lq" / f"{name}.png", photograph(height, width))
    options = options_of(tmp_path, LQImages="lq") | {"scale": 4}
    assert run_test(write_options(tmp_path / "x.yml", options)) == 0
    for name, (height, width) in sizes.items():
        output = read_image(tmp_path / "experiments" / "run" / "visualization" / "mine" / f"{name}.png").rgb
        assert output.shape == (4 * height, 4 * width, 3)


@needs_shared
def test_outputs_of_odd_files_keep_what_the_files_have(tmp_path):
    """Size as shown, alpha, depth and grey; every file is read or named."""
    import json

    expected = json.loads((SHARED / "cases" / "images.json").read_text())
    options = options_of(tmp_path, LQImages="lq")
    options["datasets"]["test"]["mine"]["lq"] = str(SHARED / "cases" / "images")
    assert run_test(write_options(tmp_path / "x.yml", options)) == 2  # some are damaged
    folder = tmp_path / "experiments" / "run" / "visualization" / "mine"
    read = [case for case in expected if case["outcome"] == "upscaled"]
    keys = [case["file"].rpartition(".")[0] for case in expected]
    outputs = {path.name for path in folder.iterdir()}
    assert len(outputs) == len(read)
    for case in read:
        stem = case["file"].rpartition(".")[0]
        name = f"{stem if keys.count(stem) == 1 else case['file']}.png"
        picture = read_image(folder / name)
        width, height = case.get("shown_size_wh", (128, 96))  # Pillow has no size for float_rgb.tif
        assert picture.rgb.shape == (2 * height, 2 * width, 3), name
        assert (picture.alpha is not None) == case.get("alpha", False), name
        assert picture.rgb.dtype == (np.uint16 if case["bits"] in (16, 32) else np.uint8), name
        assert ("icc_profile" in Image.open(folder / name).info) == case["icc"], name
        if case.get("mode") in ("1", "L", "LA", "I;16", "F"):
            assert (picture.rgb == picture.rgb[..., :1]).all(), name


def test_alpha_is_enlarged_with_the_image(tmp_path):
    alpha = np.zeros((20, 24, 1), np.uint8)
    alpha[:, 12:] = 255
    write_image(tmp_path / "lq" / "a.png", np.dstack([photograph(20, 24), alpha]))
    assert run_test(write_options(tmp_path / "x.yml", options_of(tmp_path, LQImages="lq"))) == 0
    picture = read_image(tmp_path / "experiments" / "run" / "visualization" / "mine" / "a.png")
    assert picture.alpha is not None
    assert (picture.alpha[:, :20] == 0).all()
    assert (picture.alpha[:, 28:] == 255).all()


def test_colour_profiles_are_kept_where_they_fit(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "lq").mkdir()
    Image.fromarray(photograph(20, 24)).save(tmp_path / "lq" / "a.jpg", icc_profile=profile)
    Image.fromarray(photograph(20, 24)).convert("L").save(tmp_path / "lq" / "b.png", icc_profile=profile)
    assert run_test(write_options(tmp_path / "x.yml", options_of(tmp_path, LQImages="lq"))) == 0
    folder = tmp_path / "experiments" / "run" / "visualization" / "mine"
    with Image.open(folder / "a.png") as image:
        image.load()
        assert image.info["icc_profile"] == profile
    assert read_image(folder / "a.png").rgb.shape == (40, 48, 3)
    assert "icc_profile" not in Image.open(folder / "b.png").info


def test_outputs_named_by_a_plugin_stay_in_their_folder(tmp_path):
    import torch
    from torch.utils.data import Dataset

    class Elsewhere(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return {"lq": torch.zeros(3, 4, 4), "key": "../../victim"}

    with pytest.raises(ValueError, match=r"'../../victim' names no file below"):
        evaluate(
            torch.nn.Identity(), Elsewhere(), {}, name="x", device=torch.device("cpu"), save_to=tmp_path / "a" / "b"
        )
    assert not (tmp_path / "victim.png").exists()


def test_max_pixels_limits_images_in_the_pre_flight(tmp_path, capsys):
    from tests.support import training_options

    options = training_options(tmp_path) | {"data": {"max_pixels": 64 * 72}}
    assert run_train(write_options(tmp_path / "x.yml", options)) == 2
    said = capsys.readouterr().err
    assert "96x120 are 0 million pixels, more than data.max_pixels allows" in said
    assert not (tmp_path / "experiments").exists()


def test_grey_images_have_one_channel(tmp_path):
    grey = photograph(40, 48)[..., :1]
    write_image(tmp_path / "lq" / "grey.png", grey)
    write_image(tmp_path / "lq" / "rgb.png", photograph(40, 48))
    np.save(tmp_path / "lq" / "raw.npy", grey)
    dataset = LQImages(scale=2, phase="eval", lq=tmp_path / "lq", color="grey")
    assert [pair.key for pair in dataset.pairs] == ["grey", "raw", "rgb"]
    assert all(dataset[index]["lq"].shape == (1, 40, 48) for index in range(3))
    for index in (0, 1):  # grey levels are kept exactly
        assert torch_levels(dataset[index]["lq"]).tolist() == grey[..., 0].tolist()
    weights = np.array([0.299, 0.587, 0.114])
    difference = torch_levels(dataset[2]["lq"]) - photograph(40, 48) @ weights
    assert np.abs(difference).max() <= 0.51


def test_small_grey_images_are_enlarged_to_the_crop(tmp_path):
    write_image(tmp_path / "gt" / "small.png", photograph(24, 40)[..., :1])
    dataset = GTImages(scale=2, phase="train", gt=tmp_path / "gt", gt_size=32, enlarge=True, color="grey")
    sample = dataset.draw(0, np.random.default_rng(0))
    assert (sample["gt"].shape, sample["lq"].shape) == ((1, 32, 32), (1, 16, 16))


def torch_levels(image):
    """(1, H, W) in [0, 1] as levels (H, W)."""
    return (image[0].double() * 255).round().numpy()
