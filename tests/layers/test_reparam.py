"""Merging: exact in the middle and at the border, for the block that ships and for one of a user's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from srzoo.layers.reparam import Reparameterisable, ResidualRepBlock, agree_in_form, blocks, fused, largest_difference


class TwoBranches(Reparameterisable):
    """A 3x3 and a 1x1 convolution side by side, as a user might write."""

    def build(self):
        self.three = nn.Conv2d(self.num_in, self.num_out, 3, 1, 1)
        self.one = nn.Conv2d(self.num_in, self.num_out, 1)

    def branches(self, x):
        return self.three(x) + self.one(x)

    @staticmethod
    def kernel(tensors):
        weight = tensors["three.weight"].clone()
        weight[:, :, 1, 1] += tensors["one.weight"][:, :, 0, 0]
        return weight, tensors["three.bias"] + tensors["one.bias"]


def net_of(block):
    return nn.Sequential(nn.Conv2d(3, block.num_in, 1), block, nn.Sequential(nn.ReLU(), nn.Conv2d(block.num_out, 3, 1)))


@pytest.mark.parametrize("make", [lambda: ResidualRepBlock(8), lambda: TwoBranches(8, 6, deploy=False)])
def test_a_merged_network_equals_its_source_and_leaves_it_alone(make):
    torch.manual_seed(0)
    net = net_of(make())
    before = {key: value.clone() for key, value in net.state_dict().items()}
    merged = fused(net)
    assert [block.merged for _, block in blocks(net)] == [False]
    assert [block.merged for _, block in blocks(merged)] == [True]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert largest_difference(net, merged) < 1e-5
    assert largest_difference(merged, fused(merged)) == 0


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.integers(1, 8), st.floats(0.1, 3))
def test_the_residual_block_merges_exactly_at_every_size(seed, height, width, num_feat, spread):
    torch.manual_seed(seed)
    block = ResidualRepBlock(num_feat).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=spread)
    merged, x = fused(block), torch.randn(1, num_feat, height, width, dtype=torch.float64)
    expected = block(x)
    torch.testing.assert_close(merged(x), expected, atol=1e-12 * float(expected.detach().abs().max()), rtol=0)


def test_the_check_notices_a_wrong_border():
    class ZeroPadded(ResidualRepBlock):
        """Pads with zeros where the bias belongs: merging is then wrong in the outermost pixels only."""

        def branches(self, x):
            wide = self.expand_conv(x)
            return self.reduce_conv(self.fea_conv(nn.functional.pad(wide, (1, 1, 1, 1))) + wide) + x

    torch.manual_seed(0)
    net = net_of(ZeroPadded(8))
    merged = fused(net)
    lq = torch.rand(1, 3, 16, 16)
    inner = (net(lq) - merged(lq))[..., 1:-1, 1:-1].abs().max()
    assert inner < 1e-5
    assert largest_difference(net, merged) > 1e-3


def test_a_difference_that_is_no_number_counts_as_infinite():
    net = net_of(ResidualRepBlock(4))
    with torch.no_grad():
        net[0].weight.fill_(float("nan"))  # pyright: ignore[reportCallIssue]
    assert largest_difference(net, fused(net)) == float("inf")


def test_merging_keeps_dtype_and_mode():
    block = ResidualRepBlock(4).to(torch.bfloat16).eval()
    merged = fused(block)
    assert {parameter.dtype for parameter in merged.parameters()} == {torch.bfloat16}
    assert not any(module.training for module in merged.modules())


def test_either_form_of_the_weights_fits_either_form_of_the_network():
    torch.manual_seed(0)
    source = net_of(ResidualRepBlock(4))
    merged, lq = fused(source), torch.rand(1, 3, 7, 7)
    for tensors in (source.state_dict(), merged.state_dict()):
        for deploy in (False, True):
            target = net_of(ResidualRepBlock(4, deploy))
            form = agree_in_form(target, dict(tensors))
            assert [name for name, _ in form.merging] == (
                ["1."] if "1.rep_conv.weight" in tensors and not deploy else []
            )
            for _, block in form.merging:
                block.take_merged_form()
            target.load_state_dict(form.tensors)
            torch.testing.assert_close(target(lq), source(lq), atol=1e-5, rtol=1e-5)
