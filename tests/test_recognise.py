"""Networks recognised by their keys and shapes, and messages about those that are not."""

import json
import re

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import srzoo
from srzoo import weights as weights_module
from srzoo.contract import identity_of
from srzoo.recognise import layout_of, recognise
from srzoo.registry import ARCHS, DISCRIMINATORS
from srzoo.tensor_files import CheckpointError
from srzoo.weights import load_network, load_weights
from tests.archs.test_all import SMALL, scales_of
from tests.support import SHARED, needs_shared

OTHERS = {
    "D2CNet": {"backbone": "IMDN", "levels": [2, 3], "num_feat": 16, "num_group": 2, "num_block": 1},
    "DRCT": {"embed_dim": 36, "depths": [6], "num_heads": [4], "window_size": 4, "gc": 12, "mlp_ratio": 1.5},
    "EDSR": {"num_feat": 256, "num_block": 1, "res_scale": 0.1},
    "IMDN": {"num_feat": 16, "num_modules": 3, "num_in_ch": 1},
    "IMDN_AS": {"num_feat": 16, "num_modules": 2},
    "IMDN_RTC": {"num_feat": 8, "num_modules": 2, "num_in_ch": 1},
    "IMDN_RTE": {"num_feat": 12},
    "IMDNPlus": {"num_feat": 12, "num_modules": 2},
    "RCAN": {"num_feat": 16, "num_group": 1, "num_block": 3, "squeeze_factor": 4},
    "RRDBNet": {"num_feat": 8, "num_block": 2, "num_grow_ch": 4, "num_in_ch": 1},
    "RT4KSR": {"num_feats": 8, "num_blocks": 2, "num_in_ch": 1},
    "SRResNet": {"num_feat": 8, "num_block": 2, "num_in_ch": 1},
    "SRVGGNetCompact": {"num_feat": 8, "num_conv": 3},
}
# Options without a trace in the file: the value of released files.
UNSEEN = {"IMDN_RTE": {"img_range": 255.0}}


def shown(identity, name):
    """Options of an identity that change the function of the network."""
    free = srzoo.contract_of(ARCHS[name]).free_options
    return {key: value for key, value in identity.flat().items() if key not in free}


@pytest.mark.parametrize("name", [name for name in ARCHS if name != "Bicubic"])
def test_every_network_is_recognised_by_its_keys_and_shapes(name):
    for options in (SMALL.get(name, {}), OTHERS[name]):
        for scale in scales_of(name):
            with torch.device("meta"):
                net = ARCHS.build(name, {**UNSEEN.get(name, {}), **options}, scale=scale)
            found = recognise({f"net_g.{key}": tensor for key, tensor in net.state_dict().items()})
            assert [shown(identity, name) for identity in found] == [shown(net.identity, name)]


@needs_shared
@pytest.mark.parametrize(
    ("file", "network"),
    [
        ("IMDN_x2.pth", "IMDN x2 (num_in_ch: 3, num_feat: 64, num_modules: 6)"),
        ("IMDN_x3.pth", "IMDN x3 (num_in_ch: 3, num_feat: 64, num_modules: 6)"),
        ("IMDN_x4.pth", "IMDN x4 (num_in_ch: 3, num_feat: 64, num_modules: 6)"),
        ("IMDN_AS.pth", "IMDN_AS x1 (num_in_ch: 3, num_feat: 64, num_modules: 6)"),
        ("IMDN_plus_x4.pth", "IMDNPlus x4 (num_in_ch: 3, num_feat: 36, num_modules: 8)"),
        ("model_RTC.pth", "IMDN_RTC x2 (num_in_ch: 3, num_feat: 12, num_modules: 5)"),
        ("model_RTE.pth", "IMDN_RTE x2 (num_in_ch: 3, num_feat: 20, img_range: 255.0)"),
        ("rt4ksr_x2.pth", "RT4KSR x2 (num_in_ch: 3, num_feats: 24, num_blocks: 4,"),
        ("rt4ksr_x3.pth", "RT4KSR x3 (num_in_ch: 3, num_feats: 24, num_blocks: 4,"),
    ],
)
def test_released_files_are_recognised_and_said_so(file, network, caplog, monkeypatch):
    monkeypatch.setattr(weights_module.logger, "propagate", True)
    net = srzoo.load_network(SHARED / "checkpoints" / file)
    assert f"{file} does not say its network: taken for {network}" in caplog.text
    identity = identity_of(net)
    other = ARCHS.build(identity.type, dict(identity.options), scale=identity.scale).eval()
    load_weights(other, SHARED / "checkpoints" / file)
    lq = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(net(lq), other(lq))


