"""Images through one upscaler: in strips, from threads, as arrays; what it says of itself."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import srzoo
from srzoo.contract import contract_of
from srzoo.images import Picture, to_uint8
from srzoo.infer.memory import peak_memory
from srzoo.infer.upscale import Upscaler
from srzoo.registry import ARCHS
from tests.infer.networks import Known, tiny
from tests.support import photograph

HEIGHT, WIDTH = 8192, 24


class Rows:
    """Reader of an image whose rows are computed when they are read, and counter of what was read."""

    def __init__(self, width=WIDTH):
        self.width, self.asked = width, []

    def __call__(self, top, bottom):
        self.asked.append((top, bottom))
        rows = torch.arange(top, bottom, dtype=torch.float32)[:, None] * 0.37
        return (0.5 + 0.5 * torch.sin(rows + torch.arange(self.width))).expand(1, 3, -1, -1)


@pytest.mark.parametrize("radius", [5, None])
def test_strips_hold_one_row_of_tiles(radius):
    net, read, top = Known(radius=radius), Rows(), 0
    upscaler = Upscaler(net, tile=64, overlap=5)
    for band in upscaler.strips(HEIGHT, WIDTH, read):
        expected = Rows()(top // 2, top // 2 + band.shape[2] // 2)
        torch.testing.assert_close(band, Known()(expected), atol=1e-6, rtol=0)
        top += band.shape[2]
        # Read, but not yet given out: not more than a tile with its margins.
        assert read.asked[-1][1] - top // 2 <= 64 + 2 * 5
    assert top == 2 * HEIGHT
    assert [bottom for _, bottom in read.asked[:-1]] == [first for first, _ in read.asked[1:]]
    assert (read.asked[0][0], read.asked[-1][1]) == (0, HEIGHT)
    assert max(height for *_, height, _ in net.seen) <= 64 + 2 * 5


@torch.inference_mode()
def test_the_memory_of_strips_does_not_grow_with_the_image():
    net = tiny("SRVGGNetCompact")
    upscaler = Upscaler(net, tile=32)

    def consume(height):
        last = torch.empty(0)
        for band in upscaler.strips(height, WIDTH, Rows()):
            last = band
        return last

    short, long = (peak_memory(lambda height=height: consume(height), torch.device("cpu")) for height in (128, 1024))
    assert long <= 1.1 * short
    # A whole image of that size takes many times as much.
    assert peak_memory(lambda: Upscaler(net, tile=0)(Rows()(0, 1024)), torch.device("cpu")) > 4 * long


def test_automatic_tiles_of_strips_are_small_where_they_are_exact(monkeypatch):
    monkeypatch.setattr("srzoo.infer.upscale._STRIP_TILE", 32)
    # An image that is small enough to be tried whole.
    for radius, tallest in ((3, 32 + 2 * 3), (10, 8 * 10 + 2 * 10), (None, 300)):
        read, net = Rows(), Known(radius=radius)
        for _ in Upscaler(net).strips(300, WIDTH, read):
            pass
        assert max(height for *_, height, _ in net.seen) <= tallest
        assert len(read.asked) > 1 or radius is None


def test_strips_of_the_rules_of_authors_are_whole_images():
    net, read = Known(multiple=8), Rows(50)
    (band,) = Upscaler(net, tile_rule="drct", tile=32, overlap=8).strips(75, 50, read)
    assert torch.equal(band, Known()(Rows(50)(0, 75)))
    assert read.asked == [(0, 75)]


def test_a_reader_that_gives_other_rows_is_refused():
    with pytest.raises(ValueError, match=r"rows 0 to 20 of the image: expected \(1, 3, 20, 30\), got \(1, 3, 20, 24\)"):
        next(Upscaler(Known(radius=2)).strips(20, 30, Rows()))


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 3, 0, 8)])
def test_tensors_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"Known expects a floating-point tensor \(B, 3, H, W\) .* got the shape"):
        Upscaler(Known())(torch.rand(shape))


def test_tensors_of_other_values_are_refused():
    with pytest.raises(ValueError, match=r"got torch.uint8: divide 8-bit values by 255"):
        Upscaler(Known())(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    for bad in (255.0, -3.0, float("nan")):
        with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got"):
            srzoo.upscale(Known(), torch.full((1, 3, 8, 8), bad))


@pytest.mark.parametrize("tile", [16, "auto"])
def test_images_do_not_mix_in_threads(tile):
    net = tiny("SRResNet")
    images = [torch.rand(1, 3, 30 + number, 60 - number) for number in range(12)]
    expected = [net(image).detach() for image in images]
    upscaler = Upscaler(net, tile=tile)
    with ThreadPoolExecutor(4) as pool:
        for sr, whole in zip(pool.map(upscaler, images), expected, strict=True):
            torch.testing.assert_close(sr, whole, atol=1e-5, rtol=1e-5)


def test_an_error_in_a_tile_leaves_nothing_behind():
    class Failing(Known):
        fails = True

        def forward(self, lq):
            if self.fails and len(self.seen) == 3:
                raise RuntimeError("broken")
            return super().forward(lq)

    net, images = Failing(radius=2), [torch.rand(1, 3, 40, 40) for _ in range(2)]
    upscaler = Upscaler(net, tile=16)
    with pytest.raises(RuntimeError, match="broken"):
        upscaler(images[0])
    net.fails = False
    assert torch.equal(upscaler(images[1]), Known()(images[1]))


def test_describe_says_how_images_were_upscaled():
    net, lq = tiny("IMDN"), torch.rand(1, 3, 40, 20)
    plain = {"tile_rule": "exact", "tile": None, "tile_overlap": None, "ensemble": "none", "precision": "float32"}
    assert Upscaler(net, tile=0).describe() == plain
    auto = Upscaler(net)
    assert auto(lq).shape == (1, 3, 80, 40)
    assert auto.describe() == plain | {"tile": "auto: whole images"}
    other = Upscaler(net, tile=30, overlap=6, ensemble=True, precision="bf16")
    assert other.describe() == plain | {"tile": 30, "tile_overlap": 6, "ensemble": "x8", "precision": "bfloat16"}
    assert Upscaler(net, tile_rule="acs").describe() == plain | {
        "tile_rule": "acs", "tile": "auto: whole images", "tile_overlap": 32
    }  # fmt: skip


def test_a_network_without_identity_is_refused():
    with pytest.raises(ValueError, match="Conv2d has no identity: build it with"):
        Upscaler(torch.nn.Conv2d(3, 3, 3))


def test_the_mode_of_the_network_is_kept():
    net = ARCHS.build("SRResNet", {"num_block": 1, "num_feat": 4}, scale=2).train()
    srzoo.upscale(net, torch.rand(1, 3, 8, 8))
    assert net.training
    assert net.body[0].training


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1), (np.float64, 1)])
def test_arrays_come_out_as_they_came_in(dtype, white):
    net = tiny("Bicubic")
    image = (photograph(20, 30) / 255 * white).astype(dtype)
    before = image.copy()
    sr = srzoo.upscale(net, image)
    assert (sr.dtype, sr.shape) == (dtype, (40, 60, 3))
    assert np.array_equal(image, before)
    lq = torch.from_numpy((image / white).astype(np.float32)).permute(2, 0, 1)[None]
    exact = net(lq)[0].permute(1, 2, 0).numpy() * white
    if white > 1:
        exact = np.rint(exact.clip(0, white))
    np.testing.assert_allclose(sr, exact, atol=1e-6 if white == 1 else 1)
    if dtype == np.uint8:
        assert np.array_equal(sr, to_uint8(net(lq)[0]))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_arrays_stay_grey(dtype):
    net = tiny("SRResNet")
    grey = photograph(20, 30)[:, :, 1].astype(dtype)
    grey = grey / np.float32(255) if dtype == np.float32 else grey * np.iinfo(dtype).max // 255
    grey = grey.astype(dtype)
    sr = srzoo.upscale(net, grey)
    assert (sr.dtype, sr.shape) == (dtype, (40, 60))
    rgb = srzoo.upscale(net, np.repeat(grey[:, :, None], 3, 2))
    assert np.array_equal(sr, Picture(rgb).grey[:, :, 0])
    assert np.array_equal(srzoo.upscale(net, grey[:, :, None])[:, :, 0], sr)
    one = tiny("SRResNet", num_in_ch=1)
    assert srzoo.upscale(one, grey).shape == (40, 60)
    assert srzoo.upscale(one, grey[:, :, None]).shape == (40, 60, 1)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (photograph(8, 8).astype(np.int64), "got int64"),
        (photograph(8, 8) > 9, "got bool"),
        (photograph(8, 8).astype(np.float32), r"expected values in \[0, 1\], got .* divide 8-bit values by 255"),
        (np.full((8, 8), np.nan), r"expected values in \[0, 1\], got nan"),
        (np.zeros((8, 8, 4), np.uint8), r"got the shape \(8, 8, 4\): take alpha off and upscale it apart"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"got the shape \(2, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"got the shape \(0, 8, 3\)"),
        (photograph(8, 8).tolist(), "got list"),
    ],
)
def test_other_arrays_are_refused(image, words):
    with pytest.raises(ValueError, match=words):
        srzoo.upscale(tiny("Bicubic"), image)


def test_a_colour_image_is_refused_by_a_grey_network():
    with pytest.raises(ValueError, match=r"expected an image \(H, W, 1\) or grey .* got the shape \(8, 8, 3\)"):
        srzoo.upscale(tiny("SRResNet", num_in_ch=1), photograph(8, 8))


@pytest.mark.parametrize("tile", [0, 5, "auto"])
def test_a_constant_image_stays_constant(tile):
    net = tiny("Bicubic")
    for size in ((1, 1), (1, 30), (37, 23)):
        sr = srzoo.upscale(net, np.full((*size, 3), 77, np.uint8), tile=tile)
        assert np.array_equal(sr, np.full((2 * size[0], 2 * size[1], 3), 77, np.uint8))


def test_images_of_one_pixel_go_through_every_network():
    for name in ARCHS:
        net = tiny(name)
        for ensemble in (False, True):
            sr = srzoo.upscale(net, np.full((1, 1, 3), 128, np.uint8), tile=16, ensemble=ensemble)
            assert sr.shape == (net.scale, net.scale, 3)
        assert contract_of(net).min_size == 1
