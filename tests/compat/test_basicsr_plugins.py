"""Plugin files written for BasicSR: they import `basicsr`, and what they register becomes srzoo's."""

import importlib.util
import sys

import pytest
import torch

from srzoo.options import load_options
from srzoo.registry import ARCHS, DISCRIMINATORS, LOSSES, load_plugin
from tests.support import run_train, training_options, write_options

needs_no_package = pytest.mark.skipif(
    importlib.util.find_spec("basicsr") is not None, reason="the package basicsr is installed"
)
NETWORK = """
import torch.nn as nn
from basicsr.archs.arch_util import ResidualBlockNoBN, Upsample, default_init_weights, make_layer, to_2tuple
from basicsr.utils import get_root_logger
from basicsr.utils.registry import ARCH_REGISTRY


@ARCH_REGISTRY.register()
class WindowedNet(nn.Module):
    def __init__(self, in_chans=3, width=8, window_size=8, norm_layer=nn.LayerNorm, upscale=2, **kwargs):
        super().__init__()
        self.first = nn.Conv2d(in_chans, width, 3, 1, 1)
        self.body = make_layer(ResidualBlockNoBN, 2, num_feat=width)
        self.up = Upsample(upscale, width)
        self.last = nn.Conv2d(width, in_chans, 3, 1, 1)
        default_init_weights([self.last], 0.1)
        self.window = to_2tuple(window_size)
        get_root_logger().debug("built")

    def forward(self, x):
        assert all(side % window == 0 for side, window in zip(x.shape[-2:], self.window))
        return self.last(self.up(self.body(self.first(x))))
"""
LOSS = """
import torch.nn as nn
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY


@LOSS_REGISTRY.register()
class DoubledLoss(nn.Module):
    def __init__(self, loss_weight=1.0, reduction='mean'):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred, target, weight=None, **kwargs):
        return 2 * self.loss_weight * (pred - target).abs().mean()


@ARCH_REGISTRY.register()
class PlainDiscriminator(nn.Module):
    def __init__(self, num_in_ch=3):
        super().__init__()
        self.conv = nn.Conv2d(num_in_ch, 1, 3)

    def forward(self, x):
        return self.conv(x)
"""


@pytest.fixture(autouse=True)
def no_traces(monkeypatch):
    """What a plugin of a test registers is unknown again afterwards."""
    for family in (ARCHS, LOSSES, DISCRIMINATORS):
        assert list(family)  # which makes srzoo's members known first
        monkeypatch.setattr(family, "_members", dict(family._members))


def written(folder, name, text):
    file = folder / name
    file.write_text(text)
    return file


def test_a_network_and_a_loss_written_for_basicsr_train_without_the_package(tmp_path):
    plugins = [str(written(tmp_path, "net.py", NETWORK)), str(written(tmp_path, "loss.py", LOSS))]
    options = training_options(
        tmp_path, plugins=plugins, network_g={"type": "WindowedNet", "num_modules": None, "window_size": 16},
        train={"losses": {"pixel": {"type": "DoubledLoss", "loss_weight": 0.5, "weight": 3.0}}},
    )  # fmt: skip
    file = write_options(tmp_path / "x.yml", options)
    assert run_train(file, "train.total_iter=2") == 0
    # The images of validation are no multiple of the window: they were padded.
    loss = load_options(file).options.train
    assert loss is not None
    assert float(loss.losses["pixel"].build()(torch.ones(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))) == 1.0
    assert "PlainDiscriminator" in DISCRIMINATORS
    assert "PlainDiscriminator" not in ARCHS


@needs_no_package
def test_the_stand_in_is_gone_after_the_import(tmp_path):
    load_plugin(written(tmp_path, "net.py", NETWORK))
    assert importlib.util.find_spec("basicsr") is None
    assert not [name for name in sys.modules if name.startswith("basicsr")]


@needs_no_package
def test_modules_that_the_stand_in_lacks_are_named_with_the_command_that_installs_the_package(tmp_path):
    file = written(tmp_path, "more.py", "from basicsr.archs.vgg_arch import VGGFeatureExtractor\n")
    with pytest.raises(ValueError, match=r"No module named 'basicsr\.archs\.vgg_arch'.*pip install --no-deps"):
        load_plugin(file)
    file = written(tmp_path, "name.py", "from basicsr.archs.arch_util import DCNv2Pack\n")
    with pytest.raises(ValueError, match=r"cannot import name 'DCNv2Pack'.*pip install --no-deps"):
        load_plugin(file)


def test_imports_from_beside_the_file_are_refused_with_the_line_to_write(tmp_path):
    text = NETWORK.replace("from basicsr.archs.arch_util", "from .arch_util")
    with pytest.raises(ValueError, match=r"write `from basicsr\.archs\.arch_util import \.\.\.`"):
        load_plugin(written(tmp_path, "net.py", text))


def test_a_metric_written_for_basicsr_is_refused_by_name(tmp_path):
    text = (
        "from basicsr.utils.registry import METRIC_REGISTRY\n\n\n"
        "@METRIC_REGISTRY.register()\ndef calculate_x(img, img2, crop_border, **kwargs):\n    return 0.0\n"
    )
    with pytest.raises(ValueError, match=r"calculate_x: srzoo calls a metric in another way.*Add a metric"):
        load_plugin(written(tmp_path, "metric.py", text))


def test_a_name_that_srzoo_has_is_refused(tmp_path):
    file = written(tmp_path, "net.py", NETWORK.replace("WindowedNet", "SRResNet"))
    with pytest.raises(ValueError, match=r"network 'SRResNet' is registered twice"):
        load_plugin(file)
