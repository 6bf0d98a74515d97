"""Packs: the samples of their folders, whatever the files."""

import os
import shutil

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from srzoo.data.fingerprint import fingerprint
from srzoo.data.gt_images import GTImages
from srzoo.data.lq_images import LQImages
from srzoo.data.paired import PairedImages
from srzoo.data.storage import pack, read_image
from srzoo.engine.inputs import encoded
from srzoo.images import write_image
from srzoo.inputs import inputs_of
from srzoo.options import load_options
from srzoo.state import load_state
from tests.data.packs import assert_same, draws, packed, write_folder
from tests.support import photograph, run_train, training_options, write_options


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "gt")


@pytest.mark.parametrize("words", [(), ("--codec", "png"), ("--shard-size", "0.01MB")], ids=["raw", "png", "shards"])
@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_a_pack_has_keys_order_and_samples_of_its_folder(folder, tmp_path, words, color):
    assert packed(folder, tmp_path / "p", *words) == 0
    options = {"scale": 2, "phase": "train", "gt_size": 32, "use_hflip": True, "use_rot": True, "color": color}
    ours, theirs = GTImages(gt=tmp_path / "p", **options), GTImages(gt=folder, **options)
    assert [pair.key for pair in ours.pairs] == [pair.key for pair in theirs.pairs]
    assert "sub/grey" in [pair.key for pair in ours.pairs]
    assert {"00.png", "00.jpg"} <= {pair.key for pair in ours.pairs}  # differ by their suffixes alone
    assert_same(draws(ours), draws(theirs))
    assert_same([ours[index] for index in range(len(ours))], [theirs[index] for index in range(len(theirs))])
    assert [fault for found in ours.check(full=True) for fault in found] == []
    assert fingerprint(ours) == fingerprint(theirs) is not None


def test_pairs_of_packs_and_folders_match_by_template(tmp_path):
    for number in range(3):
        write_image(tmp_path / "gt" / "a" / f"{number}_HR.png", photograph(48, 64, top=9 * number))
        write_image(tmp_path / "lq" / "a" / f"{number}x2.png", photograph(24, 32, top=9 * number))
    assert packed(tmp_path / "gt", tmp_path / "gt.pack") == packed(tmp_path / "lq", tmp_path / "lq.pack") == 0
    options = {"scale": 2, "phase": "train", "gt_size": 16, "gt_template": "{}_HR", "lq_template": "{}x2"}
    folders = PairedImages(gt=tmp_path / "gt", lq=tmp_path / "lq", **options)
    for gt, lq in (("gt.pack", "lq.pack"), ("gt", "lq.pack"), ("gt.pack", "lq")):
        dataset = PairedImages(gt=tmp_path / gt, lq=tmp_path / lq, **options)
        assert_same(draws(dataset), draws(folders))
        assert [fault for found in dataset.check(full=True) for fault in found] == []
    meta = tmp_path / "meta.txt"
    meta.write_text("a/1_HR.png (48,64,3)\na/2_HR.png (48,63,3)\na/9_HR.png\n")
    dataset = PairedImages(gt=tmp_path / "gt.pack", lq=tmp_path / "lq.pack", meta_info=meta, **options)
    reasons = [fault.reason for found in dataset.check(full=False) for fault in found]
    assert len(reasons) == 2
    assert "meta.txt:3 but missing" in reasons[0]
    assert "is 48x64 but" in reasons[1]
    (tmp_path / "pairs.txt").write_text("lq.pack/a/1x2.png gt.pack/a/1_HR.png\n")
    listed = PairedImages(pairs=tmp_path / "pairs.txt", scale=2, phase="train", gt_size=16)
    torch.testing.assert_close(listed[0]["lq"], folders[1]["lq"])


