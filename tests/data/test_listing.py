"""Pairing of files, and the faults reported where it fails."""

import numpy as np
import pytest

from srzoo.data.check import DataError, check_datasets
from srzoo.data.gt_images import GTImages
from srzoo.data.paired import PairedImages
from srzoo.images import write_image
from tests.support import photograph, write_photographs


@pytest.fixture
def folders(tmp_path):
    """Four pairs, GT 96x120, LQ named {}x2."""
    write_photographs(tmp_path / "gt")
    for number in range(4):
        write_image(tmp_path / "lq" / f"{number:02}x2.png", photograph(48, 60, top=number * 40, left=number * 30))
    return tmp_path


def paired(folder, **options):
    return PairedImages(
        **{"scale": 2, "phase": "eval", "gt": folder / "gt", "lq": folder / "lq", "lq_template": "{}x2", **options}
    )


def faults(dataset, full=False):
    return [(fault.file.name, fault.reason) for found in dataset.check(full) for fault in found]


def test_folders_pair_by_template(folders):
    dataset = paired(folders)
    first = dataset.pairs[0]
    assert (first.key, first.gt and first.gt.name, first.lq and first.lq.name) == ("00", "00.png", "00x2.png")
    assert len(dataset) == 4
    assert faults(dataset) == []
    item = dataset[0]
    assert item["lq"].shape == (3, 48, 60)
    assert item["gt"].shape == (3, 96, 120)


def test_partners_are_found_where_the_template_changes_the_order(tmp_path):
    # 1.png comes before 10.png, but 1x2.png after 10x2.png.
    stems = [str(number) for number in range(1, 13)]
    for stem in stems:
        write_image(tmp_path / "gt" / f"{stem}.png", photograph(32, 32))
        write_image(tmp_path / "lq" / f"{stem}x2.png", photograph(16, 16))
    gt, lq = tmp_path / "gt", tmp_path / "lq"
    pairs = [(pair.key, pair.gt, pair.lq) for pair in paired(tmp_path).pairs]
    assert sorted(pairs) == sorted((stem, gt / f"{stem}.png", lq / f"{stem}x2.png") for stem in stems)


def test_missing_and_extra_partners_are_all_reported(folders):
    (folders / "lq" / "01x2.png").unlink()
    (folders / "lq" / "stray.png").write_bytes((folders / "lq" / "00x2.png").read_bytes())
    found = faults(paired(folders))
    assert ("01.png", f"has no partner 01x2.* in {folders / 'lq'} (lq_template '{{}}x2')") in found
    assert ("stray.png", "extra: no GT image belongs to it") in found
    assert len(found) == 2


def test_wrong_ratio_truncation_and_size_are_reported_together(folders):
    write_image(folders / "lq" / "00x2.png", photograph(24, 30))
    cut = folders / "gt" / "01.png"
    cut.write_bytes(cut.read_bytes()[:-300])
    (folders / "lq" / "02x2.png").write_text("no image")
    found = dict(faults(paired(folders)))
    assert found["00x2.png"].startswith(
        "wrong scale ratio: is 24x30, but GT 00.png of 96x120 at scale 2 asks for 48x60"
    )
    assert found["01.png"] == "truncated (the end of the file is missing)"
    assert found["02x2.png"].startswith("not a readable image")
    small = GTImages(scale=2, phase="train", gt=folders / "gt", gt_size=100)
    assert ("00.png", "smaller than the crop: 96x120, needed 100x100") in faults(small)


def test_the_full_check_finds_what_headers_hide(folders):
    damaged = folders / "gt" / "03.png"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(bytes(content))
    assert faults(paired(folders)) == []
    assert faults(paired(folders), full=True) == [("03.png", "cannot be decoded (truncated or corrupt)")]


def test_pair_lists_are_relative_to_the_list(folders):
    lines = [
        "# comment",
        "",
        "lq/00x2.png gt/00.png",
        f"{folders}/lq/01x2.png\t{folders}/gt/01.png",
        "lq/02x2.png gt/99.png",
    ]
    (folders / "list.txt").write_text("\n".join([*lines, "one two three"]))
    dataset = PairedImages(scale=2, phase="eval", pairs=folders / "list.txt")
    assert [pair.key for pair in dataset.pairs] == ["00", "01"]
    reasons = dict(faults(dataset))
    assert reasons["99.png"] == f"named in {folders}/list.txt:5 but missing"
    assert reasons["list.txt"].startswith("line 6: expected `lq_path gt_path`")


def test_meta_info_picks_files_and_checks_sizes(folders):
    (folders / "meta.txt").write_text("00.png (96,120,3)\n01.png\n02.png (10,10,3)\n77.png\n")
    dataset = paired(folders, meta_info=folders / "meta.txt")
    assert [pair.key for pair in dataset.pairs] == ["00", "01", "02"]
    reasons = dict(faults(dataset))
    assert reasons == {
        "02.png": f"is 96x120 but {folders}/meta.txt:3 says 10x10",
        "77.png": f"named in {folders}/meta.txt:4 but missing",
    }


def test_pair_lists_are_relative_to_the_folders_beside_them(folders):
    (folders / "lists").mkdir()
    (folders / "lists" / "pairs.txt").write_text("00x2.png 00.png\n01x2.png 01.png\n")
    dataset = paired(folders, pairs=folders / "lists" / "pairs.txt")
    assert [(pair.gt, pair.lq) for pair in dataset.pairs] == [
        (folders / "gt" / f"{name}.png", folders / "lq" / f"{name}x2.png") for name in ("00", "01")
    ]
    assert faults(dataset) == []
    with pytest.raises(ValueError, match="or all three"):
        paired(folders, pairs=folders / "lists" / "pairs.txt", gt=None)


