"""Fingerprints of datasets: they follow keys and contents, not places."""

import shutil

import pytest
import torch
from torch.utils.data import TensorDataset

from srzoo.data.fingerprint import fingerprint
from srzoo.images import write_image
from srzoo.registry import DATASETS
from tests.support import photograph


@pytest.fixture
def folder(tmp_path):
    """Write two pairs at x2 to tmp_path/a."""
    for number in range(2):
        write_image(tmp_path / "a" / "gt" / f"{number}.png", photograph(24, 32, top=40 * number))
        write_image(tmp_path / "a" / "lq" / f"{number}.png", photograph(12, 16, top=40 * number))
    return tmp_path / "a"


def of(folder):
    options = {"gt": folder / "gt", "lq": folder / "lq"}
    return fingerprint(DATASETS.build("PairedImages", options, scale=2, phase="eval", gt_only=False))


def test_it_follows_the_content_and_not_the_path(folder, tmp_path):
    before = of(folder)
    assert before is not None
    assert len(before) == 64
    shutil.copytree(folder, tmp_path / "elsewhere" / "b")
    assert of(tmp_path / "elsewhere" / "b") == before
    for image in ("lq/1.png", "gt/0.png"):
        shutil.copytree(folder, tmp_path / image.replace("/", ""))
        size = (12, 16) if image.startswith("lq") else (24, 32)
        write_image(tmp_path / image.replace("/", "") / image, photograph(*size, left=3))
        assert of(tmp_path / image.replace("/", "")) != before


def test_names_and_the_number_of_images_enter_it(folder, tmp_path):
    before = of(folder)
    shutil.copytree(folder, tmp_path / "renamed")
    for kind in ("gt", "lq"):
        (tmp_path / "renamed" / kind / "1.png").rename(tmp_path / "renamed" / kind / "2.png")
    assert of(tmp_path / "renamed") != before
    for kind in ("gt", "lq"):
        (folder / kind / "1.png").unlink()
    assert of(folder) != before


def test_datasets_without_files_have_none():
    assert fingerprint(TensorDataset(torch.zeros(2))) is None
