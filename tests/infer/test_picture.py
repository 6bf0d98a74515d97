"""One image file through a network: alpha, grey, depth, strips."""

import numpy as np
import pytest
import torch
from PIL import Image

from srzoo.images import FileLayout, read_header, read_image, to_tensor, write_image
from srzoo.infer import picture as picture_module
from srzoo.infer.picture import OpenPicture, RowQueue, bled, open_picture, output_layout, output_size, upscaled_bands
from srzoo.infer.tile import TileSide
from srzoo.infer.upscale import Upscaler
from srzoo.ops.resize import imresize
from srzoo.registry import ARCHS
from tests.support import photograph

RGB = photograph(30, 40)


def network(scale=2, channels=3):
    torch.manual_seed(3)
    options = {"num_feat": 8, "num_conv": 1, "num_in_ch": channels}
    return ARCHS.build("SRVGGNetCompact", options, scale=scale).eval()


def upscaled(pixels, *, magnification=2.0, alpha=None, grey=False, in_strips=False, net=None, tile: TileSide = "auto"):
    net = net or network()
    size = output_size(pixels.shape[:2], magnification)
    channels = (1 if grey else 3) + (alpha is not None)
    layout = FileLayout(*size, channels, 8 * pixels.dtype.itemsize)
    opened = OpenPicture(pixels.shape[:2], pixels, alpha, grey)
    upscaler = Upscaler(net, tile=tile)
    result = np.concatenate(list(upscaled_bands(upscaler, opened, layout, in_strips=in_strips)))
    assert result.shape == (*size, channels)
    assert result.dtype == pixels.dtype
    return result


