"""Costs: the published networks' values, an independent counter, and refusal of what cannot be counted."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from srzoo.analysis import operators
from srzoo.analysis.cost import UncountableError, count_cost, count_cost_as_is
from srzoo.layers.plain import plain_form
from srzoo.layers.reparam import fused
from srzoo.registry import ARCHS
from srzoo.weights import load_network, save_weights
from tests.archs.test_plain_form import VARIANTS, build
from tests.support import SHARED, needs_shared

DRCT_TINY = {
    "embed_dim": 60, "depths": [6, 6], "num_heads": [6, 6], "window_size": 8, "gc": 16, "img_size": 32,
}  # fmt: skip
# Entry of costs.json -> network, options, scale.
PUBLISHED = {
    "IMDN x4": ("IMDN", {}, 4),
    "IMDN_RTC x2": ("IMDN_RTC", {}, 2),
    "SRVGGNetCompact x4 (64, 32)": ("SRVGGNetCompact", {"num_conv": 32}, 4),
    "MSRResNet x4": ("SRResNet", {}, 4),
    "EDSR baseline x4": ("EDSR", {}, 4),
    "RRDBNet x4 (23)": ("RRDBNet", {}, 4),
    "RCAN x4 (10 groups, 20 blocks)": ("RCAN", {}, 4),
    "D2C tree+fusion x4": ("D2CNet", {}, 4),
    "DRCT x4": ("DRCT", {}, 4),
    "DRCT tiny x2": ("DRCT", DRCT_TINY, 2),
    "RT4KSR x2 training form": ("RT4KSR", {}, 2),
    "RT4KSR x2 merged form": ("RT4KSR", {}, 2),
}
SLOW = {"RRDBNet x4 (23)", "RCAN x4 (10 groups, 20 blocks)", "DRCT x4", "D2C tree+fusion x4"}
# Values of another counter's conventions, and values inside a comment on an entry.
OTHER_FIELDS = {"fvcore_total", "fvcore_by_operator", "of_which_mean_shift_1x1_convs"}
# In srzoo no blur is computed for a branch that does not reach the output, and the blur is separable where it is.
OF_THE_BLUR = {
    "functional_conv_multiply_adds", "other_matrix_products", "torch_flop_counter_total_2_per_multiply_add"
}  # fmt: skip


def published(name):
    return json.loads((SHARED / "reference" / "insight" / "costs.json").read_text())[name]


def without_values(name, options, scale):
    with torch.device("meta"):
        return ARCHS.build(name, options, scale=scale)


@needs_shared
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in PUBLISHED])
def test_costs_of_published_networks(name):
    network, options, scale = PUBLISHED[name]
    count = count_cost_as_is if name.endswith("training form") else count_cost
    for entry in published(name):
        cost = count(without_values(network, options, scale), *entry["input"][2:]).as_json()
        if network != "RT4KSR":
            assert (
                json.loads(json.dumps(cost)).items()
                >= {k: v for k, v in entry.items() if k not in OTHER_FIELDS}.items()
            )
            continue
        # The released network, of which the high-frequency branch does not reach the output: srzoo does not build it.
        used = entry["of_which_reaches_the_output"]
        assert cost | {"params": cost["params_deployed"]} | used == cost | {"params": used["params"]}
        # With the branch in use, everything that the authors compute.
        whole = count(without_values(network, {"forget": True}, scale), *entry["input"][2:]).as_json()
        whole["params"] = whole["params_deployed"]
        expected = {k: v for k, v in entry.items() if k not in OTHER_FIELDS | OF_THE_BLUR and "of_which" not in k}
        assert json.loads(json.dumps(whole)).items() >= expected.items()


@needs_shared
def test_every_published_network_of_srzoo_is_tested():
    entries = json.loads((SHARED / "reference" / "insight" / "costs.json").read_text())
    assert {name for name in entries if not name.startswith("HAT")} == set(PUBLISHED)
    assert not any(name.startswith("HAT") for name in ARCHS)


@needs_shared
def test_the_mean_shifts_of_d2c_are_convolutions():
    entry = published("D2C tree+fusion x4")[0]["of_which_mean_shift_1x1_convs"]
    # Four leaves and the input, 1x1 convolutions from 3 to 3 channels; 24 parameters in the two modules.
    assert entry == {
        "conv_multiply_adds": 9 * (64**2 + 4 * 256**2), "activations": 3 * (64**2 + 4 * 256**2),
        "conv_calls": 5, "params": 24,
    }  # fmt: skip


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_every_network_agrees_with_torchs_counter(name, options):
    net, size = build(name, options), (37, 45)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), plain_form(), counter:
        sr = net(torch.rand(1, 3, *size))
    cost = count_cost_as_is(net, *size)
    assert cost.flops == counter.get_total_flops()
    assert cost.output == sr.shape
    assert cost.params == sum(p.numel() for p in net.parameters())
    # Only re-parameterised blocks make the deployed form cheaper.
    merged = count_cost(net, *size)
    assert (merged.multiply_adds < cost.multiply_adds) == (merged.params_deployed < cost.params)
    assert not net.training


def test_merging_counts_and_leaves_the_network_alone():
    net = build("RT4KSR", {}).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    cost = count_cost(net, 20, 24)
    assert {name for name, _ in net.named_parameters()} == set(before)
    assert all(module.training for module in net.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    merged = fused(net)
    assert cost == count_cost(merged, 20, 24)  # whose training form has as many parameters
    assert cost.params == sum(map(torch.numel, before.values()))
    assert cost.params_deployed == sum(p.numel() for p in merged.parameters())


def test_a_loaded_network_is_counted(tmp_path):
    net = ARCHS.build("IMDN_RTC", {"num_in_ch": 1}, scale=2)
    save_weights(tmp_path / "net.safetensors", net, {})
    cost = count_cost(load_network(tmp_path / "net.safetensors"), 8, 10)
    assert cost == count_cost(net, 8, 10)
    assert cost.input == (1, 1, 8, 10)


class Wrapped(nn.Module):
    """A convolution and a function of its output, both of which reach the output."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.function = function

    def forward(self, lq):
        return self.conv(lq) + self.function(self.conv(lq))


