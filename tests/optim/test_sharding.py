"""Sharded networks on the shards of a single rank: every network, block, optimiser state and refusal."""

import copy
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.testing._internal.distributed.fake_pg import FakeStore

from srzoo.contract import contract_of
from srzoo.engine.trouble import explained
from srzoo.optim.learner import Learner
from srzoo.optim.schedules import Constant, Iteration
from srzoo.optim.sharding import Sharding, repeated_blocks
from srzoo.registry import ARCHS, OPTIMIZERS
from tests.support import learner, needs_compiler, run_train, training_options, write_options

SMALL = {
    "D2CNet": {"num_feat": 16, "num_group": 1, "num_block": 1},
    "DRCT": {"embed_dim": 12, "depths": [2, 2], "num_heads": [2, 2], "window_size": 8},
    "RCAN": {"num_feat": 16, "num_group": 3, "num_block": 2},
    "RRDBNet": {"num_feat": 8, "num_block": 3},
}


@pytest.fixture
def _group():
    """A process group of this rank alone: shards are whole, and take all the ways that parts take."""
    store = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage]  # documented, but not in __all__
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def small(name, **options):
    torch.manual_seed(0)
    scale = (contract_of(ARCHS[name]).scales or (4,))[0]
    return ARCHS.build(name, SMALL.get(name, {}) | options, scale=scale)


def sharded(net, type="Adam", **options):
    sharding = Sharding(net)
    optimizer = OPTIMIZERS.build(type, {"lr": 1e-2}, params=net.parameters())
    return Learner(net, optimizer, Constant(), iteration=Iteration(), sharding=sharding, **options)


def update(own, seed=0, size=16):
    """Two micro-batches."""
    draws = torch.Generator().manual_seed(seed)
    for _ in range(2):
        with own.micro_batch():
            output = own.net(torch.rand(1, 3, size, size, generator=draws))
            own.minimise({"a": (getattr(output, "leaves", output) - 0.3).square().mean()}, ["a"])


def assert_equal(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key, value in one.items():
            assert_equal(value, other[key])
        assert getattr(one, "_metadata", None) == getattr(other, "_metadata", None)
    elif isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    else:
        assert one == other


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize("name", [name for name in ARCHS if name != "Bicubic"])
def test_every_network_trains_in_shards(name):
    assert_trains_as_whole(small(name))


@pytest.mark.usefixtures("_group")
def test_shards_are_gathered_for_features_that_are_computed_again():
    assert_trains_as_whole(small("DRCT", checkpointing=True))


@pytest.mark.slow
@needs_compiler
@pytest.mark.usefixtures("_group")
def test_shards_train_compiled():
    assert_trains_as_whole(small("IMDN_RTC", num_modules=2), compile=True)


def assert_trains_as_whole(net, **further):
    # Adam's first updates follow the signs of gradients, which rounding decides near zero.
    options = {"type": "SGD", "accumulate": 2, "grad_clip": 1e-2, "ema_decay": 0.5}
    whole, parts = learner(copy.deepcopy(net), 1e-2, **options), sharded(net, **options, **further)
    for own in (whole, parts):
        update(own)
    assert_equal(whole.state_dict(), parts.state_dict())
    assert type(parts.inference_net) is type(whole.module)
    assert_equal(whole.inference_net.state_dict(), parts.inference_net.state_dict())


@pytest.mark.parametrize(
    ("name", "number", "kind"),
    [
        ("DRCT", 2, "ResidualDenseGroup"),
        ("RRDBNet", 3, "ResidualInResidualDenseBlock"),
        ("IMDN", 6, "DistillationBlock"),
    ],
)
def test_the_repeated_blocks_are_those_of_the_paper(name, number, kind):
    blocks = repeated_blocks(small(name))
    assert [type(block).__name__ for block in blocks] == [kind] * number


def test_single_layers_are_no_blocks():
    assert repeated_blocks(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))) == []


@pytest.mark.usefixtures("_group")
def test_the_state_of_shards_continues_whole_networks_and_the_other_way_round():
    net = small("RRDBNet")
    options = {"accumulate": 2, "ema_decay": 0.5}
    whole, parts = learner(copy.deepcopy(net), 1e-2, **options), sharded(copy.deepcopy(net), **options)
    for own in (whole, parts):
        update(own)
    states = [copy.deepcopy(own.state_dict()) for own in (whole, parts)]
    for state in states:
        continued = [learner(copy.deepcopy(net), 1e-2, **options), sharded(copy.deepcopy(net), **options)]
        for own in continued:
            own.load_state_dict(copy.deepcopy(state))  # optimisers update what they have loaded in place
            assert own.stepper.num_updates == 1
            update(own, seed=1)
        assert_equal(*(own.state_dict() for own in continued))