@needs_shared
def test_one_network_in_every_layout_of_the_reference_pack():
    files = sorted((SHARED / "cases" / "weights").glob("*.pth"))
    assert len(files) == 5
    nets = [load_network(file) for file in files]
    small = ARCHS.build("RRDBNet", {"num_feat": 8, "num_block": 1, "num_grow_ch": 4}, scale=4).eval()
    lq = torch.rand(1, 3, 8, 8)
    for file, net in zip(files, nets, strict=True):
        assert identity_of(net) == identity_of(small), file.name
        load_weights(small, file)
        with torch.no_grad():
            assert torch.equal(small(lq), nets[0](lq)), file.name


def renamed(net, *pairs):
    state = {}
    for name, tensor in net.state_dict().items():
        for pattern, replacement in pairs:
            name = re.sub(pattern, replacement, name)
        state[name] = tensor
    return state


ESRGAN_2018 = (
    (r"^body\.(\d+)\.rdb(\d)\.conv(\d)", r"model.1.sub.\1.RDB\2.conv\3.0"),
    (r"^conv_first", "model.0"),
    (r"^conv_body", "model.1.sub.2"),
    (r"^conv_up1", "model.3"),
    (r"^conv_up2", "model.6"),
    (r"^conv_hr", "model.8"),
    (r"^conv_last", "model.10"),
)
EDSR_PYTORCH = (
    (r"^conv_first", "head.0"),
    (r"^body\.(\d+)\.conv1", r"body.\1.body.0"),
    (r"^body\.(\d+)\.conv2", r"body.\1.body.2"),
    (r"^conv_after_body", "body.3"),
    (r"^upsample", "tail.0"),
    (r"^conv_last", "tail.1"),
)


def edsr_file(img_range, scale=4):
    net = ARCHS.build("EDSR", {"num_block": 3, "img_range": img_range}, scale=scale)
    mean = torch.tensor([0.4488, 0.4371, 0.4040]) * img_range
    shifts = {"sub_mean.bias": -mean, "add_mean.bias": mean}
    shifts |= dict.fromkeys(("sub_mean.weight", "add_mean.weight"), torch.eye(3)[:, :, None, None])
    return net, renamed(net, *EDSR_PYTORCH) | shifts


def test_names_of_esrgan_2018_load():
    net = ARCHS.build("RRDBNet", {"num_feat": 8, "num_block": 2, "num_grow_ch": 4}, scale=4)
    state, other = renamed(net, *ESRGAN_2018), ARCHS.build("RRDBNet", dict(net.identity.options), scale=4)
    assert "model.1.sub.1.RDB3.conv5.0.bias" in state
    load_weights(other, state)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in net.state_dict().items())
    assert recognise(state) == [net.identity]
    # A x2 network of that code enlarges once: srzoo's RRDBNet has no such form.
    once = {key: value for key, value in state.items() if not key.startswith("model.3.")}
    with pytest.raises(CheckpointError, match=r"the file has the layout of ESRGAN's code of 2018, x2"):
        load_weights(other, once)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_names_of_edsr_pytorch_load(scale):
    net, state = edsr_file(255.0, scale)
    other = ARCHS.build("EDSR", {"num_block": 3}, scale=scale)
    load_weights(other, state)
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in net.state_dict().items())
    assert recognise(state) == [net.identity]


