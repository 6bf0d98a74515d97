"""EDSR, RCAN, SRVGGNetCompact, SRResNet and RRDBNet against the published networks; dropout."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srzoo.layers.dropout import Dropout, FeatureDropout
from srzoo.layers.residual import ResidualBlock
from srzoo.layers.upsample import subpixel_upsampler
from srzoo.registry import ARCHS
from srzoo.tensor_files import CheckpointError
from srzoo.weights import load_weights
from tests.support import assert_published, needs_shared, parameter_count, reference_case

CASES = {
    "edsr_x4": ("EDSR", {}),
    "rcan_small_x4": ("RCAN", {"num_feat": 32, "num_group": 3, "num_block": 2}),
    "srvgg_x4": ("SRVGGNetCompact", {"num_conv": 32}),
    "msrresnet_x4": ("SRResNet", {}),
    "rrdb6_x4": ("RRDBNet", {"num_block": 6}),
}
# The published variants with dropout before the last convolution. RRDBNet's output reaches 14: its float32 reference is
# 1.3e-5 off a computation in float64, which is compared with it, because float32 kernels of two CPUs differ as much.
DROPOUT_CASES = {
    "reflash_MSRResNet_details_dropoutlast_channel07": ("SRResNet", 0.7, torch.float32, 1e-5),
    "reflash_MSRResNet_dropoutlast_channel07": ("SRResNet", 0.7, torch.float32, 1e-5),
    "reflash_RRDBNet_dropoutlast_channel05": ("RRDBNet", 0.5, torch.float64, 2e-5),
}


@needs_shared
@pytest.mark.parametrize("case", CASES)
def test_keys_count_output_and_input_gradient_are_the_published_ones(case):
    name, options = CASES[case]
    net = ARCHS.build(name, options, scale=4).eval()
    assert parameter_count(net) == reference_case(case)[0]["params"]
    assert_published(net, case)


@needs_shared
@pytest.mark.parametrize("case", DROPOUT_CASES)
def test_dropout_variants_give_the_published_output_in_evaluation_and_in_seeded_training(case):
    name, prob, dtype, tolerance = DROPOUT_CASES[case]
    net = ARCHS.build(name, {"dropout": {"prob": prob}}, scale=4).to(dtype)
    assert_published(net.eval(), case, tolerance=tolerance)
    torch.manual_seed(0)
    assert_published(net.train(), f"{case}_train_seed0", keys_of=case, tolerance=tolerance)


@pytest.mark.parametrize("name", ["SRResNet", "RRDBNet"])
def test_dropout_is_off_in_evaluation_and_at_probability_zero(name):
    lq = torch.rand(1, 3, 8, 8)
    options = {"num_block": 2, "num_feat": 8}
    torch.manual_seed(0)
    plain = ARCHS.build(name, options, scale=4)
    for prob in (0.0, 0.9):
        net = ARCHS.build(name, options | {"dropout": Dropout(prob=prob, position=("last", "all"))}, scale=4)
        net.load_state_dict(plain.state_dict())
        assert torch.equal(net.eval()(lq), plain(lq))
        assert torch.equal(net.train()(lq), plain(lq)) == (prob == 0.0)


@pytest.mark.parametrize("name", ["SRResNet", "RRDBNet"])
@pytest.mark.parametrize(
    ("position", "count"),
    [("last", 1), ("block_3", 1), (["block_1", "block_8", "last"], 3), ("all", 8), ("half", 4), ("quarter", 2)],
)
def test_dropout_is_where_the_option_says(name, position, count):
    options = {"num_block": 8, "num_feat": 8, "dropout": {"mode": "element", "prob": 0.1, "position": position}}
    net = ARCHS.build(name, options, scale=4)
    assert sum(isinstance(module, FeatureDropout) for module in net.modules()) == count


@pytest.mark.parametrize("name", ["SRResNet", "RRDBNet"])
@pytest.mark.parametrize(
    ("position", "num_block", "blocks"),
    [
        ("quarter", 16, [13, 14, 15, 16]),
        ("half", 16, [9, 10, 11, 12, 13, 14, 15, 16]),
        ("quarter", 7, [7]),
        ("half", 7, [5, 6, 7]),
        ("every_2", 7, [2, 4, 6]),
        ("every_4", 16, [4, 8, 12, 16]),
        (["every_3", "quarter"], 8, [3, 6, 7, 8]),
        ("all", 3, [1, 2, 3]),
    ],
)
def test_dropout_is_inside_the_published_blocks(name, position, num_block, blocks):
    options = {"num_block": num_block, "num_feat": 4, "dropout": {"position": position}}
    net = ARCHS.build(name, options | ({"num_grow_ch": 2} if name == "RRDBNet" else {}), scale=4)
    body = net.get_submodule("body")
    inside = [int(key.split(".")[0]) + 1 for key, module in body.named_modules() if isinstance(module, FeatureDropout)]
    assert inside == blocks


@given(st.floats(0.05, 0.95), st.sampled_from(["channel", "element"]), st.integers(0, 2**31))
def test_dropped_features_are_zero_and_kept_ones_scaled(prob, mode, seed):
    torch.manual_seed(seed)
    x = torch.rand(2, 8, 5, 7) + 0.5
    out = FeatureDropout(mode, prob).train()(x)
    kept = out != 0
    torch.testing.assert_close(out[kept], (x / (1 - prob))[kept])
    if mode == "channel":
        assert ((kept.all((2, 3))) | (~kept).all((2, 3))).all()


@pytest.mark.parametrize("size", [(1, 1), (9, 2), (20, 23)])
def test_a_replicated_border_keeps_a_plain_image_plain(size):
    torch.manual_seed(0)
    net = ARCHS.build("SRVGGNetCompact", {"num_feat": 8, "num_conv": 2, "border": "replicate"}, scale=2)
    colour = net(torch.full((1, 3, *size), 0.7))
    for row in range(2):  # each position of a pixel in its block of 2 x 2 has a value of its own
        for column in range(2):
            same = colour[..., row::2, column::2]
            torch.testing.assert_close(same, same[..., :1, :1].expand_as(same), rtol=0, atol=1e-6)


def test_away_from_a_replicated_border_nothing_changes():
    torch.manual_seed(0)
    net = ARCHS.build("SRVGGNetCompact", {"num_feat": 8, "num_conv": 2, "border": "replicate"}, scale=3)
    published = ARCHS.build("SRVGGNetCompact", {"num_feat": 8, "num_conv": 2}, scale=3)
    published.load_state_dict(net.state_dict())
    lq, inside = torch.rand(1, 3, 19, 24), slice(3 * net.receptive_radius, -3 * net.receptive_radius)
    one, other = net(lq), published(lq)
    assert one.shape == other.shape
    torch.testing.assert_close(one[..., inside, inside], other[..., inside, inside], rtol=0, atol=1e-6)
    assert (one - other).abs().max() > 1e-3


def test_unknown_dropout_positions_are_refused():
    for position in ("middle", "block_0", "block_17", "every_0", "every_two", []):
        with pytest.raises(ValueError, match="must be last, all, half, quarter, every_k, block_1 to block_16"):
            ARCHS.build("SRResNet", {"dropout": {"position": position}}, scale=4)


def test_positions_that_fall_on_no_block_are_refused():
    for position in ("quarter", "every_4"):
        with pytest.raises(ValueError, match=f"position {position} falls on none of 3 blocks"):
            ARCHS.build("SRResNet", {"num_block": 3, "dropout": {"position": position}}, scale=4)


def test_impossible_scales_and_widths_are_refused():
    with pytest.raises(ValueError, match="scale must be 3 or a power of 2, got 6"):
        subpixel_upsampler(4, 6)
    with pytest.raises(ValueError, match="less than squeeze_factor 16"):
        ARCHS.build("RCAN", {"num_feat": 8}, scale=2)
    with pytest.raises(ValueError, match="RRDBNet works at scale 1, 2 or 4, got 3"):
        ARCHS.build("RRDBNet", {}, scale=3)
    with pytest.raises(ValueError, match="SRResNet works at scale 2, 3 or 4, got 8"):
        ARCHS.build("SRResNet", {}, scale=8)


def test_weights_of_another_variant_are_refused_with_the_option_to_change():
    small, large = (ARCHS.build("RRDBNet", {"num_block": n, "num_feat": 8}, scale=4) for n in (2, 3))
    with pytest.raises(CheckpointError, match="`num_block`: the file has 3"):
        load_weights(small, large.state_dict())


def test_residuals_are_scaled():
    torch.manual_seed(0)
    block, x = ResidualBlock(4, res_scale=0.1), torch.rand(1, 4, 6, 6)
    torch.testing.assert_close(block(x), x + 0.1 * block.conv2(block.conv1(x).relu()))
