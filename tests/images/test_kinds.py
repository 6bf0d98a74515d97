"""Every kind of image file: one answer about size, depth, alpha and orientation from header and pixels alike."""

import contextlib
import io
import json
import logging
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from srzoo.images import image_size, read_header, read_image, write_image
from tests.support import SHARED, needs_shared, photograph

RGB = photograph(40, 56)
CASES = SHARED / "cases" / "images"
EXPECTED = json.loads((SHARED / "cases" / "images.json").read_text()) if CASES.is_dir() else []


@needs_shared
@pytest.mark.parametrize("case", EXPECTED, ids=[case["file"] for case in EXPECTED])
def test_odd_files_are_read_whole_or_refused_by_name(case):
    path = CASES / case["file"]
    if case["outcome"] == "refused":
        with pytest.raises(ValueError, match=case["file"]):
            read_image(path)
        return
    width, height = case.get("shown_size_wh", (128, 96))
    picture = read_image(path)
    assert picture.rgb.shape == (*image_size(path), 3) == (height, width, 3)
    assert (picture.alpha is not None) == case.get("alpha", False) == read_header(path).alpha
    assert picture.rgb.dtype == (np.uint16 if case["bits"] in (16, 32) else np.uint8)
    if case["bits"] == 8:
        shown = ImageOps.exif_transpose(Image.open(path))
        difference = np.abs(picture.rgb.astype(int) - np.asarray(shown.convert("RGB")))
        assert difference.max() <= 3  # JPEG's chroma upsampling differs between builds of the libraries


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_exif(content, block):
    """A PNG file with an eXIf chunk after the pixels, where some programs write it."""
    chunk = b"eXIf" + block
    return content[:-12] + struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[-12:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG after pixels", "WEBP", "TIFF", "TIFF deep", "AVIF"])
def test_orientation_is_applied_once_in_every_kind(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, path = Image.fromarray(RGB), tmp_path / "image.dat"
    if kind == "PNG after pixels":
        path.write_bytes(with_exif(saved(image, "PNG"), exif.tobytes().removeprefix(b"Exif\0\0")))
    elif kind == "TIFF deep":  # one channel of 16 bits: OpenCV turns some TIFF files and not others
        deep = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
        path.write_bytes(saved(deep, "TIFF", tiffinfo={0x0112: orientation}))
    elif kind == "TIFF":
        path.write_bytes(saved(image, kind, tiffinfo={0x0112: orientation}))
    else:
        quality = {"quality": 100} if kind != "PNG" else {}
        path.write_bytes(saved(image, kind, exif=exif, **quality))
    stored = np.repeat(RGB[..., :1], 3, 2) if kind == "TIFF deep" else RGB
    # EXIF 2.32: the sides of the stored picture that the top and the left of the shown one are.
    shown = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.swapaxes(0, 1),
        6: np.rot90(stored, -1),
        7: stored[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(stored),
    }[orientation]
    pixels = read_image(path).rgb
    assert image_size(path) == pixels.shape[:2] == shown.shape[:2]
    difference = np.abs((pixels >> 8 if kind == "TIFF deep" else pixels).astype(int) - shown)
    assert difference.mean() < (4 if kind in ("JPEG", "WEBP", "AVIF") else 1e-9)


KINDS = {
    "PNG": {},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True, "exact": True},
    "PPM": {},
    "JPEG2000": {},
    "AVIF": {},
    "GIF": {},
    "JPEG": {},
}


def in_mode(mode):
    """The photograph in one of Pillow's modes."""
    if mode == "I;16":
        return Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    if mode == "P":
        return Image.fromarray(RGB).quantize(32)
    image = Image.fromarray(RGB).convert(mode.removesuffix("A"))
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.fromarray(RGB[..., 1]))
    return image


def modes_and_kinds():
    """(mode, kind, content) of all that Pillow can write."""
    for mode in ("RGB", "RGBA", "L", "LA", "1", "P", "CMYK", "I;16"):
        for kind, options in KINDS.items():
            with contextlib.suppress(OSError, ValueError):
                yield mode, kind, saved(in_mode(mode), kind, **options)


MODES = list(modes_and_kinds())


