"""Tiles: the whole image's result beyond the receptive radius, at any size; rules of authors; approximations."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from srzoo.contract import contract_of
from srzoo.images import read_image, to_tensor, to_uint8
from srzoo.infer import precision
from srzoo.infer.adaptive_crop import AdaptiveCrops
from srzoo.infer.upscale import Upscaler
from srzoo.registry import ARCHS
from srzoo.weights import load_weights
from tests.infer.networks import Known, tiny
from tests.support import SHARED, needs_shared, photograph, reference_case, synthetic_weights

BOUNDED = [name for name in ARCHS if contract_of(tiny(name)).receptive_radius is not None]


@pytest.fixture(autouse=True)
def _warnings_are_given_again():
    precision.warn_once.cache_clear()


def test_networks_with_a_receptive_radius_are_known():
    assert set(BOUNDED) == set(ARCHS) - {"DRCT", "IMDN", "IMDN_AS", "RCAN"}
    # The others say why.
    for name in set(ARCHS) - set(BOUNDED):
        assert contract_of(tiny(name)).unbounded_by
    assert "channel attention" in contract_of(tiny("D2CNet", backbone="RCAN", num_feat=16)).unbounded_by


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("name", ["Bicubic", "SRResNet", "RT4KSR"])
@settings(max_examples=8, deadline=None)
@given(height=st.integers(1, 50), width=st.integers(1, 50), tile=st.integers(5, 40))
@example(height=45, width=61, tile=10)  # several tiles, and another grid in the flipped image
def test_tiles_are_equal_to_the_whole_image_at_any_size(name, ensemble, height, width, tile):
    net, lq = tiny(name), torch.rand(2, 3, height, width)
    whole, tiles = (Upscaler(net, tile=side, ensemble=ensemble)(lq) for side in (0, tile))
    assert tiles.shape == whole.shape
    assert (tiles - whole).abs().max() <= 1e-5 * max(1, whole.abs().max())


@pytest.mark.parametrize("ensemble", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", BOUNDED)
def test_tiles_are_equal_to_the_whole_image_for_every_network(name, ensemble):
    net, radius = tiny(name), contract_of(tiny(name)).receptive_radius
    assert radius is not None
    side = 2 * radius + 25
    # Two tiles each way at an odd size, so that with self-ensemble the grid of the flipped image is another one.
    lq, upscaler = torch.rand(1, 3, side, side + 2), Upscaler(net, tile=19, ensemble=ensemble)
    whole = Upscaler(net, tile=0, ensemble=ensemble)(lq)
    assert (upscaler(lq) - whole).abs().max() <= 1e-5 * max(1, whole.abs().max())
    strips = torch.cat(list(upscaler.strips(side, side + 2, lambda top, bottom: lq[:, :, top:bottom])), 2)
    assert (strips - whole).abs().max() <= 1e-5 * max(1, whole.abs().max())


def test_no_more_pixels_are_computed_than_needed():
    net = Known(radius=5, multiple=2)
    Upscaler(net, tile=16)(torch.rand(1, 3, 50, 61))
    # 50 = 2 * 5 + 40: three tiles, two cuts of 2 * 5; 61 = 2 * 5 + 51: four tiles.
    assert len(net.seen) == 3 * 4
    assert sum(height * width for *_, height, width in net.seen) == (50 + 2 * 10) * (61 + 3 * 10)
    net.seen.clear()
    Upscaler(net, tile=40)(torch.rand(1, 3, 50, 50))
    assert net.seen == [(1, 3, 50, 50)]


def test_too_little_overlap_shows_and_is_announced(caplog):
    net, lq = tiny("SRResNet"), torch.rand(1, 3, 40, 40)
    with caplog.at_level(logging.WARNING, "srzoo"):
        tiles = [Upscaler(net, tile=16, overlap=0)(lq) for _ in range(2)]
    assert (tiles[0] - net(lq)).abs().max() > 1e-3
    assert [record.message for record in caplog.records] == [
        "overlap 0: each pixel of SRResNet sees 8 pixels to each side, so that tiles differ from whole images; "
        "without overlap they have seams"
    ]


def test_approximations_are_announced_when_there_are_tiles(caplog):
    net = Known()
    with caplog.at_level(logging.WARNING, "srzoo"):
        Upscaler(net)(torch.rand(1, 3, 40, 40))
        assert caplog.records == []
        upscalers = [Upscaler(net, tile=16), Upscaler(net, tile=16)]
        upscalers[0](torch.rand(1, 3, 90, 40))
    assert [record.message for record in caplog.records] == [
        "overlap 32: each pixel of Known sees the whole image, so that tiles differ from whole images; they are blended"
    ]


def test_more_overlap_brings_windows_closer():
    net = tiny("DRCT")
    lq = torch.rand(1, 3, 48, 48)
    whole = Upscaler(net, tile=0)(lq)
    errors = [(Upscaler(net, tile=16, overlap=overlap)(lq) - whole).abs().mean() for overlap in (0, 4, 8, 12)]
    assert errors == sorted(errors, reverse=True)


def test_networks_that_see_the_whole_image_show_no_seam():
    # Each tile adds its mean: cut tiles would jump by the differences of the means.
    image = torch.from_numpy(photograph(96, 120)).permute(2, 0, 1)[None] / 255
    lq = torch.nn.functional.avg_pool2d(image, 9, 1, 4)
    net = Known(shift=1.0)
    added = Upscaler(net, tile=24, overlap=16)(lq) - Upscaler(Known(), tile=0)(lq)
    for dim in (2, 3):
        assert added.diff(dim=dim).abs().max() < 0.02
    cut = Upscaler(net, tile=24, overlap=0)(lq) - Upscaler(Known(), tile=0)(lq)
    assert cut.diff(dim=3).abs().max() > 0.05


def test_tiles_keep_to_the_grid_of_windows():
    net = Known(multiple=8)
    upscaler = Upscaler(net, tile=20, overlap=5)
    upscaler(torch.rand(1, 3, 100, 100))
    assert (upscaler.describe()["tile"], upscaler.describe()["tile_overlap"]) == (16, 8)
    assert set(net.seen) <= {(1, 3, height, width) for height in (32, 20) for width in (32, 20)}


@pytest.mark.parametrize(("side", "word"), [(-1, "-1"), (2.0, "2.0"), (True, "True"), ("all", "'all'")])
def test_sides_that_are_none_are_refused(side, word):
    with pytest.raises(ValueError, match=f"tile: expected auto or an integer from 0, got {word}"):
        Upscaler(Known(), tile=side)
    with pytest.raises(ValueError, match=f"overlap: expected auto or an integer from 0, got {word}"):
        Upscaler(Known(), overlap=side)


@pytest.mark.parametrize("radius", [6, None])
def test_images_smaller_than_a_network_takes_are_padded(radius):
    net = Known(min_size=8, radius=radius)
    for height, width in ((1, 1), (3, 20), (7, 7), (50, 1)):
        lq = torch.full((1, 3, height, width), 0.3)
        sr = Upscaler(net, tile=8)(lq)
        assert sr.shape == (1, 3, 2 * height, 2 * width)
        assert (sr - 0.3).abs().max() < 1 / 255


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
    by_crops = Upscaler(net, tile_rule="acs")
    assert by_crops.describe()["tile_overlap"] == 32
    with torch.inference_mode():
        sr = by_crops(lq)
        difference = np.abs(to_uint8(sr[0]).astype(int) - expected["y"])
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3
        # The 16x16 pixels around the point where the four quadrants meet.
        centre = sr[..., 51 - 8 : 51 + 8, 46 - 8 : 46 + 8]
        np.testing.assert_allclose(centre.numpy(), expected["y_f32_center"], atol=1e-4)
        # Another function than the padded whole image, and the whole image where 4 divides the sides.
        assert (sr - net(lq)).abs().max() == pytest.approx(0.0904, abs=1e-3)
        even = lq[..., :100, :92]
        assert torch.equal(by_crops(even), net(even))


def test_adaptive_crops_of_a_local_network_are_the_whole_image():
    net, lq = tiny("SRVGGNetCompact"), torch.rand(2, 3, 101, 87)
    torch.testing.assert_close(Upscaler(net, tile_rule="acs")(lq), net(lq).detach(), atol=1e-5, rtol=1e-5)


def test_the_overlap_of_adaptive_cropping_is_its_shave():
    net = Known()
    Upscaler(net, tile_rule="acs", overlap=8)(torch.rand(1, 3, 50, 62))
    # Half of the side and 8, cut to multiples of 4.
    assert net.seen == [(4, 3, 32, 36)]
    with pytest.raises(ValueError, match="acs chooses the crops itself: tile must be auto or 0, got 32"):
        Upscaler(net, tile_rule="acs", tile=32)


def test_images_too_small_for_adaptive_cropping_are_named():
    form = Upscaler(ARCHS.build("IMDN_AS", {"num_feat": 16, "num_modules": 1}, scale=1), tile_rule="acs")
    with pytest.raises(ValueError, match="multiples of 4, got 50: a crop would have 56"):
        form(torch.rand(1, 3, 50, 80))
    assert form(torch.rand(1, 3, 48, 80)).shape == (1, 3, 48, 80)


def test_a_crop_cannot_be_larger_than_the_image():
    with pytest.raises(ValueError, match="got 21: a crop would have 40"):
        AdaptiveCrops(Known(), scale=2)(torch.rand(1, 3, 21, 80))


@needs_shared
def test_tiles_of_the_padded_image_are_those_of_drct():
    options = {"embed_dim": 60, "depths": [6, 6], "num_heads": [6, 6], "window_size": 8, "gc": 16, "img_size": 32}
    net = ARCHS.build("DRCT", options, scale=2).eval()
    load_weights(net, synthetic_weights(reference_case("drct_tiny_x2")[0]["keys"]))
    image = read_image(SHARED / "data" / "Set5" / "LRbicx2" / "butterflyx2.png").rgb[:65, :49]
    sr = Upscaler(net, tile_rule="drct", tile=32, overlap=8)(to_tensor(image)[None])
    np.testing.assert_allclose(sr.numpy(), insight("tile_drct_tiny_65x49")["y_tiled"], atol=1e-4)


def test_the_rule_of_drct_pads_the_image_before_it_is_cut():
    net = Known(multiple=8)
    assert Upscaler(net, tile_rule="drct", tile=32, overlap=0)(torch.rand(1, 3, 65, 49)).shape == (1, 3, 130, 98)
    assert {shape[2:] for shape in net.seen} == {(32, 32), (32, 24), (8, 32), (8, 24)}
    with pytest.raises(ValueError, match=r"Known works on multiples of 8 pixels: .* too, got 20 and 8"):
        Upscaler(net, tile_rule="drct", tile=20, overlap=8)
