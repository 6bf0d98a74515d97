"""Checks of every registered network."""

import re

import pytest
import torch

from srzoo.contract import contract_of
from srzoo.registry import ARCHS
from tests.support import photograph

SIZES = [(1, 1), (7, 7), (16, 16), (17, 17), (33, 65)]

# Deep networks are checked with few of their repeated parts.
SMALL = {
    "D2CNet": {"num_feat": 32, "num_group": 1, "num_block": 1},
    "EDSR": {"num_block": 2},
    "IMDN": {"num_modules": 2},
    "IMDN_AS": {"num_modules": 2},
    "IMDNPlus": {"num_modules": 2},
    "DRCT": {"embed_dim": 60, "depths": [2, 2], "num_heads": [6, 6], "window_size": 8, "gc": 16, "img_size": 32},
    "RCAN": {"num_group": 1, "num_block": 2},
    # With the published initial weights, gradients from the edge of the receptive field are too small for float32.
    "RRDBNet": {"num_feat": 16, "num_block": 1, "num_grow_ch": 8, "init": "torch"},
    "SRResNet": {"num_block": 2},
    "SRVGGNetCompact": {"num_conv": 4},
}


def scales_of(name):
    """Return the scales that a network is made for, or some if it takes any, 2 first."""
    scales = contract_of(ARCHS[name]).scales or (1, 2, 3, 4, 8)
    return sorted(scales, key=lambda scale: scale != 2)


def build(name, scale=None, seed=0):
    torch.manual_seed(seed)
    return ARCHS.build(name, SMALL.get(name, {}), scale=scale or scales_of(name)[0]).eval()


@pytest.mark.parametrize("name", list(ARCHS))
@torch.no_grad()
def test_output_is_scale_times_the_input_for_any_size(name):
    for scale in scales_of(name):
        net = build(name, scale)
        for height, width in SIZES:
            assert net(torch.rand(2, 3, height, width)).shape == (2, 3, scale * height, scale * width)


@pytest.mark.parametrize("name", list(ARCHS))
@torch.no_grad()
def test_bfloat16_is_close_to_float32(name):
    net, lq = build(name), torch.rand(1, 3, 17, 24)
    exact = net(lq)
    half = net.to(torch.bfloat16)(lq.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).abs().max() < 0.05 * exact.abs().max()


# Half precision depends on the depth: networks have their full size here.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in ("D2CNet", "RCAN") else ()) for name in ARCHS]
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@torch.no_grad()
def test_half_precision_is_as_safe_as_declared(name, dtype):
    # Safe: no difference that 8 bits would show (rounding to 8 bits alone leaves 58.9 dB), on a photograph.
    torch.manual_seed(0)
    options = SMALL[name] if name in ("DRCT", "RRDBNet") else {}
    if name == "D2CNet":  # with the published initial weights an untrained network's output is far outside [0, 1]
        options = {"init": "torch"}
    net = ARCHS.build(name, options, scale=scales_of(name)[0]).eval()
    lq = torch.from_numpy(photograph(24, 28)).permute(2, 0, 1)[None] / 255
    exact = net(lq)
    kind = getattr(torch, dtype)
    error = (net.to(kind)(lq.to(kind)).float() - exact).square().mean()
    safe = bool(torch.isfinite(error)) and -10 * float(error.log10()) >= 50
    assert safe == (dtype in net.half_safe), f"{-10 * float(error.log10()):.1f} dB"


@pytest.mark.parametrize("name", list(ARCHS))
def test_every_parameter_gets_a_gradient(name):
    idle = None
    for seed in range(5):  # a small ReLU layer may be dead under one draw of weights, never under all
        net = build(name, seed=seed).train()
        net(torch.rand(2, 3, 20, 24, requires_grad=True)).square().sum().backward()
        unmoved = {
            key
            for key, value in net.named_parameters()
            if value.requires_grad and (value.grad is None or not value.grad.abs().sum())
        }
        # What a network computes on demand only, it declares.
        unmoved = {key for key in unmoved if not re.match(contract_of(net).idle_in_training or "$", key)}
        idle = unmoved if idle is None else idle & unmoved
        if not idle:
            break
    assert idle == set()


@pytest.mark.parametrize("name", list(ARCHS))
def test_gradients_stay_finite_on_a_constant_image(name):
    # Attention takes standard deviations, whose gradient is infinite where a channel is constant.
    net = build(name)
    lq = torch.full((1, 3, 12, 12), 0.5, requires_grad=True)
    net(lq).sum().backward()
    assert lq.grad is not None
    assert torch.isfinite(lq.grad).all()


@pytest.mark.parametrize("name", list(ARCHS))
@torch.no_grad()
def test_batch_items_are_independent(name):
    net, lq = build(name), torch.rand(3, 3, 18, 16)
    torch.testing.assert_close(net(lq)[1:2], net(lq[1:2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", list(ARCHS))
@torch.no_grad()
def test_state_dict_round_trip(name):
    net, other = build(name), build(name, seed=1)
    other.load_state_dict(net.state_dict())
    lq = torch.rand(1, 3, 12, 12)
    assert torch.equal(net(lq), other(lq))


@pytest.mark.parametrize("name", list(ARCHS))
@torch.no_grad()
def test_channels_last_gives_the_same_numbers(name):
    net, lq = build(name), torch.rand(2, 3, 20, 24)
    plain = net(lq)
    torch.testing.assert_close(net.to(memory_format=torch.channels_last)(lq), plain, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", list(ARCHS))
def test_nothing_beyond_the_receptive_radius_is_seen(name):
    net = build(name)
    radius = net.receptive_radius
    side = 2 * (radius or 20) + 9
    # Padding inside the network would shift what is seen: use a size that needs none.
    side += -side % net.multiple_of
    lq = torch.rand(1, 3, side, side, requires_grad=True)
    sr = net(lq)
    scale = sr.shape[-1] // side
    centre = side // 2
    sr[..., scale * centre : scale * (centre + 1), scale * centre : scale * (centre + 1)].sum().backward()
    assert lq.grad is not None
    seen = lq.grad.abs().sum((0, 1)).nonzero()
    reach = int((seen - centre).abs().max())
    if radius is None:
        assert reach >= side // 2 - net.multiple_of, "unbounded networks see the whole image"
    else:
        assert reach <= radius
        assert reach >= radius - 2 * net.multiple_of - 2, "the declared radius is larger than needed"


def test_bicubic_is_the_resize_of_the_ops():
    from srzoo.ops.resize import imresize

    lq = torch.rand(1, 3, 9, 11)
    assert torch.equal(build("Bicubic", 3)(lq), imresize(lq, 3))


@pytest.mark.parametrize("name", list(ARCHS))
def test_transformers_offer_checkpointing_under_one_name(name):
    # Convolutional networks normalise images, if at all; transformers normalise rows.
    if any(isinstance(layer, torch.nn.LayerNorm) for layer in build(name).modules()):
        assert ARCHS.parameters(name)["checkpointing"].default is False
        assert "checkpointing" in contract_of(ARCHS[name]).free_options