@pytest.mark.parametrize(("mode", "kind", "content"), MODES, ids=[f"{mode}-{kind}" for mode, kind, _ in MODES])
def test_modes_agree_with_pillow(tmp_path, mode, kind, content):
    path = tmp_path / f"{mode.replace(';', '')}.png"  # the suffix does not matter
    path.write_bytes(content)
    stored = Image.open(path)
    size, picture, header = image_size(path), read_image(path), read_header(path)
    transparent = "A" in stored.mode or "transparency" in stored.info
    assert (size, picture.alpha is not None) == (picture.rgb.shape[:2], transparent)
    assert header.alpha == transparent
    assert header.bits == 8 * picture.rgb.dtype.itemsize
    if stored.mode.startswith("I"):
        np.testing.assert_array_equal(picture.rgb, np.repeat(np.asarray(stored, np.uint16)[..., None], 3, 2))
        return
    expected = np.asarray(stored.convert("RGBA"))
    np.testing.assert_allclose(picture.rgb, expected[..., :3], atol=3 if kind == "JPEG" else 0)
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, expected[..., 3])


def test_16_bits_with_alpha_stay_16_bits(tmp_path):
    deep = np.dstack([RGB, RGB[..., 1] // 3]).astype(np.uint16) * 257
    for suffix in ("png", "tif"):
        write_image(tmp_path / f"deep.{suffix}", deep)
        picture = read_image(tmp_path / f"deep.{suffix}")
        assert picture.alpha is not None
        np.testing.assert_array_equal(np.dstack([picture.rgb, picture.alpha]), deep)
    write_image(tmp_path / "deep.ppm", deep[..., :3])
    np.testing.assert_array_equal(read_image(tmp_path / "deep.ppm").rgb, deep[..., :3])


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((8, 9, 3), np.float64), "TIFF of float samples of 64 bits"),
        (np.zeros((8, 9), np.int32), "TIFF of signed samples of 32 bits"),
    ],
)
def test_samples_that_are_not_read_are_refused_by_the_header(tmp_path, pixels, message):
    path = tmp_path / "x.tif"
    assert cv2.imwrite(str(path), pixels)
    for read in (image_size, read_image):
        with pytest.raises(ValueError, match=rf"x.tif: {message}"):
            read(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_floats_from_0_to_1_are_read_as_16_bits(tmp_path, channels):
    path, levels = tmp_path / "x.tif", RGB[..., :channels].astype(np.uint16) * 257
    for largest, message in (
        (1, ""),
        (1.01, r"x.tif: .*float samples from 0.*expected \[0, 1\]"),
        (np.nan, "float samples"),
    ):
        pixels = levels.astype(np.float32) / 65535
        pixels[3, 4] = largest
        assert cv2.imwrite(str(path), pixels[..., ::-1])
        if message:
            with pytest.raises(ValueError, match=message):
                read_image(path)
            continue
        levels[3, 4] = 65535
        assert read_header(path).bits == 16
        np.testing.assert_array_equal(read_image(path).rgb, np.broadcast_to(levels, RGB.shape))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_more_pixels_than_allowed_are_refused_before_decoding(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"x.{suffix}"
    write_image(path, RGB)
    assert image_size(path, 40 * 56) == (40, 56)
    monkeypatch.setattr(cv2, "imdecode", None)
    for read in (image_size, read_image):
        with pytest.raises(ValueError, match=r"40x56 are 0 million pixels, more than data.max_pixels allows"):
            read(path, 40 * 56 - 1)


def all_kinds():
    """(kind, content) of each kind."""
    for kind, options in KINDS.items():
        yield kind, saved(Image.fromarray(RGB), kind, **options)
    progressive = saved(Image.fromarray(RGB), "JPEG", progressive=True, exif=Image.Exif())
    yield "progressive JPEG", progressive
    deep = cv2.imencode(".tif", RGB.astype(np.uint16) * 257)[1].tobytes()
    yield "16-bit TIFF", deep


ALL = list(all_kinds())


@pytest.mark.parametrize(("kind", "content"), ALL, ids=[kind for kind, _ in ALL])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.7, 0.97])
def test_truncated_files_are_refused(tmp_path, kind, content, share):
    path = tmp_path / "cut.png"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"cut.png"):
        read_image(path)
    if kind not in ("PPM", "JPEG2000", "AVIF", "GIF"):  # these have no mark of their end
        with pytest.raises(ValueError, match=r"cut.png"):
            image_size(path)


