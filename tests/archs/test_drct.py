"""DRCT against the published network and against itself computed otherwise."""

import numpy as np
import pytest
import torch

from srzoo.optim.precision import Autocast
from srzoo.registry import ARCHS
from srzoo.tensor_files import CheckpointError
from srzoo.weights import load_weights, save_weights
from tests.support import assert_published, needs_shared, parameter_count, reference_case, reference_input

TINY = {"embed_dim": 60, "depths": [6, 6], "num_heads": [6, 6], "window_size": 8, "gc": 16, "img_size": 32}


def build(**options):
    torch.manual_seed(0)
    return ARCHS.build("DRCT", TINY | options, scale=2)


@needs_shared
def test_outputs_and_input_gradient_are_the_published_ones():
    assert_published(build().eval(), "drct_tiny_x2")
    assert_published(ARCHS.build("DRCT", {}, scale=4).eval(), "drct_x4")


@needs_shared
@pytest.mark.parametrize(("case", "options", "scale"), [("drct_tiny_x2", TINY, 2), ("drct_x4", {}, 4)])
def test_keys_are_the_published_ones_without_derived_tables(case, options, scale):
    published = {key: list(shape) for key, (_, shape) in reference_case(case)[0]["keys"].items()}
    own = {key: list(value.shape) for key, value in ARCHS.build("DRCT", options, scale=scale).state_dict().items()}
    tables = ("attn_mask", "relative_position_index")
    assert own == {key: shape for key, shape in published.items() if not key.endswith(tables)}
    # With them, as the authors' code writes and spandrel reads it, for the same size of crops.
    with_tables = ARCHS.build("DRCT", options, scale=scale).published_state()
    assert {key: list(value.shape) for key, value in with_tables.items()} == published


@pytest.mark.parametrize(("groups", "count"), [(6, 14_139_579), (12, 27_580_719)])
def test_parameter_counts_are_the_published_ones(groups, count):
    with torch.device("meta"):
        net = ARCHS.build("DRCT", {"depths": [6] * groups, "num_heads": [6] * groups}, scale=4)
    assert parameter_count(net) == count


def test_a_drct_l_file_with_moving_average_stays_under_215_mib(tmp_path):
    net = ARCHS.build("DRCT", {"depths": [6] * 12, "num_heads": [6] * 12}, scale=4)
    save_weights(tmp_path / "raw.safetensors", net, {})
    assert 2 * (tmp_path / "raw.safetensors").stat().st_size < 215 * 2**20


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("dropped", [{"drop_path_rate": 0.3, "drop_rate": 0.1}, {"attn_drop_rate": 0.2}])
def test_checkpointing_changes_no_gradient(precision, dropped):
    grads = []
    for checkpointing in (False, True):
        net = build(checkpointing=checkpointing, **dropped).train()
        called = Autocast(net, precision, "cpu")
        torch.manual_seed(1)
        called(torch.linspace(0, 1, 3 * 16 * 24).view(1, 3, 16, 24)).square().sum().backward()
        grads.append([parameter.grad for parameter in net.parameters()])
    assert all(torch.equal(plain, recomputed) for plain, recomputed in zip(*grads, strict=True))


@torch.no_grad()
def test_images_are_padded_by_reflection():
    net, lq = build().eval(), torch.rand(1, 3, 21, 19)
    padded = torch.from_numpy(np.pad(lq.numpy(), ((0, 0), (0, 0), (0, 3), (0, 5)), mode="reflect"))
    torch.testing.assert_close(net(lq), net(padded)[..., :42, :38])


def test_a_network_that_inferred_first_trains_afterwards():
    net, lq = build().eval(), torch.rand(1, 3, 40, 24)
    with torch.inference_mode():
        net(lq)
    net.train()(lq).sum().backward()


def test_tables_made_while_tracing_do_not_leak():
    from torch._subclasses.fake_tensor import FakeTensorMode

    net = build().eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        net(torch.rand(1, 3, 56, 24))
    assert torch.isfinite(net(torch.rand(1, 3, 56, 24))).all()


def test_the_values_of_depths_only_spread_stochastic_depth():
    even, uneven = build(depths=[6, 6], drop_path_rate=0.2), build(depths=[1, 3], drop_path_rate=0.2)
    assert even.state_dict().keys() == uneven.state_dict().keys()
    rates = [[group.swin1.drop_path for group in net.layers] for net in (even, uneven)]
    assert rates[0] == pytest.approx([0.0, 0.2 * 6 / 11])
    assert rates[1] == pytest.approx([0.0, 0.2 / 3])


def test_stochastic_depth_drops_whole_images_and_keeps_the_mean():
    block = build(drop_path_rate=0.5).layers[1].swin1.train()
    torch.manual_seed(0)
    kept = torch.stack([block._stochastic_depth(torch.ones(2 * 64, 60), 2).view(2, -1) for _ in range(400)])
    assert (kept == kept[..., :1]).all(), "an image is kept or dropped as a whole"
    assert kept.mean().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("option", ["drop_rate", "attn_drop_rate"])
def test_dropout_acts_in_training_only(option):
    net, lq = build(drop_path_rate=0.0, **{option: 0.5}), torch.rand(1, 3, 16, 16)
    assert torch.equal(net.eval()(lq), net(lq))
    assert not torch.equal(net.train()(lq), net(lq))


@pytest.mark.slow
def test_one_graph_captures_the_whole_network():
    net, lq = build().eval(), torch.rand(1, 3, 16, 16)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(lq), net(lq), atol=1e-5, rtol=1e-4)
    net.train()
    torch._dynamo.reset()
    trained = torch.compile(build(drop_path_rate=0.0).train(), backend="aot_eager", fullgraph=True)
    trained(lq).sum().backward()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embed_dim": 62}, "a block of width 62 has 4 heads"),
        ({"depths": [6]}, "depths and num_heads must name the same groups, got 1 and 2 entries"),
        ({"img_size": 4}, "img_size 4 is smaller than a window of 8"),
        ({"window_size": 7}, "window_size must be even"),
    ],
)
def test_what_cannot_be_built_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@needs_shared
def test_weights_of_another_variant_are_refused_with_the_option_to_change():
    for options, cause in (({"gc": 8, "embed_dim": 48}, "embed_dim"), ({"window_size": 4}, "window_size")):
        with pytest.raises(CheckpointError, match=f"`{cause}`: the file has"):
            load_weights(build(**options), build().state_dict())
    with pytest.raises(CheckpointError, match="`depths`: the file has 2"):
        load_weights(build(depths=[6] * 3, num_heads=[6] * 3), build().state_dict())


def test_inference_merges_layers_and_gives_the_same():
    net, lq = build().eval(), torch.rand(2, 3, 24, 17)
    with torch.no_grad():
        for name, bias in net.named_parameters():
            if name.endswith("bias"):  # they start at zero, which would hide a lost one
                bias.add_(0.1 * torch.randn_like(bias))
        merged = net(lq)
    torch.testing.assert_close(merged, net(lq).detach(), atol=2e-6, rtol=1e-6)


def test_stochastic_depth_acts_without_gradients_too():
    net, lq = build(drop_path_rate=0.9).train(), torch.rand(8, 3, 16, 16)
    with torch.no_grad():
        assert not torch.equal(net(lq), net(lq))


@needs_shared
@torch.no_grad()
def test_bfloat16_autocast_is_close():
    net = build().eval()
    lq = reference_input(reference_case("drct_tiny_x2")[0])
    with torch.autocast("cpu", torch.bfloat16):
        half = net(lq)
    assert (half.float() - net(lq)).abs().max() < 0.01