@torch.library.custom_op("srzoo_test::mixed", mutates_args=(), tags=(torch.Tag.pointwise,))
def mixed(x: torch.Tensor) -> torch.Tensor:
    """Compute anything, out of PyTorch's sight."""
    return x @ x.mT


@mixed.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], x.shape[-2])


@torch.library.custom_op("srzoo_test::opaque", mutates_args=())
def opaque(x: torch.Tensor) -> torch.Tensor:
    """Compute anything, without a rule for the size of the result."""
    return x.clone()


def with_numpy(x):
    return torch.from_numpy(x.numpy() * 2)


def by_value(x):
    return x * x.mean().item()


REFUSED = {
    "srzoo_test::mixed": mixed,
    "srzoo_test::opaque": opaque,
    "aten::_fft_r2c": lambda x: torch.fft.rfft2(x).real.mean(),
    "a step that PyTorch does not see": with_numpy,
    "aten::_local_scalar_dense": by_value,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_counted_is_refused_by_name(name):
    with pytest.raises(UncountableError, match=name):
        count_cost(Wrapped(REFUSED[name]), 8, 8)


def test_the_multiply_adds_of_an_operator_can_be_stated(monkeypatch):
    monkeypatch.setitem(operators.OTHERS, "srzoo_test::mixed", lambda args, out: out.numel() * args[0].shape[-1])
    cost = count_cost(Wrapped(mixed), 8, 8)
    assert cost.attention_product_multiply_adds == 3 * 8 * 8 * 8
    assert cost.multiply_adds == 2 * 81 * 64


class Branches(nn.Module):
    """A used convolution, and one whose result is thrown away, changed in place and read by nothing else."""

    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 60, 3, padding=1)

    def forward(self, lq):
        self.idle(lq).relu_().mul_(2)
        first, _ = self.used(lq).split(3, 1)  # half of the channels: the whole convolution runs
        return first.clone().relu_()


