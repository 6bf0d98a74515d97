"""LQ images alone: enlarged and written, whole or in tiles; nothing to train on."""

import numpy as np
import pytest
import torch

from srzoo.data.lq_images import LQImages
from srzoo.images import read_image
from srzoo.ops.resize import imresize
from srzoo.options import OptionsError, load_options
from tests.support import photograph, run_test, write_options, write_photographs


def options(tmp_path, **val):
    return {
        "name": "lr",
        "scale": 2,
        "network_g": {"type": "Bicubic"},
        "path": {"experiments": str(tmp_path / "experiments")},
        "datasets": {"test": {"mine": {"type": "LQImages", "lq": str(tmp_path / "lq")}}},
        "val": val,
    }


def test_images_are_enlarged_and_written(tmp_path):
    write_photographs(tmp_path / "lq", 2, 21, 33)
    assert run_test(write_options(tmp_path / "whole.yml", options(tmp_path, save_img=True))) == 0
    tiled = options(tmp_path, save_img=True, tile=16, tile_overlap=8) | {"name": "tiled"}
    assert run_test(write_options(tmp_path / "tiled.yml", tiled)) == 0
    whole, tiles = (
        read_image(tmp_path / "experiments" / name / "visualization" / "mine" / "00.png").rgb
        for name in ("lr", "tiled")
    )
    lq = torch.from_numpy(photograph(21, 33, top=0, left=0)).permute(2, 0, 1).float() / 255
    expected = (imresize(lq, 2).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(whole.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(whole, tiles)


def test_without_images_or_with_training_it_is_refused(tmp_path):
    write_photographs(tmp_path / "lq", 1, 21, 33)
    with pytest.raises(OptionsError, match=r"datasets.test.mine: there is no GT .* add val.save_img: true"):
        load_options(write_options(tmp_path / "a.yml", options(tmp_path)))
    with pytest.raises(ValueError, match="no GT to train on"):
        LQImages(scale=2, phase="train", lq=tmp_path / "lq")
    wrong = options(tmp_path, save_img=True, tile=20) | {"network_g": {"type": "DRCT"}}
    with pytest.raises(OptionsError, match=r"val.tile: .*multiples of 16"):
        load_options(write_options(tmp_path / "b.yml", wrong))


def test_files_are_the_lq_of_their_pairs_and_may_be_smaller_than_the_scale(tmp_path):
    write_photographs(tmp_path / "lq", 1, 3, 2)
    (tmp_path / "list.txt").write_text("00.png (5,2,3)")
    (pair,) = LQImages(scale=4, phase="eval", lq=tmp_path / "lq").pairs
    assert (pair.gt, pair.lq, pair.main_file) == (None, tmp_path / "lq" / "00.png", tmp_path / "lq" / "00.png")
    assert not any(LQImages(scale=4, phase="eval", lq=tmp_path / "lq").check(full=True, least_side=20))
    listed = LQImages(scale=4, phase="eval", lq=tmp_path / "lq", meta_info=tmp_path / "list.txt")
    ((fault,),) = [found for found in listed.check(full=False) if found]
    assert fault.reason == f"is 3x2 but {tmp_path}/list.txt:1 says 5x2"
