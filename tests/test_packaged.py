"""The networks that come with the package."""

from pathlib import Path

import numpy as np
import pytest
import torch

import srzoo
from srzoo.contract import identity_of
from srzoo.data.reduction import reduced
from srzoo.images import read_image, to_tensor
from srzoo.infer.packaged import packaged_weights
from srzoo.metrics.psnr import PSNR
from srzoo.ops.resize import imresize
from srzoo.options import load_options
from tests.support import ROOT

# Scale -> gain over bicubic on the held-out photographs, a little below that of the card (srzoo/packaged/README.md).
GAINS = {2: 1.6, 3: 0.9, 4: 0.8}
COLOURS = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 255), (30, 200, 90), (254, 254, 1)]


def test_together_they_take_less_than_a_megabyte():
    assert sum(packaged_weights(scale).stat().st_size for scale in GAINS) < 1_000_000


@pytest.mark.parametrize("scale", GAINS)
def test_they_are_the_networks_of_the_option_files(scale):
    options = load_options(ROOT / f"options/train/packaged/x{scale}.yml", purpose="network").options
    identity = identity_of(srzoo.load_network(packaged_weights(scale))).flat()
    # They were trained with zeros around the image.
    assert identity == identity_of(options.network_g.build(scale=options.scale)).flat() | {"border": "replicate"}


@pytest.mark.parametrize("scale", GAINS)
def test_photographs_that_were_held_out_gain_over_bicubic(scale):
    folder = Path(pytest.importorskip("skimage.data").__file__).parent
    net, psnr, gains = srzoo.load_network(packaged_weights(scale)), PSNR(scale=scale), []
    for name in ("chelsea.png", "coffee.png"):
        image = read_image(folder / name).rgb
        gt = np.ascontiguousarray(image[: image.shape[0] // scale * scale, : image.shape[1] // scale * scale])
        lq = reduced(gt, scale)
        pair = to_tensor(gt)[None], to_tensor(lq)[None]
        bicubic = imresize(pair[1], scale)
        gains.append(float(psnr(srzoo.upscale(net, pair[1]), pair[0]) - psnr(bicubic, pair[0])))
    assert np.mean(gains) > GAINS[scale]


@pytest.mark.parametrize("scale", GAINS)
@pytest.mark.parametrize("tile", [0, 10])
def test_plain_colours_stay_plain(scale, tile):
    net = srzoo.load_network(packaged_weights(scale))
    for colour in COLOURS:
        output = srzoo.upscale(net, np.full((24, 29, 3), colour, np.uint8), tile=tile)
        assert output.shape == (24 * scale, 29 * scale, 3)
        assert np.abs(output.astype(int) - colour).max() <= 1, colour


def test_tiles_equal_the_whole_image():
    net, image = srzoo.load_network(packaged_weights(2)), torch.rand(1, 3, 45, 38)
    whole, tiles = (srzoo.upscale(net, image, tile=side) for side in (0, 13))
    torch.testing.assert_close(tiles, whole, rtol=0, atol=1e-5)


def test_any_size_is_enlarged():
    for scale in GAINS:
        output = srzoo.upscale(srzoo.load_network(packaged_weights(scale)), np.full((1, 1, 3), 128, np.uint8))
        assert output.shape == (scale, scale, 3)


def test_they_see_a_bounded_neighbourhood():
    assert all(srzoo.contract_of(srzoo.load_network(packaged_weights(scale))).receptive_radius == 8 for scale in GAINS)


def test_grey_images_need_no_colour():
    image = torch.linspace(0, 1, 64).view(8, 8).numpy()
    assert srzoo.upscale(srzoo.load_network(packaged_weights(2)), image).shape == (16, 16)