@pytest.mark.parametrize(("kind", "content"), ALL, ids=[kind for kind, _ in ALL])
def test_bytes_after_the_end_do_not_matter(tmp_path, kind, content):
    whole, longer = tmp_path / "whole.png", tmp_path / "longer.png"
    whole.write_bytes(content)
    longer.write_bytes(content + b"a film follows" * 1000)
    assert image_size(longer) == (40, 56), kind
    np.testing.assert_array_equal(read_image(longer).rgb, read_image(whole).rgb)


def test_a_jpeg_with_a_hole_is_damaged_although_its_end_is_there(tmp_path):
    content = saved(Image.fromarray(photograph(200, 300)), "JPEG", quality=90)
    path = tmp_path / "hole.jpg"
    path.write_bytes(content[: len(content) // 3] + content[-2:])
    assert image_size(path) == (200, 300)
    with pytest.raises(ValueError, match=r"hole.jpg: cannot be decoded \(Corrupt JPEG data"):
        read_image(path)


def test_warnings_of_codecs_carry_the_name_of_the_file_once(tmp_path, caplog, capfd):
    content = saved(Image.fromarray(RGB), "JPEG", quality=90)
    path = tmp_path / "padded.jpg"
    path.write_bytes(content[:-2] + b"\x11" * 20 + content[-2:])  # some cameras pad
    with caplog.at_level(logging.WARNING, "srzoo"):
        first, second = read_image(path).rgb, read_image(path).rgb
    np.testing.assert_array_equal(first, second)
    assert [record.message for record in caplog.records] == [
        f"{path}: Corrupt JPEG data: 16 extraneous bytes before marker 0xd9"
    ]
    assert capfd.readouterr().err == ""


def test_a_jpeg_whose_pixels_end_too_early_is_damaged(tmp_path):
    content = saved(Image.fromarray(RGB), "JPEG", quality=90)
    path = tmp_path / "long.jpg"
    path.write_bytes(content[:-2] + b"\x11" * 500 + content[-2:])
    with pytest.raises(ValueError, match="496 extraneous bytes"):
        read_image(path)


def test_a_tiff_with_a_damaged_strip_is_refused_although_its_directory_is_whole(tmp_path):
    content = bytearray(saved(Image.fromarray(RGB), "TIFF", compression="tiff_lzw"))
    start = 8 + len(content) // 3  # strips begin behind the header of 8 bytes
    content[start : start + 8] = b"\xff" * 8
    path = tmp_path / "strip.tif"
    path.write_bytes(bytes(content))
    assert image_size(path) == (40, 56)
    with pytest.raises(ValueError, match=r"strip.tif: cannot be decoded"):
        read_image(path)


def test_several_pictures_are_announced(tmp_path):
    pages = [Image.fromarray(RGB), Image.fromarray(RGB[::-1])]
    for kind in ("TIFF", "GIF", "WEBP", "PNG"):
        for count in (1, 2):
            path = tmp_path / f"{kind}{count}"
            path.write_bytes(saved(pages[0], kind, save_all=True, append_images=pages[1:count]))
            assert read_header(path).has_more == (count > 1)
            assert read_image(path).rgb.shape == (40, 56, 3)


@pytest.mark.parametrize(("kind", "content"), ALL, ids=[kind for kind, _ in ALL])
def test_damaged_bytes_are_refused_by_name_or_header_and_pixels_agree(tmp_path, kind, content):
    """Wherever a byte is wrong, nothing but a ValueError with the file's name comes out."""
    path, random = tmp_path / "damaged.dat", np.random.default_rng(len(kind))
    for _ in range(60):
        damaged = bytearray(content)
        place = int(random.integers(len(content) if random.random() < 0.3 else min(len(content), 200)))
        damaged[place] = int(random.integers(256))
        path.write_bytes(bytes(damaged))
        try:
            size = image_size(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            size = None
        try:
            assert read_image(path).rgb.shape[:2] == size
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
