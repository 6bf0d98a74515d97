"""Objects built from options: the form of the network that is scored, and what results say of it."""

import json

import pytest
import torch

from srzoo.components import build_network, inference_facts, scored_form
from srzoo.engine.log import logger
from srzoo.infer import fitting, precision
from srzoo.layers import reparam
from srzoo.options import load_options
from tests.support import run_test, write_options, write_photographs


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
        ({"type": "IMDN", "num_modules": 1}, 100, "the whole image (channel attention averages over the image)"),
        ({"type": "IMDN_RTC"}, 21, "22 pixels to each side"),
        ({"type": "IMDN_RTC"}, 22, None),
    ],
)
def test_tiles_below_the_receptive_radius_are_announced(tmp_path, monkeypatch, network, overlap, sees):
    precision.warn_once.cache_clear()
    loaded, warnings = options(tmp_path, network, tile=32, tile_overlap=overlap), []
    monkeypatch.setattr(logger, "warning", warnings.append)
    scored_form(loaded, build_network(loaded))
    assert len(warnings) == (sees is not None)
    for warning in warnings:
        assert f"overlap {overlap}: each pixel of {network['type']} sees {sees}, so that" in warning


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
    assert inference_facts(other) | net.describe() == inference_facts(other)
    assert all(block.merged for _, block in reparam.blocks(net))
    assert net(torch.rand(1, 3, 40, 36)).shape == (1, 3, 80, 72)
    assert inference_facts(options(tmp_path, {"type": "IMDN"}))["padding"] == "none"
    auto = options(tmp_path, {"type": "RT4KSR"}, ensemble=True, tile="auto", tile_overlap="auto")
    assert inference_facts(auto) == plain | {"ensemble": "x8", "tile": "auto", "tile_overlap": "auto"}
    net = scored_form(auto, build_network(auto))
    assert (net.tile, net.overlap, net.ensemble) == ("auto", 15, True)


def test_results_say_which_tiles_memory_led_to(tmp_path, monkeypatch):
    write_photographs(tmp_path / "gt", 1, 96, 120)
    tree = {
        "name": "t",
        "scale": 2,
        "network_g": {"type": "Bicubic"},
        "path": {"experiments": str(tmp_path / "experiments")},
        "datasets": {"test": {"mine": {"type": "GTImages", "gt": str(tmp_path / "gt")}}},
        "val": {"metrics": {"psnr": {"type": "PSNR"}}, "tile": "auto", "tile_overlap": "auto", "ensemble": True},
    }
    results, read = [], fitting.free_memory
    monkeypatch.setattr(fitting.FittingTile, "_measured", lambda *_: 1.0)
    for free in (read, lambda _: 2 * 20 * 20):
        # One byte a pixel: room for the whole image, then, in half of the memory, for 20x20 pixels.
        monkeypatch.setattr(fitting, "free_memory", free)
        monkeypatch.setattr(fitting, "_TRIED", 1)
        assert run_test(write_options(tmp_path / "t.yml", tree), overwrite=True) == 0
        results.append(json.loads((tmp_path / "experiments" / "t" / "results" / "mine.json").read_text()))
    facts = results[0]["inference"]
    assert facts | {"tile": "auto: whole images", "tile_overlap": None, "ensemble": "x8"} == facts
    assert results[1]["inference"] == facts | {"tile": "auto: 16", "tile_overlap": 2}
    assert results[1]["mean"]["psnr"] == pytest.approx(results[0]["mean"]["psnr"], abs=2e-3)
