"""Feature maps: statistics of channels, refinement steps of IMDN, every network."""

import numpy as np
import pytest
import torch
from torch import nn

from srzoo.analysis.features import (
    channel_statistics,
    contact_sheet,
    layer_features,
    refinement_blocks,
    refinement_maps,
)
from srzoo.analysis.layers import feature_layers
from srzoo.registry import ARCHS
from tests.archs.test_all import build


@pytest.mark.parametrize("name", [name for name in ARCHS if name != "Bicubic"])
def test_every_layer_of_every_network_has_statistics(name):
    net, images = build(name), torch.rand(2, 3, 16, 18)
    layers = feature_layers(net)
    found = channel_statistics(net, lambda: images, layers)
    assert list(found) == layers
    for statistics in found.values():
        assert np.isfinite(statistics.std).all()
        assert (statistics.low <= statistics.mean + 1e-6).all()
        assert (statistics.mean <= statistics.high + 1e-6).all()


def test_statistics_are_those_of_all_pixels_of_all_images():
    net, images = build("IMDN_RTC"), torch.rand(3, 3, 9, 7)
    statistics = channel_statistics(net, lambda: images, ["model.0"])["model.0"]
    values = torch.cat([layer_features(net, image[None], ["model.0"])["model.0"].flatten(1) for image in images], 1)
    np.testing.assert_allclose(statistics.mean, values.mean(1), atol=1e-6)
    np.testing.assert_allclose(statistics.std, values.std(1, unbiased=False), atol=1e-6)
    np.testing.assert_allclose(statistics.high, values.amax(1), atol=0)
    np.testing.assert_allclose(statistics.low, values.amin(1), atol=0)


def test_dead_and_saturated_channels_are_found():
    # Channels: alive; always below 0, which the activation removes; far above the upper end of the activation.
    conv = nn.Conv2d(3, 3, 1)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.copy_(torch.eye(3)[:, :, None, None])
        conv.bias.copy_(torch.tensor([0.0, -5.0, 0.8]))
    net = nn.Sequential(conv, nn.Hardtanh(0, 1))
    statistics = channel_statistics(net, lambda: torch.rand(2, 3, 16, 16), ["1"])["1"]
    assert statistics.dead.tolist() == [False, True, False]
    assert statistics.saturated.tolist() == [False, False, True]
    assert statistics.zero_share[1] == 1


@pytest.mark.parametrize(("name", "steps", "count"), [("IMDN", 4, 2), ("IMDN_RTC", 4, 5), ("IMDNPlus", 6, 2)])
def test_refinement_maps_are_the_parts_that_the_steps_keep(name, steps, count):
    net, lq = build(name), torch.rand(1, 3, 10, 12)
    blocks = refinement_blocks(net)
    assert len(blocks) == count
    block = next(iter(blocks))
    maps = refinement_maps(net, lq, block)
    assert maps.shape == (steps, 10, 12)
    # The fusing convolution takes the kept parts: their means are means of its input (before IMDN's attention).
    seen = {}
    module = net.get_submodule(block)
    last = getattr(module, "cca", None) or getattr(module, f"c{steps + 1}")
    last.register_forward_pre_hook(lambda _, args: seen.update(kept=args[0]))
    net(lq)
    expected = torch.stack([part.mean(1)[0] for part in seen["kept"].split(blocks[block], 1)])
    np.testing.assert_allclose(maps, expected.detach(), atol=1e-5)


def test_networks_without_distillation_have_no_refinement():
    assert refinement_blocks(build("EDSR")) == {}
    with pytest.raises(LookupError, match="is no distillation block; blocks: none"):
        refinement_maps(build("EDSR"), torch.rand(1, 3, 8, 8), "body")


def test_a_contact_sheet_keeps_every_map_in_its_place():
    sheet = contact_sheet(np.arange(3 * 2 * 2, dtype=np.float32).reshape(3, 2, 2), columns=2)
    assert sheet.shape == (6, 6)
    assert sheet[0, 3] == 4  # the second map
    assert sheet[3, 0] == 8  # the third
    assert np.isnan(sheet[3, 3])
