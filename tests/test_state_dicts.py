"""State dicts wherever people leave them in a file, and tensors that are no weights."""

import re
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from srzoo import weights as weights_module
from srzoo.registry import ARCHS, DISCRIMINATORS
from srzoo.state_dicts import find_state_dicts
from srzoo.tensor_files import CheckpointError, read_tensor_file
from srzoo.weights import load_network, load_weights, read_weights

NAMES = st.text(st.sampled_from("abcgnetmodl_EMA012"), min_size=1, max_size=12)
NOTES = st.dictionaries(
    NAMES | st.integers(), st.none() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=3)
)


def network(seed=0, **options):
    torch.manual_seed(seed)
    return ARCHS.build("IMDN_RTC", {"num_modules": 1, **options}, scale=2)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def optimiser_state(net):
    optimiser = torch.optim.Adam(net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    return optimiser.state_dict()


@given(st.lists(NAMES, max_size=4), st.lists(NAMES, max_size=3), NOTES, st.booleans())
# A misfit is explained at length: shrinking an example would repeat that for minutes.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], phases=[Phase.generate])
def test_weights_load_from_any_nesting_under_any_common_prefix(containers, prefixes, notes, beside_optimiser):
    net, other = network(0), network(1)
    prefix = "".join(f"{name}." for name in prefixes)
    content = {prefix + name: tensor for name, tensor in net.state_dict().items()}
    for name in containers:
        content = {**notes, name: content}
        if beside_optimiser:
            content["optimizer"] = optimiser_state(other)
    load_weights(other, content)
    assert same(net, other)


@given(
    st.lists(st.sampled_from(["module", "_orig_mod", "_fsdp_wrapped_module"]), min_size=1, max_size=4), st.booleans()
)
@settings(max_examples=30, deadline=None)
def test_names_of_wrappers_are_removed_without_a_network_too(wrappers, inside):
    net = network()
    names = {name: name for name in net.state_dict()}
    if inside:
        names = {name: name.replace("model.", "model._orig_mod.", 1) for name in names}
    content = {".".join([*wrappers, names[name]]): tensor for name, tensor in net.state_dict().items()}
    content["n_averaged"] = torch.tensor(7)
    assert read_weights(content).tensors.keys() == net.state_dict().keys()


def test_a_moving_average_is_preferred_under_any_name_and_a_discriminator_never():
    plain, average, other = network(0), network(1), network(2)
    for name in ("ema", "net_g_ema", "averaged_model", "state_dict_ema", "netG_EMA", "params_swa"):
        content = {"params": plain.state_dict(), name: average.state_dict()}
        assert load_weights(other, content).key == name
        assert same(average, other)
    large = ARCHS.build("IMDN", {}, scale=2).state_dict()
    for name in ("net_d", "discriminator", "netD", "D"):
        found = [state.key for state in find_state_dicts({name: large, "generator": plain.state_dict()}, "w")]
        assert found == ["generator", name]


def test_the_entry_that_fits_the_network_is_taken():
    net, other = network(0), network(1)
    content = {"gan": {"a": ARCHS.build("IMDN", {}, scale=2).state_dict(), "b": {"weights": net.state_dict()}}}
    assert load_weights(other, content).key == "weights"
    assert same(net, other)


def test_networks_saved_side_by_side_as_one_are_told_apart(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(weights_module.logger, "propagate", True)
    net, other = network(0), network(1)
    discriminator = DISCRIMINATORS.build("UNetDiscriminatorSN", {"num_feat": 8})
    state = {f"net_g.{key}": value for key, value in net.state_dict().items()}
    state |= {f"net_d.{key}": value for key, value in discriminator.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "w.ckpt")
    with caplog.at_level("INFO", logger="srzoo"):
        load_weights(other, tmp_path / "w.ckpt")
    assert same(net, other)
    assert caplog.text.rstrip().endswith("took state_dict.net_g")
    assert same(net, load_network(tmp_path / "w.ckpt"))
    fresh = DISCRIMINATORS.build("UNetDiscriminatorSN", {"num_feat": 8})
    load_weights(fresh, tmp_path / "w.ckpt")
    assert same(discriminator, fresh)


def test_entries_of_equal_name_go_by_the_whole_path():
    content = {"g": {"state_dict": network(0).state_dict()}, "h": {"state_dict": network(1).state_dict()}}
    other = network(2)
    load_weights(other, content, key="h.state_dict")
    assert same(network(1), other)
    with pytest.raises(CheckpointError, match=re.escape("no entry 'x'; it has g.state_dict, h.state_dict")):
        load_weights(other, content, key="x")


def test_a_mapping_that_contains_itself_is_read_once():
    content = {"params": network(0).state_dict()}
    content["again"] = content
    assert len(find_state_dicts(content, "w")) == 1


def unusual():
    """Tensors that files of weights do not hold, by kind."""
    dense = torch.eye(3)
    yield "sparse", dense.to_sparse()
    yield "sparse", dense.to_sparse_csr()
    yield "quantised", torch.quantize_per_tensor(dense, 1.0, 0, torch.qint8)
    yield "complex64", dense.to(torch.complex64)
    yield "float8_e4m3fn", dense.to(torch.float8_e4m3fn)
    yield r"empty \(meta\)", dense.to("meta")
    yield "nested", torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])


@pytest.mark.parametrize(("kind", "tensor"), list(unusual()), ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.filterwarnings("ignore")
def test_tensors_of_another_kind_are_named_in_one_line(tmp_path, kind, tensor):
    torch.save({"params": {**network().state_dict(), "model.0.weight": tensor}}, tmp_path / "w.pth")
    for read in (lambda path: load_weights(network(), path), read_weights, load_network):
        with pytest.raises(CheckpointError, match=rf"^.*w\.pth: model\.0\.weight is a {kind} tensor.*$"):
            read(tmp_path / "w.pth")


def test_whole_numbers_do_not_become_weights():
    state = {key: (100 * value).int() for key, value in network().state_dict().items()}
    with pytest.raises(CheckpointError, match=r"model\.0\.weight holds torch\.int32 numbers, expected floating-point"):
        load_weights(network(), state)


def test_views_that_repeat_a_value_beyond_all_memory_are_refused(tmp_path):
    torch.save({"w": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="refused, because w unpacks to 4,000,000,000,000 bytes from 4"):
        read_weights(tmp_path / "w.pth")


def test_archives_that_unpack_to_far_more_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    torch.save({"w": torch.zeros(500_000)}, tmp_path / "w.pth")
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(tmp_path / "w.pth") as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in source.infolist():
            packed.writestr(member.filename, source.read(member))
    assert bomb.stat().st_size < 10_000
    monkeypatch.setattr("srzoo.tensor_files.torch.load", lambda *_, **__: pytest.fail("unpacked"))
    with pytest.raises(CheckpointError, match=r"bomb\.pth: refused, because it unpacks to 2,00\d,\d+ bytes from"):
        read_tensor_file(bomb)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({}, "no entry"),
        ({"epoch": 3, "note": "x"}, "epoch, note"),
        ({0: torch.zeros(2), 1: torch.zeros(2)}, "tensors under keys of type int"),
        ({"params": {0: torch.zeros(2)}}, "tensors under keys of type int"),
        ({"optimizers": [{"state": {0: {"exp_avg": torch.zeros(2)}}}], "iter": 5}, "optimizers, iter"),
    ],
)
def test_files_without_names_for_tensors_are_refused_in_one_line(content, found):
    with pytest.raises(CheckpointError, match=rf"^the weights given: holds no weights: .*found {found}$"):
        read_weights(content)
