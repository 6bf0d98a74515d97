"""The IMDN family against the published networks."""

import numpy as np
import pytest
import torch

from srzoo.registry import ARCHS
from srzoo.weights import load_weights
from tests.support import SHARED, needs_shared, reference_case, reference_input, synthetic_weights

CASES = {"imdn_x4": ("IMDN", 4), "imdn_as": ("IMDN_AS", 1), "imdn_rtc": ("IMDN_RTC", 2), "imdn_rte": ("IMDN_RTE", 2)}
COUNTS = [
    ("IMDN", 2, 694_404), ("IMDN", 3, 703_059), ("IMDN", 4, 715_176), ("IMDN_AS", 1, 752_104),
    ("IMDN_RTC", 2, 20_190), ("IMDN_RTE", 2, 89_748), ("IMDNPlus", 4, 275_844),
]  # fmt: skip


@pytest.mark.parametrize(("name", "scale", "count"), COUNTS)
def test_parameter_counts_are_the_published_ones(name, scale, count):
    net = ARCHS.build(name, {}, scale=scale)
    assert sum(parameter.numel() for parameter in net.parameters()) == count


@needs_shared
@pytest.mark.parametrize("case", CASES)
def test_keys_output_and_input_gradient_are_the_published_ones(case):
    name, scale = CASES[case]
    index, arrays = reference_case(case)
    net = ARCHS.build(name, {}, scale=scale).eval()
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == {
        key: shape for key, (_, shape) in index["keys"].items()
    }
    load_weights(net, synthetic_weights(index["keys"]))
    lq = reference_input(index).requires_grad_()
    sr = net(lq)
    np.testing.assert_allclose(sr.detach().numpy(), arrays["y0"], atol=1e-5, rtol=0)
    probe = torch.from_numpy(np.random.default_rng(index["seed"] + 1000).random(sr.shape, dtype=np.float32))
    (sr * probe).sum().backward()
    assert lq.grad is not None
    scale_of_gradient = np.abs(arrays["dx"]).max()
    np.testing.assert_allclose(lq.grad.numpy() / scale_of_gradient, arrays["dx"] / scale_of_gradient, atol=1e-5, rtol=0)


@needs_shared
@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_released_weights_give_the_published_output(case):
    name, scale = CASES[case]
    index, arrays = reference_case(f"{case}_official")
    net = ARCHS.build(name, {}, scale=scale).eval().double()
    load_weights(net, SHARED / "checkpoints" / index["config"]["checkpoint"])
    # In float64: float32 kernels differ with the number of threads. IMDN_RTE's weights are meant for values up to 255:
    # on this input in [0, 1] the float32 reference itself is 2.1e-5 off.
    tolerance = 3e-5 if name == "IMDN_RTE" else 1e-5
    np.testing.assert_allclose(net(reference_input(index).double()).numpy(), arrays["y0"], atol=tolerance, rtol=0)


@torch.no_grad()
def test_img_range_scales_in_and_out():
    torch.manual_seed(0)
    plain = ARCHS.build("IMDN_RTE", {}, scale=2)
    ranged = ARCHS.build("IMDN_RTE", {"img_range": 255.0}, scale=2)
    ranged.load_state_dict(plain.state_dict())
    lq = torch.rand(1, 3, 12, 14)
    torch.testing.assert_close(ranged(lq), plain(lq * 255) / 255)


@pytest.mark.parametrize(("name", "width"), [("IMDN", 40), ("IMDN_RTC", 10), ("IMDN_RTE", 10), ("IMDNPlus", 20)])
def test_impossible_widths_are_refused(name, width):
    with pytest.raises(ValueError, match=f"num_feat must be a multiple of .* got {width}"):
        ARCHS.build(name, {"num_feat": width}, scale=2)


def test_any_scale_variant_refuses_other_scales():
    with pytest.raises(ValueError, match="IMDN_AS works at scale 1, got 4"):
        ARCHS.build("IMDN_AS", {}, scale=4)