@pytest.mark.usefixtures("_group")
def test_a_state_before_the_first_update_is_empty_and_saving_it_changes_nothing():
    net = small("RRDBNet")
    saved, other = sharded(copy.deepcopy(net), accumulate=2), sharded(copy.deepcopy(net), accumulate=2)
    state = saved.state_dict()
    assert dict[str, Any](state)["step_g"]["optimizer"]["state"] == {}
    saved.load_state_dict(state)
    for own in (saved, other):
        update(own)
    assert_equal(saved.state_dict(), other.state_dict())


@pytest.fixture
def _two_ranks():
    """A process group of two ranks, one of which is not there: nothing is exchanged."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    dist.destroy_process_group()


def test_each_rank_has_the_memory_of_its_part_alone(request):
    net = small("RRDBNet")
    whole = learner(copy.deepcopy(net), accumulate=2, ema_decay=0.5)
    update(whole)
    request.getfixturevalue("_two_ranks")
    parts = sharded(net, ema_decay=0.5)
    parts.load_state_dict(whole.state_dict())
    assert 0.5 <= memory(parts) / memory(whole) < 0.55  # three output channels do not divide by two


def memory(own):
    """Bytes of weights, their average and the optimiser's moments on this rank."""
    moments = [value for values in own.stepper.optimizer.state.values() for value in values.values()]
    tensors = [*own.module.parameters(), *own.ema.module.parameters(), *moments]
    return sum(getattr(tensor, "_local_tensor", tensor).untyped_storage().nbytes() for tensor in tensors)


@pytest.mark.usefixtures("_group")
def test_a_network_that_reads_a_block_without_calling_it_is_told_so():
    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(3, 3, 1)) for _ in range(2))

        def forward(self, lq):
            return nn.functional.conv2d(lq, self.blocks.get_parameter("0.0.weight"))

    with pytest.raises(RuntimeError, match="DTensor") as caught:
        sharded(Reading()).net(torch.rand(1, 3, 4, 4))
    assert "reads weights of a block without calling the block" in str(explained(caught.value, 0))


@pytest.mark.usefixtures("_group")
@pytest.mark.parametrize(("options", "fault"), [({"num_feat": 16}, "size mismatch"), ({"num_block": 4}, "Missing key")])
def test_the_state_of_another_network_is_refused(options, fault):
    state = sharded(small("RRDBNet")).state_dict()
    with pytest.raises(RuntimeError, match=fault):
        sharded(small("RRDBNet", **options)).load_state_dict(state)


@pytest.mark.usefixtures("_group")
def test_buffers_beside_the_state_dict_reach_the_network_to_publish():
    net = nn.Sequential(nn.Conv2d(3, 3, 1))
    net.register_buffer("seen", torch.zeros(1), persistent=False)
    own = sharded(net)
    net.get_buffer("seen").fill_(7)
    assert own.inference_net.get_buffer("seen") == 7


@pytest.mark.usefixtures("_group")
def test_a_network_with_a_scalar_weight_is_refused_by_name():
    net = nn.Linear(2, 2)
    net.gain = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"parallel: fsdp cannot shard Linear .*: use ddp"):
        Sharding(net)


@pytest.mark.usefixtures("_group")
def test_gradients_are_exchanged_with_the_last_micro_batch():
    own = sharded(nn.Sequential(nn.Conv2d(3, 3, 1)), accumulate=2)
    for exchanged in (False, True):
        with own.micro_batch():
            own.net(torch.rand(1, 3, 4, 4)).mean().backward()
        own.stepper._num_accumulated += 1
        assert all((parameter.grad is not None) == exchanged for parameter in own.module.parameters())


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"channels_last": True}, "train.channels_last"),
        ({"optim_g": {"type": "Adafactor"}}, "train.optim_g.type"),
        ({"accumulate": "auto"}, "train.accumulate"),
        ({"losses": {"gan": {"type": "GANLoss", "r1_weight": 1.0}}}, "train.losses.gan.r1_weight"),
    ],
)
def test_unusable_combinations_are_refused_by_name(tmp_path, capsys, changes, key):
    options = training_options(tmp_path, train=changes, parallel="fsdp")
    if "losses" in changes:
        options |= {"model": {"type": "GANModel"}, "network_d": {"type": "UNetDiscriminatorSN"}}
        options["train"]["optim_d"] = {"type": "Adam"}
    file = write_options(tmp_path / "x.yml", options)
    assert run_train(file) == 2
    assert f"{key}: " in capsys.readouterr().err
    assert not (tmp_path / "experiments").exists()


def test_one_rank_alone_has_the_whole_network(tmp_path, capsys):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, parallel="fsdp", train={"total_iter": 1}))
    assert run_train(file) == 0
    assert "parallel: fsdp: one rank alone holds the whole network_g" in capsys.readouterr().out
    assert run_train(file, "parallel=ddp", "train.total_iter=2", resume="auto") == 0