def expected(pixels, net, size=None):
    """The network's output for RGB, resized, as levels."""
    with torch.no_grad():
        sr = net(to_tensor(pixels)[None])[0]
    sr = sr if size is None else imresize(sr, size=size)
    return (sr.clamp(0, 1) * np.iinfo(pixels.dtype).max).round().permute(1, 2, 0).numpy().astype(pixels.dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("in_strips", [False, True])
def test_colours_are_those_of_the_network(dtype, in_strips, monkeypatch):
    monkeypatch.setattr(picture_module, "_CHUNK", 500)
    net, pixels = network(), RGB if dtype == np.uint8 else RGB.astype(np.uint16) * 251 + 5
    result = upscaled(pixels, net=net, in_strips=in_strips, tile=8 if in_strips else "auto")
    np.testing.assert_allclose(result.astype(int), expected(pixels, net).astype(int), atol=1)


@pytest.mark.parametrize(
    ("magnification", "size"), [(3.5, (105, 140)), (1.3, (39, 52)), (0.5, (15, 20)), (2.51, (75, 100))]
)
@pytest.mark.parametrize("in_strips", [False, True])
def test_any_final_magnification(magnification, size, in_strips):
    net = network()
    result = upscaled(RGB, magnification=magnification, net=net, in_strips=in_strips, tile=8 if in_strips else "auto")
    assert result.shape[:2] == size
    np.testing.assert_allclose(result.astype(int), expected(RGB, net, size).astype(int), atol=1)


def test_sides_are_rounded_and_at_least_1():
    assert output_size((3, 7), 1.5) == (4, 10)  # halves to even: 4.5 and 10.5
    assert output_size((1, 9), 0.1) == (1, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("in_strips", [False, True])
def test_grey_stays_grey(channels, in_strips):
    grey = np.repeat(RGB[..., :1], 3, 2)
    net = network(channels=channels)
    result = upscaled(grey, grey=True, net=net, in_strips=in_strips, tile=8 if in_strips else "auto")
    with torch.no_grad():
        sr = net(to_tensor(grey)[None, :channels])[0].clamp(-1, 2)
    luma = sr[0] if channels == 1 else 0.299 * sr[0] + 0.587 * sr[1] + 0.114 * sr[2]
    np.testing.assert_allclose(result[..., 0].astype(int), (luma.clamp(0, 1) * 255).numpy(), atol=1)


@pytest.mark.parametrize("in_strips", [False, True])
def test_a_network_for_grey_takes_colours_one_by_one(in_strips):
    net = network(channels=1)
    result = upscaled(RGB, net=net, in_strips=in_strips, tile=8 if in_strips else "auto")
    for channel in range(3):
        np.testing.assert_allclose(
            result[..., channel].astype(int), expected(RGB[..., channel, None], net)[..., 0].astype(int), atol=1
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("magnification", [2, 3.5])
@pytest.mark.parametrize("in_strips", [False, True])
def test_alpha_is_enlarged_bicubically(dtype, magnification, in_strips, monkeypatch):
    monkeypatch.setattr(picture_module, "_CHUNK", 700)
    pixels, alpha = (RGB.astype(dtype), RGB[..., 1].astype(dtype) * (1 if dtype == np.uint8 else 257))
    result = upscaled(pixels, alpha=alpha, magnification=magnification, in_strips=in_strips)
    size = output_size((30, 40), magnification)
    wanted = imresize(to_tensor(alpha[..., None]), size=size).clamp(0, 1) * np.iinfo(dtype).max
    np.testing.assert_allclose(result[..., 3].astype(int), wanted[0].numpy(), atol=1)


@pytest.mark.parametrize("key", [(0, 0, 0), (0, 255, 0)])
def test_hidden_colours_do_not_show_at_visible_borders(tmp_path, key):
    """A red disc on a transparent ground of black or green: every pixel that shows is red."""
    y, x = np.mgrid[:40, :40]
    visible = (y - 20) ** 2 + (x - 19) ** 2 < 150
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[..., :3] = key
    rgba[visible] = (200, 10, 20, 255)
    Image.fromarray(rgba).save(tmp_path / "disc.png")
    header = read_header(tmp_path / "disc.png")
    opened = open_picture(tmp_path / "disc.png", header, max_pixels=10_000, by_rows=True)
    layout = output_layout(header, 2, "png")
    bicubic = Upscaler(ARCHS.build("Bicubic", {}, scale=2))
    result = np.concatenate(list(upscaled_bands(bicubic, opened, layout, in_strips=False)))
    shows = result[..., 3] > 0
    assert shows.sum() > visible.sum() * 3.8
    np.testing.assert_allclose(result[shows][:, :3], np.broadcast_to((200, 10, 20), (shows.sum(), 3)), atol=1)


def test_colours_bleed_from_the_nearest_visible_pixel():
    colours, alpha = np.zeros((1, 6, 3), np.uint16), np.array([[9, 0, 0, 0, 0, 7]], np.uint16)
    colours[0, 0], colours[0, 5], colours[0, 2] = 1000, 2000, 3000
    np.testing.assert_array_equal(bled(colours, alpha)[0, :, 0], [1000, 1000, 1000, 2000, 2000, 2000])
    assert colours[0, 2, 0] == 3000
    for same in (np.zeros_like(alpha), np.full_like(alpha, 3)):
        np.testing.assert_array_equal(bled(colours, same), colours)


def test_opaque_png_and_tiff_are_opened_by_rows_and_other_files_whole(tmp_path):
    write_image(tmp_path / "plain.png", RGB)
    write_image(tmp_path / "alpha.png", np.concatenate([RGB, RGB[..., :1]], 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    write_image(tmp_path / "x.tif", RGB)
    for path in tmp_path.iterdir():
        header = read_header(path)
        for by_rows in (False, True):
            opened = open_picture(path, header, max_pixels=5000, by_rows=by_rows)
            assert isinstance(opened.pixels, np.ndarray) == (not by_rows or path.name not in ("plain.png", "x.tif"))
            np.testing.assert_array_equal(
                np.concatenate([opened.rows(0, 11), opened.rows(11, header.size[0])]), read_image(path).rgb
            )
            opened.close()


def test_rows_are_taken_in_other_portions():
    rows = RowQueue(iter(np.split(np.arange(20).reshape(20, 1, 1), [3, 4, 11])))
    parts = [rows.take(count) for count in (1, 6, 13)]
    assert [part[:, 0, 0].tolist() for part in parts] == [[0], list(range(1, 7)), list(range(7, 20))]
