"""Copies of a picture are found among others, and pictures that are merely alike are not taken for copies."""

import time

import cv2
import numpy as np
import pytest

from srzoo.data.examine.duplicates import is_same, likely_copies, same_picture
from srzoo.data.examine.perceptual import PICTURE, Likeness, hashes_of, likeness_of
from srzoo.images import jpeg_decoded, read_image
from tests.support import SHARED, needs_shared, photograph


def photographs(count=6):
    return [photograph(128, 160, top=60 * number, left=50 * number) for number in range(count)]


def resized(image, width, height):
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


COPIES = {
    "the same": lambda image: image,
    "JPEG of quality 30": lambda image: jpeg_decoded(image, 30),
    "half as large": lambda image: resized(image, 80, 64),
    "larger": lambda image: resized(image, 272, 217),
    "mirrored, JPEG": lambda image: jpeg_decoded(np.ascontiguousarray(image[:, ::-1]), 50),
    "brighter": lambda image: (image * 0.97 + 4).round().astype(np.uint8),
    "16 bits": lambda image: image.astype(np.uint16) * 257,
}


def found_among(images):
    """Return the confirmed pairs (first, second, mirrored)."""
    pairs = likely_copies([likeness_of(image) for image in images])
    return [
        (pair.first, pair.second, pair.mirrored)
        for pair in pairs
        if is_same(same_picture(images[pair.first], images[pair.second], pair.mirrored))
    ]


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_found_once(how):
    images = photographs()
    images.insert(1, COPIES[how](images[3]))
    assert found_among(images) == [(1, 4, how.startswith("mirrored"))]


def test_overlapping_windows_are_no_copies():
    image = photograph(400, 400, top=40, left=60)
    tiles = [image[y : y + 160, x : x + 160] for y in range(0, 241, 80) for x in range(0, 241, 80)]
    assert found_among(tiles) == []


def test_flat_and_smooth_tiles_are_no_copies():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :160]
    # Sky: a wide gradient with noise, in slightly different colours.
    skies = [np.stack([100 + n + 0.4 * y + 0.1 * x + rng.normal(0, 2, y.shape)] * 3, 2) for n in range(6)]
    walls = [np.full((160, 160, 3), 90 + n) + rng.normal(0, 1, (160, 160, 3)) for n in range(6)]
    images = [image.round().astype(np.uint8) for image in skies + walls]
    # The gradients look alike as a whole.
    assert likely_copies([likeness_of(image) for image in images])
    assert found_among(images) == []


def test_a_symmetric_image_is_no_copy_of_itself():
    half = photograph(128, 80, top=100, left=150)
    assert found_among([np.concatenate([half, half[:, ::-1]], 1), *photographs(2)]) == []


def test_proportions_tell_images_apart():
    image = photograph(128, 160)
    assert found_among([image, resized(image, 160, 100)]) == []


def test_hashes_of_a_copy_differ_in_few_bits():
    image = photograph(128, 160)
    pictures = np.stack([likeness_of(each).picture for each in (image, jpeg_decoded(image, 20), image[::-1])])
    bits = np.unpackbits(hashes_of(pictures), axis=1).astype(int)
    assert bits.shape == (3, 128)
    assert abs(bits[0] - bits[1]).sum() <= 8
    assert abs(bits[0] - bits[2]).sum() > 30


def test_few_or_no_images():
    assert likely_copies([]) == []
    assert likely_copies([likeness_of(photograph(64, 64))]) == []


@pytest.mark.slow
def test_twenty_thousand_images_take_seconds():
    # Pictures with the spectrum of photographs, 1 / f.
    rng, frequency = np.random.default_rng(0), np.hypot(*np.meshgrid(*[np.fft.fftfreq(PICTURE)] * 2)) + 0.02
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(20_000, PICTURE, PICTURE))) / frequency).real
    pictures = (noise / noise.std((1, 2), keepdims=True) * 40 + 128).clip(0, 255).astype(np.uint8)
    images = [Likeness(picture, 100, 100) for picture in pictures]
    images[12_345] = Likeness(np.ascontiguousarray(images[77].picture[:, ::-1]), 50, 50)
    start = time.monotonic()
    found = likely_copies(images)
    assert [(pair.first, pair.second, pair.mirrored) for pair in found] == [(77, 12_345, True)]
    # A comparison of all pairs would take minutes; the machine may be busy.
    assert time.monotonic() - start < 60


@needs_shared
def test_published_datasets_share_one_picture():
    """Set5's head is Set14's too; no other two images of Set5, Set14 and BSD100 are one."""
    folders = [SHARED / f"data/{name}/GT" for name in ("Set5", "Set14", "BSD100")]
    files = [path for folder in folders for path in sorted(folder.iterdir())]
    images = [read_image(path).rgb for path in files]
    assert [(files[a].name, files[b].name) for a, b, _ in found_among(images)] == [("head.png", "img_006.png")]
