"""Self-ensemble: the mean over eight orientations, as published programs compute it."""

import numpy as np
import pytest
import torch

from srzoo.images import read_image, to_tensor
from srzoo.infer.ensemble import Ensemble
from srzoo.infer.upscale import Upscaler
from srzoo.registry import ARCHS
from srzoo.weights import load_weights
from tests.infer.networks import tiny
from tests.support import SHARED, needs_shared


@needs_shared
def test_the_ensemble_is_that_of_basicsr():
    net = ARCHS.build("IMDN", {}, scale=2).eval()
    load_weights(net, SHARED / "checkpoints" / "IMDN_x2.pth")
    image = read_image(SHARED / "data" / "Set5" / "LRbicx2" / "butterflyx2.png").rgb[50:74, 30:61]
    with np.load(SHARED / "reference" / "insight" / "ensemble_imdn_x2_24x31.npz") as arrays:
        single, mean = arrays["y_single"], arrays["y"]
    lq = to_tensor(image)[None]
    np.testing.assert_allclose(Upscaler(net)(lq).numpy(), single, atol=1e-5)
    np.testing.assert_allclose(Upscaler(net, ensemble=True)(lq).numpy(), mean, atol=1e-5)
    # The two differ by much more than that tolerance.
    assert np.abs(single - mean).max() > 0.01


class Corner(torch.nn.Module):
    """Network of scale 1 that keeps the pixel in the corner only."""

    def forward(self, lq):
        sr = torch.zeros_like(lq)
        sr[..., 0, 0] = lq[..., 0, 0]
        return sr


def test_each_orientation_is_undone():
    lq = torch.rand(2, 1, 4, 7)
    sr = Ensemble(Corner())(lq)
    expected = torch.zeros_like(lq)
    for y in (0, 3):
        for x in (0, 6):
            # Two of the eight orientations, one of them transposed, bring this corner to the top left.
            expected[..., y, x] = lq[..., y, x] / 4
    torch.testing.assert_close(sr, expected)


@pytest.mark.parametrize("name", ["SRResNet", "IMDN", "DRCT"])
def test_a_grey_batch_has_eight_equal_orientations(name):
    net, lq = tiny(name, num_in_ch=1), torch.rand(2, 1, 17, 30)
    upscaler = Upscaler(net, ensemble=True)
    sr = upscaler(lq)
    assert sr.shape == (2, 1, 34, 60)
    torch.testing.assert_close(upscaler(lq.flip(2)).flip(2), sr, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(upscaler(lq.transpose(2, 3)).transpose(2, 3), sr, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(upscaler(lq[1:]), sr[1:], atol=1e-4, rtol=1e-4)


def test_the_mean_is_taken_before_rounding_and_in_float32():
    net = tiny("SRResNet")
    lq = torch.rand(1, 3, 20, 16)
    half = Upscaler(net, ensemble=True, precision="bf16")(lq)
    assert half.dtype == torch.float32
    # More digits than bfloat16 has.
    assert not torch.equal(half.to(torch.bfloat16).float(), half)
