"""Networks of one channel, for grey, depth or X-ray images: trained, validated, tested, used for enlarging."""

import json

import numpy as np
import pytest
import torch

from srzoo.degradations.jpeg import JPEG
from srzoo.images import jpeg_decoded, read_image, write_image
from srzoo.metrics.protocol import PROTOCOLS
from srzoo.metrics.psnr import PSNR
from srzoo.options import OptionsError, load_options
from tests.degradations.test_stages import samples
from tests.support import photograph, run_test, run_train, training_options, write_options

GREY = {"color": "grey"}


def test_one_channel_goes_from_training_to_enlarged_images(tmp_path):
    changes = {
        "network_g": {"num_in_ch": 1},
        "datasets": {"train": GREY, "val": {"held_out": GREY}},
        "degradation": {"stages": [{"type": "Resize"}, {"type": "JPEG"}, {"type": "GaussianOrPoissonNoise"}]},
        "logger": {"use_tb_logger": True},
    }
    options = training_options(tmp_path, **changes)
    assert run_train(write_options(tmp_path / "train.yml", options)) == 0
    write_image(tmp_path / "lq" / "xray.png", (photograph(20, 24)[..., :1].astype(np.uint16) * 257))
    weights = tmp_path / "experiments" / "run" / "models" / "net_g_4.safetensors"
    test = {
        "name": "test",
        "scale": 2,
        "network_g": options["network_g"],
        "path": {**options["path"], "pretrain_network_g": str(weights)},
        "datasets": {
            "test": {
                "scored": {"type": "GTImages", "gt": str(tmp_path / "val"), **GREY},
                "mine": {"type": "LQImages", "lq": str(tmp_path / "lq"), **GREY},
            }
        },
        "val": {**options["val"], "save_img": True, "tile": 16},
    }
    assert run_test(write_options(tmp_path / "test.yml", test)) == 0
    folder = tmp_path / "experiments" / "test"
    assert json.loads((folder / "results" / "scored.json").read_text())["mean"]["psnr"] > 5
    output = read_image(folder / "visualization" / "mine" / "xray.png").rgb
    assert (output.shape, output.dtype) == ((40, 48, 3), np.uint16)
    assert (output == output[..., :1]).all()


def test_a_network_whose_channels_no_dataset_serves_is_refused(tmp_path, capsys):
    wrong = training_options(tmp_path, network_g={"num_in_ch": 1}, datasets={"train": GREY})
    assert run_train(write_options(tmp_path / "a.yml", wrong)) == 2
    assert (
        "datasets.val.held_out.type: rgb has 3 channel(s), the network takes 1: set color: grey"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "experiments").exists()
    for channels, color, message in (
        (3, "grey", r"datasets.train.color: grey has 1 .* takes 3: set color: rgb"),
        (4, "rgb", r"datasets.train.color: rgb has 3 .* takes 4: no color has as many"),
    ):
        wrong = training_options(tmp_path, network_g={"num_in_ch": channels}, datasets={"train": {"color": color}})
        with pytest.raises(OptionsError, match=message):
            load_options(write_options(tmp_path / "b.yml", wrong))


def test_the_discriminator_takes_the_channels_of_the_network(tmp_path):
    changes = {
        "network_g": {"num_in_ch": 1},
        "network_d": {"type": "UNetDiscriminatorSN", "num_feat": 8},
        "model": {"type": "GANModel"},
        "datasets": {"train": GREY, "val": {"held_out": GREY}},
        "train": {"optim_d": {"type": "Adam"}, "losses": {"gan": {"type": "GANLoss"}}},
    }
    options = training_options(tmp_path, **changes)
    with pytest.raises(OptionsError, match=r"network_d.type: it takes 3 .* set network_d.num_in_ch: 1"):
        load_options(write_options(tmp_path / "a.yml", options))
    options["network_d"]["num_in_ch"] = 1
    load_options(write_options(tmp_path / "b.yml", options))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_scores_one_channel_itself(protocol):
    gt = torch.full((1, 1, 32, 32), 100 / 255)
    value = PSNR(scale=2, protocol=protocol)(gt + 2 / 255, gt).item()
    assert value == pytest.approx(20 * np.log10(255 / 2), abs=1e-3)


def test_jpeg_of_a_grey_image_is_that_of_its_luma():
    grey = photograph(48, 64)[..., :1]
    image = torch.from_numpy(grey.transpose(2, 0, 1).astype(np.float32) / 255)  # (1, H, W)
    for codec in ("exact", "simulation"):
        (result,) = JPEG(codec=codec, quality_range=(60, 60))([image], samples(1))
        expected = jpeg_decoded(grey, 60).transpose(2, 0, 1).astype(np.float32) / 255
        assert result.shape == image.shape
        assert np.abs(result.numpy() - expected).mean() < (1e-6 if codec == "exact" else 0.5 / 255)