def test_a_crop_is_a_view_of_the_shard(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    pixels = read_image(tmp_path / "p" / "01.png").rgb
    assert not pixels.flags.owndata
    assert not pixels.flags.writeable
    assert isinstance(pixels.base, pack.mmap.mmap)


def test_pages_that_are_given_back_are_read_again(folder, tmp_path, monkeypatch):
    assert packed(folder, tmp_path / "p") == 0
    before = read_image(tmp_path / "p" / "01.png").rgb
    monkeypatch.setattr(pack, "_MAPPED", 0)
    after = read_image(tmp_path / "p" / "00.png").rgb
    assert np.array_equal(before, read_image(folder / "01.png").rgb)
    assert np.array_equal(after, read_image(folder / "00.png").rgb)


def test_packs_are_read_by_workers(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    dataset = GTImages(gt=tmp_path / "p", scale=2, phase="eval")
    in_workers = list(DataLoader(dataset, batch_size=None, num_workers=2))
    assert_same(in_workers, [dataset[index] for index in range(len(dataset))])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_packs_are_read_by_workers_that_start_with_nothing(folder, tmp_path, method):
    assert packed(folder, tmp_path / "p") == 0
    dataset = GTImages(gt=tmp_path / "p", scale=2, phase="eval")
    in_workers = list(DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context=method))
    assert_same(in_workers, [dataset[index] for index in range(len(dataset))])


def test_names_of_any_bytes_are_kept(folder, tmp_path):
    (folder / "01.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    assert packed(folder, tmp_path / "p", "--verify") == 0
    keys = [[pair.key for pair in GTImages(gt=path, scale=2, phase="eval").pairs] for path in (folder, tmp_path / "p")]
    assert keys[0] == keys[1]
    assert os.fsdecode(b"caf\xe9") in keys[1]


def test_training_images_in_a_packed_validation_set_are_found(tmp_path, capsys):
    options = training_options(tmp_path)
    shutil.copy(tmp_path / "train" / "01.png", tmp_path / "val" / "again.png")
    assert packed(tmp_path / "train", tmp_path / "packed") == 0
    options["datasets"]["train"]["gt"] = str(tmp_path / "packed")
    assert run_train(write_options(tmp_path / "x.yml", options)) == 2
    assert "is also in val/held_out" in capsys.readouterr().err


def test_a_training_on_a_pack_equals_that_on_its_folder(tmp_path):
    options = training_options(tmp_path)
    assert packed(tmp_path / "train", tmp_path / "packed") == 0
    file = write_options(tmp_path / "x.yml", options)
    on_pack = f"datasets.train.gt={tmp_path / 'packed'}"
    assert run_train(file) == 0
    assert run_train(file, on_pack, "name=on_pack") == 0
    # A state of one continues on the other: they are the same data.
    assert run_train(file, "train.total_iter=2", "name=both") == 0
    assert run_train(file, on_pack, "name=both", resume="auto") == 0
    states = [load_state(tmp_path / "experiments" / name / "states" / "4.state") for name in ("run", "on_pack", "both")]
    for state in states[1:]:
        torch.testing.assert_close(state["model"], states[0]["model"], rtol=0, atol=0)
    resolved = load_options(file, [on_pack]).options
    gt = {"gt_size": 32, "scale": 2, "phase": "train"}
    assert encoded(inputs_of(resolved, GTImages(gt=tmp_path / "packed", **gt))) == encoded(
        inputs_of(load_options(file).options, GTImages(gt=tmp_path / "train", **gt))
    )


def test_lq_images_of_a_pack_are_written(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    dataset = LQImages(lq=tmp_path / "p", scale=1, phase="eval")
    for index, pair in enumerate(dataset.pairs):
        dataset.write_output(index, dataset[index]["lq"], tmp_path / "out" / f"{pair.key}.png")
        ours, packed_image = read_image(tmp_path / "out" / f"{pair.key}.png").rgb, read_image(pair.main_file).rgb
        np.testing.assert_array_equal(ours, packed_image)


def test_the_images_of_a_pack_are_listed_when_they_are_asked_for(folder, tmp_path):
    assert packed(folder, tmp_path / "p") == 0
    pairs = GTImages(gt=tmp_path / "p", scale=2, phase="eval").pairs
    assert not isinstance(pairs, list)
    assert pairs[-1].key == "turned"
    assert [pair.key for pair in pairs[1:3]] == ["00.png", "01"]
    with pytest.raises(IndexError):
        pairs[8]
