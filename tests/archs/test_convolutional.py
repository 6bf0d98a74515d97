"""EDSR, RCAN and SRVGGNetCompact against the published networks."""

import numpy as np
import pytest
import torch

from srzoo.checkpoint import load_weights
from srzoo.layers.upsample import subpixel_upsampler
from srzoo.registry import ARCHS
from tests.support import needs_shared, reference_case, reference_input, synthetic_weights

CASES = {
    "edsr_x4": ("EDSR", {}),
    "rcan_small_x4": ("RCAN", {"num_feat": 32, "num_group": 3, "num_block": 2}),
    "srvgg_x4": ("SRVGGNetCompact", {"num_conv": 32}),
}


@needs_shared
@pytest.mark.parametrize("case", CASES)
def test_keys_count_output_and_input_gradient_are_the_published_ones(case):
    name, options = CASES[case]
    index, arrays = reference_case(case)
    net = ARCHS.build(name, options, scale=4).eval()
    assert sum(parameter.numel() for parameter in net.parameters()) == index["params"]
    load_weights(net, synthetic_weights(index["keys"]))
    lq = reference_input(index).requires_grad_()
    sr = net(lq)
    np.testing.assert_allclose(sr.detach().numpy(), arrays["y0"], atol=1e-5, rtol=0)
    probe = torch.from_numpy(np.random.default_rng(index["seed"] + 1000).random(sr.shape, dtype=np.float32))
    (sr * probe).sum().backward()
    assert lq.grad is not None
    largest = np.abs(arrays["dx"]).max()
    np.testing.assert_allclose(lq.grad.numpy() / largest, arrays["dx"] / largest, atol=1e-5, rtol=0)


def test_impossible_scales_and_widths_are_refused():
    with pytest.raises(ValueError, match="scale must be 3 or a power of 2, got 6"):
        subpixel_upsampler(4, 6)
    with pytest.raises(ValueError, match="less than squeeze_factor 16"):
        ARCHS.build("RCAN", {"num_feat": 8}, scale=2)
