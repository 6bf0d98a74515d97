"""Facts that networks state about themselves, and the identity that travels with their weights."""

import copy
import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import srzoo
from srzoo.contract import NetworkContract, NetworkIdentity, contract_of, identity_of, plain_value
from srzoo.layers.dropout import Dropout
from srzoo.registry import ARCHS, NetworkRegistry
from srzoo.weights import save_weights
from tests.archs.test_all import SMALL, scales_of

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", list(ARCHS))
def test_every_built_network_knows_what_it_is(name):
    for scale in scales_of(name)[:2]:
        net = ARCHS.build(name, SMALL.get(name, {}), scale=scale)
        assert net.scale == scale
        assert net.num_in_ch == 3
        identity = identity_of(net)
        assert (identity.type, identity.scale) == (name, scale)
        # Complete with defaults: a later change of a default must not change a saved network.
        assert identity.options.keys() == ARCHS.parameters(name).keys()
        assert identity.options.items() >= {k: plain_value(v) for k, v in SMALL.get(name, {}).items()}.items()
        assert identity_of(copy.deepcopy(net)) == identity


def test_the_channels_come_from_the_options():
    assert ARCHS.build("IMDN", {"num_in_ch": 1}, scale=2).num_in_ch == 1


@pytest.mark.parametrize("name", [name for name in ARCHS if name != "Bicubic"])
def test_a_file_gives_back_a_network_with_its_identity_and_contract(name, tmp_path):
    net = ARCHS.build(name, SMALL.get(name, {}), scale=scales_of(name)[0])
    save_weights(tmp_path / "w.safetensors", net, {})
    again = srzoo.load_network(tmp_path / "w.safetensors")
    assert identity_of(again) == identity_of(net)
    assert srzoo.contract_of(again) == srzoo.contract_of(net)
    assert again.scale == net.scale


def test_options_that_are_mappings_survive_the_file(tmp_path):
    net = ARCHS.build("SRResNet", {"num_block": 2, "dropout": Dropout(prob=0.7)}, scale=4)
    save_weights(tmp_path / "w.safetensors", net, {})
    again = srzoo.load_network(tmp_path / "w.safetensors")
    assert identity_of(again).options["dropout"] == {"mode": "channel", "prob": 0.7, "position": "last"}
    assert [type(module).__name__ for module in again.modules()].count("FeatureDropout") == 1


def test_a_network_built_by_hand_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="Conv2d has no identity: build it with"):
        save_weights(tmp_path / "w.safetensors", nn.Conv2d(3, 3, 1), {})
    assert not list(tmp_path.iterdir())


class Plain(nn.Module):
    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.factor = scale


def test_a_plugin_that_states_nothing_has_the_defaults():
    assert contract_of(Plain) == contract_of(Plain(scale=2)) == NetworkContract()


def test_a_fact_may_depend_on_the_options():
    assert contract_of(ARCHS["EDSR"]).receptive_radius is None
    assert contract_of(ARCHS.build("EDSR", {"num_block": 4}, scale=2)).receptive_radius == 12


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("multiple_of", "8"),
        ("multiple_of", 0),
        ("min_size", True),
        ("receptive_radius", -1),
        ("receptive_radius", 2.5),
        ("scales", 2),
        ("scales", (2, "3")),
        ("half_safe", "float16"),
        ("free_options", "dropout"),
        ("key_options", ["a"]),
        ("key_aliases", "a"),
    ],
)
def test_a_fact_of_the_wrong_type_is_refused_at_registration(fact, value):
    plugin = type("Odd", (Plain,), {fact: value, "__init__": Plain.__init__})
    registry = NetworkRegistry("network", "srzoo.archs", supplied=("scale",))
    with pytest.raises(ValueError, match=f"network Odd: {fact} must be") as error:
        registry.register(plugin)
    assert repr(value) in str(error.value)


def test_all_faults_of_a_contract_are_reported_at_once():
    class Odd(Plain):
        multiple_of = 0
        key_options: ClassVar = "x"

    with pytest.raises(ValueError, match=r"multiple_of .*; key_options "):
        contract_of(Odd)


def test_a_tensor_named_scale_is_left_alone():
    class Scaled(nn.Module):
        def __init__(self, *, scale: int) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((1,), float(scale)))

    registry = NetworkRegistry("network", "srzoo.archs", supplied=("scale",))
    registry.register(Scaled)
    net = registry.build("Scaled", {}, scale=3)
    assert isinstance(net.scale, nn.Parameter)
    assert net.identity.scale == 3


@given(st.text(min_size=1), st.integers(1, 16), st.dictionaries(st.text(), PLAIN, max_size=4))
def test_identities_survive_metadata(name, scale, options):
    identity = NetworkIdentity(name, scale, options)
    assert NetworkIdentity.from_metadata(identity.metadata()) == identity


def test_metadata_without_a_network_or_with_a_damaged_one():
    assert NetworkIdentity.from_metadata({"format": "pt"}) is None
    for damaged in ({"arch_options": "{", "scale": "2"}, {"arch_options": "[]", "scale": "2"}, {"arch_options": "{}"}):
        with pytest.raises(ValueError, match="metadata of the network are damaged"):
            NetworkIdentity.from_metadata({"arch": "IMDN", **damaged})


def test_differences_name_option_and_both_values_and_pass_over_free_options():
    saved = NetworkIdentity("IMDN", 2, {"num_feat": 64, "checkpointing": True})
    current = dataclasses.replace(saved, scale=3, options={"num_feat": 48, "checkpointing": False})
    assert saved.differences(saved) == []
    assert saved.differences(current, ("checkpointing",)) == [
        "scale: 2 in the file, 3 here",
        "num_feat: 64 in the file, 48 here",
    ]


def test_plain_values_are_those_of_json():
    value = {"a": (1, Path("x/y")), "b": Dropout(prob=0.25)}
    assert plain_value(value) == {
        "a": [1, "x/y"],
        "b": {"mode": "channel", "prob": 0.25, "position": "last"},
    }


def test_the_former_module_says_where_its_names_are():
    for name, home in (("load_weights", "srzoo.weights"), ("load_state", "srzoo.state")):
        with pytest.raises(ImportError, match=f"srzoo.checkpoint was split: import {name} from .*{home}"):
            exec(f"from srzoo.checkpoint import {name}")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from srzoo.checkpoint import nothing")