@pytest.mark.parametrize("name", ["EDSR", "RCAN"])
def test_a_file_for_another_range_of_values_is_refused(name):
    """Its mean colour is built into the network, and nothing else would show the difference."""
    if name == "EDSR":
        state, options = edsr_file(1.0)[1], {"num_block": 3}
    else:
        options = SMALL["RCAN"]
        state = ARCHS.build("RCAN", {**options, "img_range": 1.0}, scale=4).published_state()
    with pytest.raises(CheckpointError, match=r"sub_mean\.bias is \(-0\.4488, .* the network has \(-114\.4, "):
        load_weights(ARCHS.build(name, options, scale=4), state)
    load_weights(ARCHS.build(name, {**options, "img_range": 1.0}, scale=4), state)
    assert [identity.options["img_range"] for identity in recognise(state)] == [1.0]


def test_merged_blocks_are_recognised(tmp_path):
    merged = ARCHS.build("RT4KSR", {}, scale=2).fused()
    torch.save(merged.state_dict(), tmp_path / "w.pth")
    net, lq = load_network(tmp_path / "w.pth"), torch.rand(1, 3, 16, 16)
    assert torch.equal(net(lq), merged.eval()(lq))


def test_a_used_high_frequency_branch_is_recognised_by_its_weight():
    net = ARCHS.build("RT4KSR", {"forget": True}, scale=2)
    assert [found.options["forget"] for found in recognise(net.state_dict())] == [False]
    net.gamma.data.fill_(0.3)
    assert [found.options["forget"] for found in recognise(net.state_dict())] == [True]


def test_an_ambiguous_file_is_refused_with_the_candidates(tmp_path):
    torch.save(ARCHS.build("SRVGGNetCompact", {"act": "relu", "num_conv": 2}, scale=2).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="fits several networks") as error:
        load_network(tmp_path / "w.pth")
    first, *candidates = str(error.value).splitlines()
    assert f"srzoo convert weights {tmp_path / 'w.pth'} OUT.safetensors -opt FILE" in first
    assert [line.strip() for line in candidates] == [
        "SRVGGNetCompact x2 (num_in_ch: 3, num_feat: 64, num_conv: 2, act: relu, border: zeros)",
        "SRVGGNetCompact x2 (num_in_ch: 3, num_feat: 64, num_conv: 2, act: lrelu, border: zeros)",
    ]


@pytest.mark.parametrize("name", list(DISCRIMINATORS))
def test_a_discriminator_is_no_network_to_upscale_with(name, tmp_path):
    torch.save({"params": DISCRIMINATORS.build(name, {"num_feat": 8}).state_dict()}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=f"it has the layout of the discriminator {name}"):
        load_network(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("keys", "layout"),
    [
        (["layers.0.residual_group.blocks.0.attn.qkv.weight", "conv_first.weight"], "SwinIR"),
        (["params.layers.0.residual_group.overlap_attn.qkv.weight"], "HAT"),
        (["features.0.weight", "classifier.6.bias"], "a VGG classifier"),
        (["a.weight", "b.weight"], ""),
    ],
)
def test_layouts_of_other_networks_are_named(keys, layout):
    assert layout_of({key: torch.zeros(1) for key in keys}) == layout


def test_a_network_with_another_key_is_called_by_its_name_and_the_key():
    state = ARCHS.build("IMDN_RTC", {}, scale=2).state_dict() | {"head.bias": torch.zeros(3)}
    expected = "IMDN_RTC x2 (num_in_ch: 3, num_feat: 12, num_modules: 5), but for 1 unexpected: head.bias"
    assert layout_of(state) == expected
    with pytest.raises(CheckpointError, match=re.escape(f"the file has the layout of {expected}")):
        load_weights(ARCHS.build("EDSR", {"num_block": 1}, scale=2), state)
    with pytest.raises(CheckpointError) as error:
        load_weights(ARCHS.build("IMDN_RTC", {}, scale=2), state)
    assert str(error.value).splitlines()[1:] == ["  1 unexpected: head.bias"]


