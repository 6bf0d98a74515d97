"""Objects built from options: the form of the network that is scored, and what results say of it."""

import pytest
import torch

from srzoo.components import build_network, inference_facts, scored_form
from srzoo.engine.log import logger
from srzoo.infer.tile import TiledNet
from srzoo.layers import reparam
from srzoo.options import load_options
from tests.support import write_options


def options(tmp_path, network, **val):
    tree = {
        "name": "t",
        "scale": 2,
        "network_g": network,
        "datasets": {"test": {"x": {"type": "GTImages", "gt": str(tmp_path)}}},
        "val": {"metrics": {"psnr": {"type": "PSNR"}}, **val},
    }
    return load_options(write_options(tmp_path / "t.yml", tree), ()).options


@pytest.mark.parametrize(
    ("network", "overlap", "sees"),
    [
        ({"type": "IMDN", "num_modules": 1}, 100, "the whole image"),
        ({"type": "IMDN_RTC"}, 21, "22 pixels to each side"),
        ({"type": "IMDN_RTC"}, 22, None),
    ],
)
def test_tiles_below_the_receptive_radius_are_announced(tmp_path, monkeypatch, network, overlap, sees):
    loaded, warnings = options(tmp_path, network, tile=32, tile_overlap=overlap), []
    monkeypatch.setattr(logger, "warning", warnings.append)
    assert isinstance(scored_form(loaded, build_network(loaded)), TiledNet)
    assert len(warnings) == (sees is not None)
    for warning in warnings:
        assert f"val.tile_overlap {overlap}: each pixel of {network['type']} sees {sees}, so that" in warning


def test_results_say_how_the_network_was_applied(tmp_path):
    plain = inference_facts(options(tmp_path, {"type": "RT4KSR"}))
    assert plain == {
        "tile_rule": "exact",
        "tile": None,
        "tile_overlap": None,
        "fused": False,
        "ensemble": "none",
        "precision": "float32",
        "padding": "inside the network, to multiples of 2",
    }
    other = options(tmp_path, {"type": "RT4KSR"}, fused=True, tile=32, tile_overlap=8)
    assert inference_facts(other) == plain | {"tile": 32, "tile_overlap": 8, "fused": True}
    net = scored_form(other, build_network(other))
    assert isinstance(net, TiledNet)
    assert all(block.merged for _, block in reparam.blocks(net))
    assert net(torch.rand(1, 3, 40, 36)).shape == (1, 3, 80, 72)
    assert inference_facts(options(tmp_path, {"type": "IMDN"}))["padding"] == "none"
