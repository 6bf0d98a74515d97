"""Luma against BasicSR's conversion; padding against PyTorch's modes."""

import numpy as np
import torch
import torch.nn.functional as F

from srzoo.ops.color import BT601, luma
from srzoo.ops.pad import pad_to_multiple
from tests.support import SHARED, needs_shared


@needs_shared
def test_luma_is_bt601():
    with np.load(SHARED / "reference" / "imresize.npz") as arrays:
        x = torch.from_numpy(arrays["x"]).permute(2, 0, 1)[None].double()
    with np.load(SHARED / "reference" / "ycbcr.npz") as arrays:
        expected = torch.from_numpy(arrays["y_rgb"]).double()
        swapped = torch.from_numpy(arrays["y_bgr"]).double()
    torch.testing.assert_close(luma(x * 255)[0, 0] / 255, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(luma(x * 255, (BT601[2], BT601[1], BT601[0]))[0, 0] / 255, swapped, atol=1e-5, rtol=0)


def test_luma_ends_of_the_scale():
    ends = torch.tensor([[0.0], [255.0]]).view(2, 1, 1, 1).expand(2, 3, 1, 1).double()
    torch.testing.assert_close(luma(ends).flatten(), torch.tensor([16.0, 235.0], dtype=torch.float64))


def test_padding_mirrors_where_possible_and_repeats_elsewhere():
    image = torch.rand(1, 3, 5, 7)
    assert pad_to_multiple(image, 1) is image
    torch.testing.assert_close(pad_to_multiple(image, 4), F.pad(image, (0, 1, 0, 3), mode="reflect"))
    # Reflection needs more pixels than the padding: not 4 of 4.
    four = torch.rand(1, 3, 4, 8)
    torch.testing.assert_close(pad_to_multiple(four, 8), F.pad(four, (0, 0, 0, 4), mode="replicate"))
    tiny = torch.rand(1, 3, 1, 1)
    torch.testing.assert_close(pad_to_multiple(tiny, 4), tiny.expand(1, 3, 4, 4))