def test_sub_folders_pair_with_sub_folders(folders):
    (folders / "gt" / "deep").mkdir()
    (folders / "lq" / "deep").mkdir()
    (folders / "gt" / "00.png").rename(folders / "gt" / "deep" / "00.png")
    (folders / "lq" / "00x2.png").rename(folders / "lq" / "deep" / "00x2.png")
    assert "deep/00" in [pair.key for pair in paired(folders).pairs]
    assert faults(paired(folders)) == []


def test_images_that_differ_by_their_suffix_keep_it_in_their_names(folders):
    write_image(folders / "gt" / "00.bmp", photograph(96, 120))
    dataset = GTImages(scale=2, phase="eval", gt=folders / "gt")
    assert [pair.key for pair in dataset.pairs] == ["00.bmp", "00.png", "01", "02", "03"]
    assert faults(dataset) == []


def test_hidden_files_are_nobodys_data(folders):
    write_image(folders / "gt" / ".thumbnails" / "00.png", photograph())
    (folders / "gt" / "._01.png").write_bytes(b"x")
    assert len(GTImages(scale=2, phase="eval", gt=folders / "gt")) == 4


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        GTImages(scale=2, phase="eval", gt=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty holds no image"):
        GTImages(scale=2, phase="eval", gt=tmp_path / "empty")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gt": None}, "needs either `gt` and `lq`"),
        ({"lq_template": "x2"}, "lq_template must contain"),
        ({"use_hflip": True}, "belong to training"),
        ({"phase": "train"}, "gt_size: training crops need a multiple of the scale 2"),
        ({"modcrop": 3}, "modcrop: must be a multiple of the scale 2"),
    ],
)
def test_contradicting_options_are_refused(folders, options, message):
    with pytest.raises(ValueError, match=message):
        paired(folders, **options)


def test_training_images_in_a_validation_set_are_found_by_content(folders):
    (folders / "val").mkdir()
    (folders / "val" / "renamed.png").write_bytes((folders / "gt" / "02.png").read_bytes())
    sets = {
        "train": GTImages(scale=2, phase="train", gt=folders / "gt", gt_size=32),
        "val/held": GTImages(scale=2, phase="eval", gt=folders / "val"),
    }
    ((split, fault),) = check_datasets(sets, full=False, allow_overlap=False)
    assert (split, fault.file.name) == ("train", "02.png")
    assert "is also in val/held" in fault.reason
    assert check_datasets(sets, full=False, allow_overlap=True) == []
    assert "1 fault(s) in the data:\n  train:" in str(DataError([(split, fault)]))


def test_files_of_equal_size_with_other_content_do_not_overlap(folders):
    for name, value in (("train", 0), ("val", 9)):
        (folders / name).mkdir()
        np.save(folders / name / "a.npy", np.full((40, 40, 3), value, np.uint8))
    sets = {
        "train": GTImages(scale=2, phase="train", gt=folders / "train", gt_size=32),
        "val/held": GTImages(scale=2, phase="eval", gt=folders / "val"),
    }
    sizes = {(folders / name / "a.npy").stat().st_size for name in ("train", "val")}
    assert len(sizes) == 1
    assert check_datasets(sets, full=False, allow_overlap=False) == []


def test_evaluation_images_hold_what_the_metrics_need(folders):
    sets = {name: GTImages(scale=2, phase="eval", gt=folders / "gt") for name in ("val/a",)}
    sets["train"] = GTImages(scale=2, phase="train", gt=folders / "gt", gt_size=32)
    assert check_datasets(sets, full=False, allow_overlap=True, least_side=96) == []
    found = check_datasets(sets, full=False, allow_overlap=True, least_side=97)
    assert {split for split, _ in found} == {"val/a"}
    assert {fault.reason for _, fault in found} == {"smaller than metrics need: 96x120, needed 97x97"}


def test_pairs_of_a_list_with_one_name_get_their_paths_as_keys(folders):
    (folders / "other").mkdir()
    (folders / "other" / "00.png").write_bytes((folders / "gt" / "01.png").read_bytes())
    lines = ["lq/00x2.png gt/00.png", "lq/01x2.png other/00.png", "lq/02x2.png gt/02.png"]
    (folders / "list.txt").write_text("\n".join(lines))
    keys = [pair.key for pair in PairedImages(scale=2, phase="eval", pairs=folders / "list.txt").pairs]
    below = folders.as_posix().lstrip("/")
    assert keys == [f"{below}/gt/00", f"{below}/other/00", "02"]


def test_gt_is_cropped_to_what_lq_was_made_from(folders):
    write_image(folders / "odd" / "a.png", photograph(97, 121))
    item = GTImages(scale=2, phase="eval", gt=folders / "odd")[0]
    assert item["gt"].shape == (3, 96, 120)
    assert GTImages(scale=2, phase="eval", gt=folders / "odd", modcrop=12)[0]["gt"].shape == (3, 96, 120)
    assert GTImages(scale=2, phase="eval", gt=folders / "odd", modcrop=20)[0]["lq"].shape == (3, 40, 60)


def test_lq_made_on_the_fly_is_the_file(folders):
    import torch

    from srzoo.images import read_image, to_tensor
    from srzoo.ops.resize import imresize

    dataset = GTImages(scale=2, phase="eval", gt=folders / "gt")
    gt = read_image(dataset.pairs[0].main_file).rgb
    lq = imresize(torch.from_numpy(np.ascontiguousarray(gt.transpose(2, 0, 1))), 0.5).numpy().transpose(1, 2, 0)
    assert torch.equal(dataset[0]["lq"], to_tensor(lq))
