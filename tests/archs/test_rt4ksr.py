"""RT4KSR in all its forms: against the published network, and each option against what it is meant to do."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from srzoo.layers.reparam import fused, largest_difference
from srzoo.registry import ARCHS
from srzoo.tensor_files import CheckpointError
from srzoo.weights import load_weights, read_weights
from tests.support import (
    SHARED,
    assert_published,
    assert_same_output,
    needs_shared,
    parameter_count,
    reference_case,
)

BASELINE = {"baseblock": "base", "unshuffle": False, "use_hfb": False}


def build(scale=2, **options):
    torch.manual_seed(0)
    return ARCHS.build("RT4KSR", options, scale=scale)


@needs_shared
def test_training_and_merged_form_give_the_published_output():
    assert_published(build().eval(), "rt4ksr_train_x2")
    # A file of either form loads into a network of either form.
    assert_published(build(deploy=True).eval(), "rt4ksr_rep_x2")
    assert_published(build().eval(), "rt4ksr_rep_x2")
    assert_published(build(deploy=True).eval(), "rt4ksr_train_x2")


@needs_shared
@pytest.mark.parametrize(
    ("case", "options"),
    [("rt4ksr_abl_f1r0e0l1", {"forget": True}), ("rt4ksr_abl_f0r0e2l1", {"eca_gamma": 2})],
)
def test_ablations_give_the_published_output(case, options):
    assert_published(build(act="lrelu", **options).eval(), case)


@needs_shared
@pytest.mark.parametrize("deploy", [False, True])
def test_released_weights_give_the_published_output(deploy, caplog):
    net = build(deploy=deploy).eval()
    with caplog.at_level("INFO", logger="srzoo"):
        load_weights(net, SHARED / "checkpoints" / "rt4ksr_x2.pth")
    assert caplog.text.count("hfb.0.fea_conv.weight") == 1, "keys without use are named once"
    assert_same_output(net, "rt4ksr_train_x2_official", reference_case("rt4ksr_train_x2_official")[0])


@needs_shared
@pytest.mark.parametrize(
    ("scale", "whole", "count", "merged_count"), [(2, 152_233, 129_072, 39_312), (3, 165_253, 142_092, 52_332)]
)
def test_released_networks_merge_exactly_up_to_the_border(scale, whole, count, merged_count):
    path = SHARED / "checkpoints" / f"rt4ksr_x{scale}.pth"
    assert sum(tensor.numel() for tensor in read_weights(path).tensors.values()) == whole
    net = build(scale).eval()
    load_weights(net, path)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    merged = net.fused()
    assert (parameter_count(net), parameter_count(merged)) == (count, merged_count)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items()), "the source is untouched"
    assert largest_difference(net, merged) <= 1e-5
    lq = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        difference = (net(lq) - merged(lq)).abs()
    for rows in (difference[..., :4, :], difference[..., -4:, :], difference[..., :4], difference[..., -4:]):
        assert rows.max() <= 1e-5


def test_the_high_frequency_branch_is_built_only_where_it_reaches_the_output():
    assert not any(key.startswith(("hfb", "gamma")) for key in build().state_dict())
    assert parameter_count(build(forget=True)) == 152_233
    assert parameter_count(fused(build(forget=True))) == 44_521


def test_the_baseline_is_the_papers_chain_of_convolutions():
    net, lq = build(**BASELINE).eval(), torch.rand(1, 3, 13, 10)
    weights = net.state_dict()

    def conv(x, name):
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    x = head = conv(lq, "head.0")
    for number in range(4):
        x = conv(x if number == 0 else F.gelu(x), f"body.{number}.conv1")
    torch.testing.assert_close(net(lq), F.pixel_shuffle(conv(x + head, "upsample.0"), 2))
    assert len(weights) == 12


def test_each_base_block_is_what_its_name_says():
    kinds = {
        "base": nn.Conv2d,
        "dconvbase": nn.Sequential,
        "nafbase": nn.Sequential,
        "repbase": nn.Module,
        "simplified": nn.Module,
    }
    for baseblock, kind in kinds.items():
        assert isinstance(build(baseblock=baseblock).body[0].conv1, kind)
    depthwise, pointwise = build(baseblock="dconvbase").body[0].conv1
    assert (depthwise.groups, pointwise.kernel_size) == (24, (1, 1))


@pytest.mark.parametrize("baseblock", ["base", "dconvbase", "nafbase", "repbase", "simplified"])
@pytest.mark.parametrize(
    "change",
    [
        {"act": "relu"},
        {"act": "lrelu"},
        {"unshuffle": False},
        {"forget": True},
        {"forget": True, "use_gaussian": False},
        {"layernorm": True},
        {"layernorm": False},
        {"residual": True},
        {"residual": False},
        {"squeeze": True},
        {"eca_gamma": 2},
        {"eca_gamma": 1, "eca": "paper"},
        {"num_feats": 16, "num_blocks": 2},
    ],
    ids=str,
)
def test_every_option_acts_on_every_block(baseblock, change):
    net, lq = build(baseblock=baseblock, **change), torch.rand(2, 3, 15, 18)
    naf, simplified = baseblock == "nafbase", baseblock == "simplified"
    already = {"layernorm": naf or simplified, "residual": naf}
    for name, parameter in net.named_parameters():
        if name == "gamma":  # starts at 0, as published: the trunk would have no gradient yet
            nn.init.ones_(parameter)
    sr = net(lq)
    assert sr.shape == (2, 3, 30, 36)
    sr.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in net.parameters())
    same = all(already.get(key) == value for key, value in change.items())
    plain = build(baseblock=baseblock)
    if net.state_dict().keys() == plain.state_dict().keys() and not ("num_feats" in change or "unshuffle" in change):
        plain.load_state_dict(net.state_dict())
        assert torch.equal(plain(lq), sr) == same
    else:
        assert not same
    if baseblock in ("repbase", "simplified"):
        assert largest_difference(net, fused(net)) <= 1e-4 * float(sr.detach().abs().max())


@torch.no_grad()
def test_attention_gates_the_square_as_released_or_the_features_as_in_the_paper():
    released, paper = build(eca_gamma=2).body[0], build(eca_gamma=2, eca="paper").body[0]
    paper.load_state_dict(released.state_dict())
    x = torch.rand(1, 24, 9, 9)
    y = released.act(released.conv1(released.norm(x)))
    gates = torch.sigmoid(F.conv1d(y.mean((2, 3))[:, None], released.ca.conv.weight, padding=1))[:, 0, :, None, None]
    torch.testing.assert_close(paper(x), y * gates)
    torch.testing.assert_close(released(x), y * y * gates)


@pytest.mark.parametrize("deploy", [False, True])
def test_weights_that_do_not_fit_change_nothing(deploy):
    net = build(deploy=deploy)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    larger = build(num_blocks=6, deploy=not deploy).state_dict()
    broken = {key: value for key, value in build(deploy=not deploy).state_dict().items() if "tail.1" not in key}
    other = build(baseblock="base").state_dict()
    for weights in (larger, broken, other):
        with pytest.raises(CheckpointError, match="nothing was loaded"):
            load_weights(net, weights)
        assert net.state_dict().keys() == before.keys()
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@needs_shared
def test_the_published_state_has_every_published_entry():
    for case, options in (
        ("rt4ksr_train_x2", {}),
        ("rt4ksr_rep_x2", {"deploy": True}),
        ("rt4ksr_train_x2", {"forget": True}),
    ):
        published = {key: list(shape) for key, (_, shape) in reference_case(case)[0]["keys"].items()}
        state = build(**options).published_state()
        assert {key: list(value.shape) for key, value in state.items()} == published


def test_options_that_could_not_act_are_refused():
    with pytest.raises(ValueError, match="it needs use_hfb: true"):
        build(forget=True, use_hfb=False)
    with pytest.raises(ValueError, match="baseblock base has none"):
        build(baseblock="base", deploy=True)
    with pytest.raises(ValueError, match="use_gaussian: false changes nothing without forget"):
        build(use_gaussian=False)
    with pytest.raises(ValueError, match="eca: paper changes nothing with eca_gamma 0"):
        build(eca="paper")
