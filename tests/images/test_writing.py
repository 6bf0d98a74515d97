"""Images written and read in bands of rows."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

import srzoo.images.tiff_writer
from srzoo.images import FORMATS, FileLayout, colour_profile, read_header, read_image, resolution, write_bands
from srzoo.images.png import PNGReader, reads_in_rows
from srzoo.images.rows import open_rows
from srzoo.images.tiff_reader import TIFFReader
from tests.support import photograph

RGB = photograph(41, 56)
PROFILES = {
    "grey": b"\0" * 16 + b"GRAY" + b"\0" * 108,
    "RGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
}


def pixels_of(channels, bits):
    """The photograph as grey or RGB, with alpha or without, (41, 56, channels); lower bytes differ at 16 bits."""
    colours = RGB if channels >= 3 else RGB[..., :1]
    pixels = np.concatenate([colours, RGB[..., 1:2]], 2) if channels in (2, 4) else colours
    return pixels if bits == 8 else pixels.astype(np.uint16) * 251 + 17


def in_bands(pixels):
    return iter([pixels[:20], pixels[20:21], pixels[21:]])


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", FORMATS)
def test_formats_hold_what_they_say(tmp_path, monkeypatch, kind, channels, bits, big):
    if big:  # BigTIFF has offsets of 64 bits
        if kind != "tiff":
            return
        monkeypatch.setattr(srzoo.images.tiff_writer, "_CLASSIC_BYTES", 0)
    monkeypatch.setattr(srzoo.images.tiff_writer, "_STRIP_BYTES", 1000)  # several strips
    grey = channels <= 2
    profile = PROFILES["grey" if grey else "RGB"] if kind in ("png", "tiff") or not grey else None
    layout = FileLayout(41, 56, channels, bits, profile, (300, 150))
    faults = FORMATS[kind].faults(layout)
    deep, alpha = bits == 16, channels in (2, 4)
    assert faults == ["alpha"] * (kind == "jpg" and alpha) + ["16 bits"] * (kind in ("jpg", "webp") and deep)
    if faults or (kind == "tiff" and channels == 2 and deep):  # no decoder reads the latter
        return
    pixels, path = pixels_of(channels, bits), tmp_path / f"x{FORMATS[kind].suffixes[0]}"
    write_bands(path, kind, layout, in_bands(pixels))
    header, picture = read_header(path), read_image(path)
    assert (header.size, header.bits, header.alpha) == ((41, 56), bits, alpha)
    assert header.grey == (grey and kind != "webp")
    colours = np.broadcast_to(pixels[..., :1] if grey else pixels[..., :3], RGB.shape)
    largest = 12 if kind == "jpg" else 0
    np.testing.assert_allclose(picture.rgb.astype(int), colours, atol=largest)
    if alpha:
        np.testing.assert_array_equal(picture.alpha, pixels[..., -1])
    assert colour_profile(path, 1 if grey else 3) == profile
    if kind != "webp":
        assert resolution(path) == pytest.approx((300, 150), rel=1e-3)


@pytest.mark.parametrize(
    ("kind", "height", "width"), [("jpg", 65_536, 8), ("webp", 8, 16_384), ("png", 2**31, 8), ("tiff", 8, 2**31)]
)
def test_formats_say_their_largest_side(kind, height, width):
    layout = FileLayout(height, width, 3)
    assert FORMATS[kind].faults(layout) == [f"{width}x{height} pixels (at most {FORMATS[kind].max_side:,} on a side)"]


@pytest.mark.parametrize("kind", FORMATS)
def test_an_error_among_the_bands_leaves_no_file(tmp_path, kind):
    def bands():
        yield RGB[:20]
        raise RuntimeError("tile")

    with pytest.raises(RuntimeError, match="tile"):
        write_bands(tmp_path / "x", kind, FileLayout(41, 56, 3), bands())
    assert list(tmp_path.iterdir()) == []


def pillow_png(path, pixels, **options):
    """Write by Pillow, which chooses a filter for each row."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(path, "PNG", **options)


@pytest.mark.parametrize("rows", [[41], [1, 40], [13, 1, 20, 7]])
@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (1, 16), (3, 16)])
def test_png_is_read_row_by_row(tmp_path, channels, bits, rows):
    path, pixels = tmp_path / "x.png", pixels_of(channels, bits)
    if bits == 8:
        pillow_png(path, pixels, compress_level=9)
    else:
        write_bands(path, "png", FileLayout(41, 56, channels, 16), in_bands(pixels))
    assert reads_in_rows(path)
    reader = PNGReader(path)
    found = np.concatenate([reader.read(count) for count in rows])
    reader.close()
    np.testing.assert_array_equal(found, read_image(path).rgb)


