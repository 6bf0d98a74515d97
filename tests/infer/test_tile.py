"""Tiles: the whole image's result beyond the receptive radius, any size, sizes that a network cannot take."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.infer.tile import TiledNet
from srzoo.registry import ARCHS

# (options, receptive radius known) of small networks.
NETS = {
    "SRResNet": {"num_feat": 4, "num_block": 2},
    "EDSR": {"num_feat": 4, "num_block": 2},
    "RRDBNet": {"num_feat": 4, "num_block": 1, "num_grow_ch": 2},
    "SRVGGNetCompact": {"num_feat": 4, "num_conv": 3},
    "Bicubic": {},
}


@pytest.mark.parametrize("name", NETS)
@settings(max_examples=8, deadline=None)
@given(height=st.integers(20, 50), width=st.integers(20, 50), tile=st.integers(9, 40))
def test_tiles_with_the_receptive_radius_around_give_the_whole(name, height, width, tile):
    torch.manual_seed(0)
    net = ARCHS.build(name, NETS[name], scale=2).eval()
    multiple = getattr(net, "multiple_of", 1)
    overlap = net.receptive_radius + -net.receptive_radius % multiple
    tile += -tile % multiple
    lq = torch.rand(2, 3, height, width)
    with torch.inference_mode():
        whole = net(lq)
        tiles = TiledNet(net, tile=tile, overlap=overlap, scale=2)(lq)
    assert tiles.shape == whole.shape
    torch.testing.assert_close(tiles, whole, atol=1e-5, rtol=0)


def test_too_little_overlap_shows():
    torch.manual_seed(0)
    net = ARCHS.build("SRResNet", NETS["SRResNet"], scale=2).eval()
    lq = torch.rand(1, 3, 40, 40)
    with torch.inference_mode():
        difference = (TiledNet(net, tile=16, overlap=0, scale=2)(lq) - net(lq)).abs()
    assert difference.max() > 1e-3


def test_more_overlap_brings_windows_closer():
    torch.manual_seed(0)
    options = {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 4, "gc": 4}
    net = ARCHS.build("DRCT", options, scale=2).eval()
    lq = torch.rand(1, 3, 48, 48)
    with torch.inference_mode():
        errors = [(TiledNet(net, tile=16, overlap=o, scale=2)(lq) - net(lq)).abs().mean() for o in (0, 8, 16)]
    assert errors[0] > errors[1] >= errors[2]


def test_tiles_that_a_network_cannot_take_are_refused():
    net = ARCHS.build("DRCT", {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 4, "gc": 4}, scale=2)
    with pytest.raises(
        ValueError, match="DRCT works on multiples of 4 pixels: tile and overlap must be multiples too, got 18 and 8"
    ):
        TiledNet(net, tile=18, overlap=8, scale=2)
