"""Damaged files of weights and training states: every flipped bit is noticed or changes nothing."""

import logging
import random

import pytest
import safetensors
import safetensors.torch
import torch

from srzoo.checksum import checksum
from srzoo.registry import ARCHS
from srzoo.state import load_state, save_state
from srzoo.tensor_files import CHECKSUM, CheckpointError, read_tensor_file, write_tensors
from srzoo.weights import load_network, load_weights, read_weights, save_weights
from tests.support import learner

FLIPS = 500


@pytest.fixture
def log(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("srzoo"), "propagate", True)
    caplog.set_level("INFO", logger="srzoo")
    return caplog


def network(seed=0):
    torch.manual_seed(seed)
    return ARCHS.build("IMDN_RTC", {"num_modules": 1, "num_feat": 8}, scale=2)


def save(path, **provenance):
    save_weights(path, network(), {"step": "7", "weights": "ema", **provenance})
    return path


def training_state():
    """Training state with what a run has: networks, an optimiser with equal and zero tensors, a pool, numbers."""
    recipe = learner(network(), ema_decay=0.9, name="g")
    for _ in range(2):
        recipe.minimise({"pixel": recipe.net(torch.rand(1, 3, 6, 6)).mean()}, ["a"])
    data = {"keys": ["a", "b"], "images": torch.zeros(2, 3, 4, 4), "count": 2, "shuffle": (True, None, 0.5)}
    return {"model": recipe.state_dict(), "data": data, "step": 2, "options": "name: run\nscale: 2\nseed: 0\n"}


def flips(size, seed):
    """(byte, bit) all over a file."""
    generator = random.Random(seed)
    return [(generator.randrange(size), generator.randrange(8)) for _ in range(FLIPS)]


def without(stored, entries):
    """Leave out the checksum, whose own name may have the flipped bit: it protects all other entries."""
    return {name: value for name, value in entries.items() if not isinstance(value, str) or value != stored}


def flipped(raw, place, bit):
    """Return the content of a file with one bit changed."""
    changed = bytearray(raw)
    changed[place] ^= 1 << bit
    return changed


def contents(path, stored):
    content, metadata = read_tensor_file(path)
    values = {name: tensor.numpy().tobytes() for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}
    return values, without(stored, metadata), load_network(path).identity


