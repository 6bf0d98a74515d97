"""Initial weights of every network: the rule of its published program, parameter by parameter."""

import math
import re

import pytest
import torch

from srzoo.registry import ARCHS
from tests.archs.test_all import SMALL, scales_of

# Parameters that are not drawn from PyTorch's default -> (standard deviation times the root of fan-in, or as it is for
# "truncated"; kind). Facts of the authors' programs; all other networks and parameters have PyTorch's default.
PUBLISHED = {
    "SRResNet": {r".*": ("he", 0.1 * math.sqrt(2))},
    "RRDBNet": {r"body\.": ("he", 0.1 * math.sqrt(2))},
    "D2CNet": {r".*": ("lecun", 1.0)},
    "DRCT": {r".*(qkv|proj|fc1|fc2)\.|.*bias_table": ("truncated", 0.02)},
}


def published(name):
    torch.manual_seed(0)
    options = {key: value for key, value in SMALL.get(name, {}).items() if key != "init"}
    return ARCHS.build(name, options, scale=scales_of(name)[0])


def deviation(values):
    return values.double().square().mean().sqrt().item()


def check_weight(name, weight, rule):
    """Check spread and shape of the distribution: a normal one has values beyond sqrt(3) deviations, a uniform none."""
    fan_in = weight[0].numel()
    kind, factor = rule or ("uniform", 1 / math.sqrt(3))
    expected = factor if kind == "truncated" else factor / math.sqrt(fan_in)
    # Six standard errors of a deviation estimated from this many values.
    tolerance = 6 * expected / math.sqrt(2 * weight.numel())
    assert abs(deviation(weight) - expected) < tolerance, name
    assert abs(weight.double().mean().item()) < 6 * expected / math.sqrt(weight.numel()), name
    if weight.numel() > 500:
        assert (weight.abs().max().item() > 2 * expected) == (kind != "uniform"), name


def check_bias(name, bias, fan_in, rule):
    if rule is not None:
        assert not bias.any(), name
    else:
        assert bias.abs().max() <= 1 / math.sqrt(fan_in), name
        assert deviation(bias) > 0.1 / math.sqrt(fan_in), name


@pytest.mark.parametrize("name", [name for name in ARCHS if name != "Bicubic"])
def test_weights_are_drawn_as_in_the_published_program(name):
    rules = PUBLISHED.get(name, {})
    net, checked = published(name), 0
    for prefix, module in net.named_modules():
        if not isinstance(module, torch.nn.Conv2d | torch.nn.Linear) or not module.weight.requires_grad:
            continue
        weight, bias = module.weight, module.bias
        rule = next((rule for pattern, rule in rules.items() if re.match(pattern, f"{prefix}.weight")), None)
        check_weight(f"{prefix}.weight", weight, rule)
        if bias is not None:
            check_bias(f"{prefix}.bias", bias, weight[0].numel(), rule)
        checked += 1
    assert checked >= 5
    for key, parameter in net.named_parameters():
        if "bias_table" in key:
            check_weight(key, parameter, next(iter(rules.values())))


@pytest.mark.parametrize("name", ["SRResNet", "RRDBNet", "D2CNet"])
def test_torch_is_the_default_of_pytorch_bit_for_bit(name):
    """The numbers drawn are those of a network whose constructor never touches them."""
    torch.manual_seed(0)
    net = ARCHS.build(name, {"init": "torch", "num_block": 1}, scale=scales_of(name)[-1])
    torch.manual_seed(0)
    for module in net.modules():
        if not isinstance(module, torch.nn.Conv2d):
            continue
        sizes = module.in_channels, module.out_channels, module.kernel_size[0]
        fresh = torch.nn.Conv2d(*sizes, bias=module.bias is not None)
        # Mean shifts draw numbers too and are set afterwards.
        assert torch.equal(fresh.weight, module.weight) or not module.weight.requires_grad


def test_deviations_of_the_bodies_are_the_published_ones():
    """SRResNet and RRDBNet of BasicSR, D2C-SR of MegEngine; measured on the authors' programs."""
    for name, key, expected in (
        ("SRResNet", "body.0.conv1.weight", 0.0059),
        ("RRDBNet", "body.0.rdb1.conv1.weight", 0.0059),
        ("D2CNet", "tree.body1.0.body.0.body.0.weight", 0.0417),
    ):
        torch.manual_seed(0)
        net = ARCHS.build(name, {"num_block": 1}, scale=4)
        assert deviation(net.get_parameter(key)) == pytest.approx(expected, rel=0.02), name