def test_what_does_not_reach_the_output_is_not_counted():
    cost = count_cost(Branches(), 10, 12)
    assert cost.conv_multiply_adds == 3 * 6 * 9 * 120
    assert (cost.conv_calls, cost.activations) == (1, 720)
    assert cost.params_unused == 60 * 27 + 60
    assert cost.params == cost.params_unused + 6 * 27 + 6


def test_an_operator_that_writes_into_a_tensor_counts():
    def filled(x):
        out = torch.zeros_like(x)
        out[..., :4] = F.conv2d(x, net.conv.weight, padding=1)[..., :4]
        return out

    net = Wrapped(filled)
    cost = count_cost(net, 8, 8)
    # The weight is taken from the network while it runs, so that its kernel counts as learned.
    assert cost.conv_calls == 3
    assert cost.conv_multiply_adds == 3 * 81 * 64


class Kinds(nn.Module):
    """One operation on (1, 3, H, W) with a weight (W, W), a buffer and numbers in the code."""

    def __init__(self, function):
        super().__init__()
        self.weight, self.function = nn.Parameter(torch.zeros(8, 8)), function
        self.register_buffer("kernel", torch.ones(3, 1, 3, 3))

    def forward(self, lq):
        return self.function(self, lq)


@pytest.mark.parametrize(
    ("kind", "multiply_adds", "function"),
    [
        ("linear", 3 * 4 * 64, lambda net, x: F.linear(x, net.weight)),
        ("linear", 3 * 4 * 64, lambda net, x: x @ (2 * net.weight)),
        ("linear", 3 * 4 * 64, lambda net, x: torch.einsum("bchw,vw->bvhc", x, net.weight)),
        ("linear", 3 * 4 * 64, lambda net, x: (net.weight @ x.mT).mT),
        ("attention_product", 3 * 16 * 8, lambda _, x: x @ x.mT),
        ("attention_product", 2 * 3 * 16 * 8, lambda _, x: F.scaled_dot_product_attention(x, x, x)),
        ("other_matrix", 8**3, lambda net, x: x + (net.weight @ net.weight).mean()),
        ("other_matrix", 3 * 4 * 64, lambda _, x: x @ torch.ones(8, 8)),
        ("conv", 3 * 9 * 32, lambda net, x: F.conv2d(x, net.kernel, padding=1, groups=3)),
        ("functional_conv", 3 * 9 * 32, lambda _, x: F.conv2d(x, torch.ones(3, 1, 3, 3), padding=1, groups=3)),
        ("functional_conv", 3 * 3 * 32, lambda _, x: F.conv2d(x, x[..., :1, :1].expand(3, 3, 1, 1))),
        # Each of 3 * 32 inputs is spread over one output channel and 9 places.
        ("conv", 3 * 9 * 32, lambda net, x: F.conv_transpose2d(x, net.kernel, stride=2, groups=3)),
        ("conv", 1 * 8 * 8 * 32, lambda net, x: F.conv1d(x.reshape(1, 8, 12), net.weight[..., None]).view_as(x)),
    ],
)  # fmt: skip
def test_products_are_told_apart_by_their_factors(kind, multiply_adds, function):
    cost = count_cost(Kinds(function), 4, 8).as_json()
    fields = ["conv_multiply_adds", "linear_multiply_adds", "attention_product_multiply_adds",
              "functional_conv_multiply_adds", "other_matrix_products"]  # fmt: skip
    counted = {field: cost[field] for field in fields if cost[field]}
    (name,) = [field for field in fields if field.startswith(kind)]
    if "conv1d" in function.__code__.co_names:
        multiply_adds = 8 * 8 * 12
        assert cost["conv_calls"] == 0  # only 2-D convolutions are called convolutions here
    assert counted == {name: multiply_adds}


def test_an_image_of_720p_takes_no_time():
    cost = count_cost(without_values("IMDN", {}, 4), 720, 1280)
    assert cost.conv_multiply_adds > 6e11