def test_no_flipped_bit_changes_the_weights_or_the_network_that_a_file_gives(tmp_path):
    path, broken = save(tmp_path / "w.safetensors"), tmp_path / "broken.safetensors"
    stored = read_tensor_file(path)[1][CHECKSUM]
    before, raw = contents(path, stored), path.read_bytes()
    header = 8 + int.from_bytes(raw[:8], "little")
    # Half of them in the header, where names, shapes and options are.
    places = flips(len(raw), 0)[: FLIPS // 2] + flips(header, 1)[: FLIPS // 2]
    refused = 0
    for place, bit in places:
        broken.write_bytes(flipped(raw, place, bit))
        try:
            after = contents(broken, stored)
        except CheckpointError as error:
            refused += str(broken) in str(error)
        else:
            assert after == before, (place, bit)
    assert refused > FLIPS // 2


@pytest.mark.slow
def test_no_flipped_bit_changes_a_training_state(tmp_path):
    path, broken = tmp_path / "2.state", tmp_path / "3.state"
    save_state(path, training_state())
    raw = path.read_bytes()
    pickled = raw.index(b"data.pkl"), raw.index(b"data/0") + 1000
    places = flips(len(raw), 2)[: FLIPS // 2]
    places += [(pickled[0] + place, bit) for place, bit in flips(pickled[1] - pickled[0], 3)[: FLIPS // 2]]
    stored = dict(load_state(path))[CHECKSUM]
    refused = 0
    for place, bit in places:
        broken.write_bytes(flipped(raw, place, bit))
        try:
            after = load_state(broken)
        except CheckpointError as error:
            refused += str(broken) in str(error)
        else:
            assert checksum(without(stored, after), layout=True) == stored, (place, bit)
    assert refused > FLIPS // 2


def test_a_changed_digit_in_the_stored_options_is_noticed(tmp_path):
    path = save(tmp_path / "w.safetensors", options_sha256="abc")
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = safetensors.torch.load_file(path)
    edited = {**metadata, "arch_options": metadata["arch_options"].replace('"num_modules": 1', '"num_modules": 2')}
    assert edited != metadata
    safetensors.torch.save_file(tensors, path, edited)
    for load in (load_network, read_weights, lambda path: load_weights(network(), path)):
        with pytest.raises(CheckpointError, match=r"w\.safetensors is damaged: its content does not fit its checksum"):
            load(path)
    # The order of entries, which safetensors does not keep, is no damage.
    safetensors.torch.save_file(dict(reversed(tensors.items())), path, dict(reversed(metadata.items())))
    load_network(path)


def test_weights_in_pytorchs_format_are_verified_too(tmp_path):
    write_tensors(tmp_path / "w.pth", network().state_dict(), {})
    load_weights(network(1), tmp_path / "w.pth")
    content = torch.load(tmp_path / "w.pth", weights_only=True)
    next(iter(content["params"].values()))[0] += 1e-3
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth is damaged"):
        load_weights(network(1), tmp_path / "w.pth")


def test_states_are_plain_files_of_pytorch_with_a_checksum_beside_their_entries(tmp_path):
    save_state(tmp_path / "2.state", training_state())
    content = torch.load(tmp_path / "2.state", weights_only=True)
    assert list(content) == ["model", "data", "step", "options", CHECKSUM]
    content["options"] = content["options"].replace("scale: 2", "scale: 3")
    torch.save(content, tmp_path / "2.state")
    with pytest.raises(CheckpointError, match=r"2\.state is damaged"):
        load_state(tmp_path / "2.state")


def test_files_without_a_checksum_load_and_only_those_of_srzoo_are_announced(tmp_path, log):
    content = training_state()
    torch.save(content, tmp_path / "2.state")
    assert load_state(tmp_path / "2.state")["step"] == 2
    assert "2.state has no checksum" in log.text
    own, published = tmp_path / "own.safetensors", tmp_path / "published.safetensors"
    metadata = {"arch": "IMDN_RTC", "arch_options": '{"num_modules": 1, "num_feat": 8}', "scale": "2"}
    safetensors.torch.save_file(network().state_dict(), own, {**metadata, "srzoo": "0.1.0"})
    safetensors.torch.save_file(network().state_dict(), published, metadata)
    log.clear()
    for path in (own, published):
        load_network(path)
    load_network(save(tmp_path / "new.safetensors"))
    assert [record.getMessage().partition(" ")[0] for record in log.records] == [str(own)]


def test_shared_memory_counts_in_states_alone():
    step = torch.tensor(4.0)
    shared, apart = {"a": step, "b": step}, {"a": step, "b": step.clone()}
    assert checksum(shared, layout=True) != checksum(apart, layout=True)
    assert checksum(shared, layout=False) == checksum(apart, layout=False)
    across = torch.zeros(2, 2)
    assert checksum({"a": across}, layout=True) != checksum({"a": across.mT}, layout=True)


@pytest.mark.parametrize(
    "other",
    [
        {"a": [1, 2.0], "b": {"c": "x"}},
        {"a": [1, True], "b": {"c": "x"}},
        {"a": [1, 2], "b": {"d": "x"}},
        {"a": [1, 2], "b": {}, "c": "x"},
        {"a": [1], "2": [], "b": {"c": "x"}},
        {"a": (1, 2), "b": {"c": "x"}},
        {"b": {"c": "x"}, "a": [1, 2]},
        {"a": [1, 2], "b": {"c": b"x"}},
    ],
)
def test_types_names_and_nesting_count(other):
    content = {"a": [1, 2], "b": {"c": "x"}}
    assert checksum(content, layout=True) == checksum({"a": [1, 2], "b": {"c": "x"}}, layout=True)
    assert checksum(content, layout=True) != checksum(other, layout=True)