def test_other_png_is_decoded_whole(tmp_path):
    for name, image in {
        "palette": Image.fromarray(RGB).quantize(32),
        "bilevel": Image.fromarray(RGB).convert("1"),
        "alpha": Image.fromarray(RGB).convert("RGBA"),
    }.items():
        image.save(tmp_path / name, "PNG")
        assert not reads_in_rows(tmp_path / name)
    Image.fromarray(RGB).save(tmp_path / "other", "TIFF")
    assert not reads_in_rows(tmp_path / "other")


@pytest.mark.parametrize("place", [0.3, 0.6, 0.98])
def test_damaged_png_rows_are_refused(tmp_path, place):
    path = tmp_path / "x.png"
    pillow_png(path, RGB)
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 0x40
    path.write_bytes(content)

    def read_all():
        reader = PNGReader(path)
        for _ in range(41):
            reader.read(1)

    with pytest.raises(ValueError, match=r"x.png: "):
        read_all()


def test_a_wrong_checksum_of_png_rows_is_refused(tmp_path):
    path = tmp_path / "x.png"
    pillow_png(path, RGB)
    content = bytearray(path.read_bytes())
    content[-13] ^= 1  # of the chunk before IEND, which takes the last 12 bytes
    path.write_bytes(content)
    reader = PNGReader(path)
    with pytest.raises(ValueError, match=r"x.png: cannot be decoded \(wrong checksum of IDAT\)"):
        reader.read(41)


def test_png_without_its_last_chunk_is_refused(tmp_path):
    path = tmp_path / "x.png"
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in RGB))
    pillow_png(path, RGB)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - len(packed) // 2])
    reader = PNGReader(path)
    with pytest.raises(ValueError, match="truncated"):
        reader.read(41)


def write_tiff(path, pixels, packing):
    """Write by Pillow or OpenCV, in strips of a few rows."""
    if packing == "own":
        write_bands(path, "tiff", FileLayout(41, 56, pixels.shape[2], 8 * pixels.dtype.itemsize), in_bands(pixels))
    elif pixels.dtype == np.uint8:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        image.save(path, "TIFF", compression=packing, tiffinfo={278: 5})
    else:
        assert cv2.imwrite(str(path), pixels[..., ::-1], [cv2.IMWRITE_TIFF_ROWSPERSTRIP, 5])


@pytest.mark.parametrize("rows", [[41], [1, 40], [13, 1, 20, 7]])
@pytest.mark.parametrize("packing", ["own", "raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (1, 16), (3, 16)])
def test_tiff_is_read_strip_by_strip(tmp_path, monkeypatch, channels, bits, packing, rows):
    monkeypatch.setattr(srzoo.images.tiff_writer, "_STRIP_BYTES", 1000)
    path = tmp_path / "x.tif"
    write_tiff(path, pixels_of(channels, bits), packing)
    reader = open_rows(path)
    assert isinstance(reader, TIFFReader)
    found = np.concatenate([reader.read(count) for count in rows])
    reader.close()
    np.testing.assert_array_equal(found, read_image(path).rgb)


def test_other_tiff_is_decoded_whole(tmp_path):
    for number, (image, options) in enumerate(
        [
            (Image.fromarray(RGB).quantize(32), {}),
            (Image.fromarray(RGB).convert("RGBA"), {}),
            (Image.fromarray(RGB).convert("CMYK"), {}),
            (Image.fromarray(RGB).convert("1"), {}),
            (Image.fromarray(RGB), {"compression": "jpeg"}),
        ]
    ):
        image.save(tmp_path / f"{number}.tif", **options)
        assert open_rows(tmp_path / f"{number}.tif") is None
    assert cv2.imwrite(str(tmp_path / "float.tif"), RGB.astype(np.float32) / 255)
    assert open_rows(tmp_path / "float.tif") is None
    (tmp_path / "x.jpg").write_bytes(b"no image")
    assert open_rows(tmp_path / "x.jpg") is None


def test_a_damaged_tiff_strip_is_refused(tmp_path):
    path = tmp_path / "x.tif"
    write_tiff(path, RGB, "own")
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    reader = open_rows(path)
    assert reader is not None
    with pytest.raises(ValueError, match=r"x.tif: "):
        reader.read(41)
