"""Reading and writing image files, compared with Pillow."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from srzoo.images import image_size, jpeg_decoded, read_image, to_tensor, to_uint8, write_image
from tests.support import photograph

RGB = photograph(40, 56)


def pillow_rgb(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg"])
def test_decoding_agrees_with_pillow(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    options = {"quality": 90} if suffix in (".jpg", ".webp") else {}
    Image.fromarray(RGB).save(path, None, **options)
    difference = np.abs(read_image(path).rgb.astype(int) - pillow_rgb(path))
    # JPEG and WebP chroma upsampling may differ between builds of the libraries.
    assert difference.max() <= (0 if suffix in (".png", ".bmp", ".tif") else 3)
    assert image_size(path) == (40, 56)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_lossless_formats_round_trip(tmp_path, suffix):
    write_image(tmp_path / f"x{suffix}", RGB)
    np.testing.assert_array_equal(read_image(tmp_path / f"x{suffix}").rgb, RGB)


def test_16_bits_keep_their_depth(tmp_path):
    deep = RGB.astype(np.uint16) * 257
    write_image(tmp_path / "deep.png", deep)
    read = read_image(tmp_path / "deep.png").rgb
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, deep)
    torch.testing.assert_close(to_tensor(deep), to_tensor(RGB))


@pytest.mark.parametrize("mode", ["L", "1", "P", "I;16"])
def test_grey_and_palette_become_rgb(tmp_path, mode):
    path = tmp_path / "image.png"
    if mode == "I;16":
        Image.fromarray(RGB[..., 0].astype(np.uint16) * 257).save(path)
        expected = np.repeat(RGB[..., :1].astype(np.uint16) * 257, 3, 2)
    else:
        image = Image.fromarray(RGB).quantize(32) if mode == "P" else Image.fromarray(RGB).convert(mode)
        image.save(path)
        expected = pillow_rgb(path)
    np.testing.assert_array_equal(read_image(path).rgb, expected)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGBA", ".png"), ("LA", ".png"), ("RGBA", ".tif"), ("LA", ".tif"), ("RGBA", ".webp")]
)
def test_alpha_is_returned_separately(tmp_path, mode, suffix):
    alpha = RGB[..., 1]
    image = Image.fromarray(RGB).convert(mode.removesuffix("A"))
    image.putalpha(Image.fromarray(alpha))
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    image.save(tmp_path / f"a{suffix}", None, **options)
    picture = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(picture.rgb, np.asarray(image.convert("RGB")))
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, alpha)


def test_cmyk_jpeg_and_16_bit_tiff_are_read(tmp_path):
    Image.fromarray(RGB).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "print.jpg").rgb.astype(int) - pillow_rgb(tmp_path / "print.jpg")).max() <= 3
    write_image(tmp_path / "deep.tif", RGB.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.tif").rgb, RGB.astype(np.uint16) * 257)
    Image.fromarray(RGB).quantize(32).save(tmp_path / "palette.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.tif").rgb, pillow_rgb(tmp_path / "palette.tif"))


def test_implausible_headers_and_empty_arrays_are_refused(tmp_path):
    path = tmp_path / "huge.png"
    write_image(path, RGB)
    content = bytearray(path.read_bytes())
    content[16:24] = (200_000).to_bytes(4, "big") * 2
    path.write_bytes(bytes(content))
    for read in (image_size, read_image):
        with pytest.raises(ValueError, match=r"huge.png: 200000x200000 are 40,000 million pixels, more"):
            read(path)
    (tmp_path / "empty.npy").write_bytes(b"")
    with pytest.raises(ValueError, match="the file is empty"):
        read_image(tmp_path / "empty.npy")


def test_camera_orientation_is_applied_to_pixels_and_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "camera.jpg", exif=exif)
    assert read_image(tmp_path / "camera.jpg").rgb.shape == (56, 40, 3)
    assert image_size(tmp_path / "camera.jpg") == (56, 40)
    exif[0x0112] = 3  # turned by 180 degrees: the size is the same
    Image.fromarray(RGB).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    turned = read_image(tmp_path / "turned.jpg").rgb
    assert image_size(tmp_path / "turned.jpg") == turned.shape[:2] == (40, 56)
    assert np.abs(turned[::-1, ::-1].astype(int) - RGB).mean() < 5


def test_npy_is_memory_mapped(tmp_path):
    np.save(tmp_path / "raw.npy", RGB)
    picture = read_image(tmp_path / "raw.npy")
    assert isinstance(picture.rgb, np.memmap)
    np.testing.assert_array_equal(picture.rgb, RGB)


def test_files_that_are_no_images_are_refused(tmp_path):
    contents = {
        "text.png": (b"hello", "unknown content"),
        "empty.png": (b"", "the file is empty"),
        "page.jpg": (b"<!DOCTYPE html><html>404</html>", "its content is a web page"),
        "phone.jpg": (b"\0\0\0\x18ftypheic" + bytes(40), "its content is HEIC"),
        "pointer.png": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        "BM.bmp": (b"BM is how this text begins" + bytes(100), "unknown content"),
    }
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        for read in (image_size, read_image):
            with pytest.raises(ValueError, match=rf"{name}: not a readable image \(.*{message}"):
                read(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "missing.png")


def test_tensor_round_trip_is_exact():
    np.testing.assert_array_equal(to_uint8(to_tensor(RGB)), RGB)


def test_tensors_are_clipped_and_rounded_half_to_even():
    levels = torch.tensor([-0.2, 0.4 / 255, 0.6 / 255, 1.5 / 255, 2.5 / 255, 254.6 / 255, 1.2])
    assert to_uint8(levels.expand(3, 1, 7))[0, :, 0].tolist() == [0, 0, 1, 2, 2, 255, 255]
    tensor = to_tensor(RGB)
    assert tensor.shape == (3, 40, 56)
    assert tensor[2, 5, 7].item() == np.float32(RGB[5, 7, 2]) / np.float32(255)


@pytest.mark.parametrize("quality", [20, 90])
def test_jpeg_round_trip_is_that_of_a_file(quality):
    encoded = io.BytesIO()
    Image.fromarray(RGB).save(encoded, "JPEG", quality=quality)
    difference = jpeg_decoded(RGB, quality).astype(int) - np.asarray(Image.open(encoded))
    # Chroma upsampling may differ between builds of the libraries.
    assert np.abs(difference).max() <= 3
