"""Networks that no memory holds are refused while their option file is loaded, by the options that make them large."""

import pytest

from srzoo import blueprint as bounds
from srzoo.options import OptionsError, load_options
from tests.support import training_options, write_options


def faults(tmp_path, network, **changes):
    options = training_options(tmp_path, **changes) | {"network_g": network}
    with pytest.raises(OptionsError) as error:
        load_options(write_options(tmp_path / "x.yml", options))
    return [str(fault) for fault in error.value.faults]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"type": "EDSR", "num_block": 10**12}, "num_block: expected at most 1,000,000 in a network, got 10000"),
        ({"type": "EDSR", "num_block": 10**6}, "EDSR is too large to be built: more than 300 modules and parameters "
         "(num_block 1000000)"),
        ({"type": "EDSR", "num_feat": 10**6}, "more than 10,000,000,000 weights (num_feat 1000000)"),
        ({"type": "DRCT", "depths": [10**7] * 6}, "network_g.depths: expected at most 1,000,000 in a network"),
        ({"type": "DRCT", "depths": [10**30]}, "network_g.depths[0]: expected list of integer > 0, got 1e+30"),
        ({"type": "DRCT", "depths": [6] * 2_400, "num_heads": [6] * 2_400}, "(depths [6, 6, 6, 6, 6, 6, 6...,"),
        ({"type": "DRCT", "depths": [6] * 2_400}, "depths and num_heads must name the same groups, got 2400 and 6"),
        ({"type": "DRCT", "mlp_ratio": 1.0e300}, "built: sizes that no memory holds (mlp_ratio 1e+300)"),
        ({"type": "D2CNet", "levels": [9] * 9}, "D2CNet is too large to be built: more than"),
    ],
)  # fmt: skip
def test_a_network_that_no_memory_holds_is_one_fault(tmp_path, monkeypatch, network, message):
    monkeypatch.setattr(bounds, "MAX_PARTS", 300)
    monkeypatch.setattr(bounds, "MAX_LINES", 100_000)
    (fault,) = faults(tmp_path, network)
    assert message in fault
    assert len(fault) < 400


def test_the_scale_is_named_where_no_option_is_large(tmp_path):
    train = {"gt_size": 10**9, "batch_size": 4}
    (fault,) = faults(tmp_path, {"type": "SRVGGNetCompact"}, scale=10**9, datasets={"train": train})
    assert "SRVGGNetCompact is too large to be built: sizes that no memory holds (scale 1000000000)" in fault


def test_discriminators_are_tried_too(tmp_path):
    gan = {
        "network_d": {"type": "UNetDiscriminatorSN", "num_feat": 500_000},
        "model": {"type": "GANModel"},
        "train": {"optim_d": {"type": "Adam"}},
    }
    (fault,) = faults(tmp_path, {"type": "IMDN_RTC"}, **gan)
    assert "network_d.type: UNetDiscriminatorSN is too large to be built: more than 10,000,000,000 weights" in fault


PLUGIN = """
from torch import nn
from srzoo.registry import ARCHS

@ARCHS.register
class {name}(nn.Module):
    def __init__(self, *, scale: int, seed: int = 20_260_101, num_steps: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)
        self.widths = [step * step for first in range(num_steps) for step in range(num_steps)]
"""


def test_networks_of_plugins_are_bounded_and_seeds_are_no_counts(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN.format(name="BoundedPlugin"))
    plugins = {"plugins": ["mine.py"]}
    (fault,) = faults(tmp_path, {"type": "BoundedPlugin", "num_steps": 10**6}, **plugins)
    assert (
        "BoundedPlugin is too large to be built: more than 500,000 steps in its constructor (num_steps 1000000)"
        in fault
    )
    options = training_options(tmp_path, **plugins) | {"network_g": {"type": "BoundedPlugin", "seed": 2**40}}
    load_options(write_options(tmp_path / "x.yml", options))