def test_a_misfit_says_which_scale_width_and_depth_would_fit():
    with torch.device("meta"):
        file = ARCHS.build("IMDN", {"num_feat": 48, "num_modules": 4}, scale=3).state_dict()
    with pytest.raises(CheckpointError) as error:
        load_weights(ARCHS.build("IMDN", {}, scale=2), {k: torch.zeros(v.shape) for k, v in file.items()})
    last = str(error.value).splitlines()[-1]
    assert last.strip() == "would fit: scale: 3, network_g.num_feat: 48, network_g.num_modules: 4"


METADATA = st.dictionaries(st.sampled_from(["arch", "arch_options", "scale", "format", "x"]), st.text(max_size=20))
OPTIONS = st.dictionaries(
    st.sampled_from(["num_feat", "num_modules", "num_in_ch", "other"]),
    st.none() | st.integers() | st.floats() | st.text(max_size=4) | st.lists(st.integers(), max_size=3),
)


@given(METADATA | st.builds(lambda o, s: {"arch": "IMDN_RTC", "arch_options": json.dumps(o), "scale": str(s)},
                            OPTIONS, st.integers() | st.just("x")))  # fmt: skip
@example({"arch": "IMDN_RTC", "arch_options": json.dumps({"num_feat": "a\x85b"}), "scale": "1"})
@settings(max_examples=60, deadline=None)
def test_metadata_of_any_shape_give_the_network_or_one_clear_line(tmp_path_factory, metadata):
    path = tmp_path_factory.mktemp("w") / "w.safetensors"
    safetensors.torch.save_file(ARCHS.build("IMDN_RTC", {}, scale=2).state_dict(), path, metadata)
    said = ""
    try:
        load_network(path)
    except (CheckpointError, LookupError) as error:
        said = str(error)
    assert not said or "w.safetensors" in said
    # Metadata of another network than the tensors' get the whole comparison.
    assert len(said.splitlines()) <= 1 or "does not fit IMDN_RTC; nothing was loaded" in said


@pytest.mark.parametrize(
    "options",
    ['{"num_modules": 1000000000000}', '{"num_feat": 100000}', '{"num_modules": 3000}', "[" * 100_000, '{"a": 1}'],
)
def test_metadata_of_a_network_larger_than_the_file_are_refused_before_it_is_built(tmp_path, options):
    path = tmp_path / "w.safetensors"
    state = ARCHS.build("IMDN_RTC", {}, scale=2).state_dict()
    safetensors.torch.save_file(state, path, {"arch": "IMDN_RTC", "arch_options": options, "scale": "2"})
    with pytest.raises(CheckpointError, match=r"larger than the file|of the network are damaged|cannot be built"):
        load_network(path)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "w.pth"
    torch.save(ARCHS.build("IMDN_RTC", {}, scale=2).state_dict(), path)
    return load_network(path)


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((8, 9, 3), np.uint8), "numpy.ndarray of shape (8, 9, 3)"),
        ([[0.0]], "builtins.list"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "torch.uint8"),
        (torch.full((1, 3, 8, 8), 255.0), "values up to 255: divide 8-bit values by 255"),
        (torch.zeros(3, 8, 8), "the shape (3, 8, 8)"),
        (torch.zeros(1, 8, 8, 3), "the shape (1, 8, 8, 3)"),
        (torch.zeros(1, 1, 8, 8), "the shape (1, 1, 8, 8)"),
    ],
)
def test_a_network_called_with_something_else_says_what_it_wants(loaded, image, got):
    for call in (lambda: loaded(image), lambda: loaded(lq=image)):
        with pytest.raises(ValueError, match=re.escape(got)) as error:
            call()
        assert "IMDN_RTC expects a tensor (B, 3, H, W) with values in [0, 1]" in str(error.value)


def test_images_a_little_outside_the_range_and_exported_graphs_pass(loaded):
    lq = torch.rand(1, 3, 8, 8) * 1.2 - 0.1
    with torch.no_grad():
        out = loaded(lq)
        torch.testing.assert_close(torch.export.export(loaded, (lq,)).module()(lq), out)
