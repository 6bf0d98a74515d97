"""Tiles: the whole image's result beyond the receptive radius, any size, sizes that a network cannot take."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.images import read_image, to_tensor, to_uint8
from srzoo.infer.tile import TiledNet, TileRule, tiled
from srzoo.registry import ARCHS
from srzoo.weights import load_weights
from tests.support import SHARED, needs_shared, reference_case, synthetic_weights

# (options, receptive radius known) of small networks.
NETS = {
    "SRResNet": {"num_feat": 4, "num_block": 2},
    "EDSR": {"num_feat": 4, "num_block": 2},
    "RRDBNet": {"num_feat": 4, "num_block": 1, "num_grow_ch": 2},
    "SRVGGNetCompact": {"num_feat": 4, "num_conv": 3},
    "Bicubic": {},
}

RULES: tuple[TileRule, ...] = ("exact", "drct")


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


def insight(name):
    with np.load(SHARED / "reference" / "insight" / f"{name}.npz") as arrays:
        return dict(arrays)


@needs_shared
def test_adaptive_cropping_is_the_authors():
    net = ARCHS.build("IMDN_AS", {}, scale=1).eval()
    load_weights(net, SHARED / "checkpoints" / "IMDN_AS.pth")
    image = read_image(SHARED / "data" / "RealSR_x1" / "LQ" / "cam1_02.png").rgb[200:303, 300:393]
    expected = insight("acs_imdn_as_cam1_02")
    lq = to_tensor(image)[None]
    with torch.inference_mode():
        sr = tiled(net, rule="acs", tile=None, overlap=0, scale=1)(lq)
        difference = np.abs(to_uint8(sr[0]).astype(int) - expected["y"])
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3
        # The 16x16 pixels around the point where the four quadrants meet.
        centre = sr[..., 51 - 8 : 51 + 8, 46 - 8 : 46 + 8]
        np.testing.assert_allclose(centre.numpy(), expected["y_f32_center"], atol=1e-4)
        # Another function than the padded whole image, and the whole image where 4 divides the sides.
        assert (sr - net(lq)).abs().max() == pytest.approx(0.0904, abs=1e-3)
        even = lq[..., :100, :92]
        assert torch.equal(tiled(net, rule="acs", tile=None, overlap=0, scale=1)(even), net(even))


def test_adaptive_crops_of_a_local_network_are_the_whole_image():
    torch.manual_seed(0)
    net = ARCHS.build("SRVGGNetCompact", NETS["SRVGGNetCompact"], scale=2).eval()
    lq = torch.rand(2, 3, 101, 87)
    with torch.inference_mode():
        torch.testing.assert_close(
            tiled(net, rule="acs", tile=None, overlap=0, scale=2)(lq), net(lq), atol=1e-5, rtol=0
        )


def test_images_too_small_for_adaptive_cropping_are_named():
    net = ARCHS.build("IMDN_AS", {"num_feat": 16, "num_modules": 1}, scale=1)
    form = tiled(net, rule="acs", tile=None, overlap=0, scale=1)
    with pytest.raises(ValueError, match="multiples of 4, got 50: a crop would have 56"):
        form(torch.rand(1, 3, 50, 80))
    assert form(torch.rand(1, 3, 48, 80)).shape == (1, 3, 48, 80)


@needs_shared
def test_tiles_of_the_padded_image_are_those_of_drct():
    options = {"embed_dim": 60, "depths": [6, 6], "num_heads": [6, 6], "window_size": 8, "gc": 16, "img_size": 32}
    net = ARCHS.build("DRCT", options, scale=2).eval()
    load_weights(net, synthetic_weights(reference_case("drct_tiny_x2")[0]["keys"]))
    image = read_image(SHARED / "data" / "Set5" / "LRbicx2" / "butterflyx2.png").rgb[:65, :49]
    expected = insight("tile_drct_tiny_65x49")["y_tiled"]
    with torch.inference_mode():
        sr = tiled(net, rule="drct", tile=32, overlap=8, scale=2)(to_tensor(image)[None])
        # Without a margin the last row of tiles is one pixel high, too small to be mirrored by itself.
        narrow = [tiled(net, rule=rule, tile=32, overlap=0, scale=2)(to_tensor(image)[None]) for rule in RULES]
    np.testing.assert_allclose(sr.numpy(), expected, atol=1e-4)
    assert (narrow[0] - narrow[1]).abs().max() > 1e-3
