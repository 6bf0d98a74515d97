"""One network in training: modes, freezing, the average, the state."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from srzoo import ranks
from srzoo.optim.schedules import Constant, Iteration, MultiStepRestart
from tests.support import learner


def loss(net):
    return {"a": net(torch.ones(2, 3)).square().mean()}


def test_a_micro_batch_is_computed_in_training_mode():
    dropout = nn.Dropout(0.5)
    own = learner(nn.Sequential(nn.Linear(3, 2), dropout))
    own.module.eval()
    with own.micro_batch():
        assert own.module.training
        assert dropout.training


def test_freezing_ends_and_remembers_what_was_frozen_before():
    own = learner(nn.Linear(3, 2))
    own.module.bias.requires_grad_(False)
    with own.frozen():
        image = torch.ones(1, 3, requires_grad=True)
        own.module(image).sum().backward()
        assert image.grad is not None
        assert own.module.weight.grad is None
    assert own.module.weight.requires_grad
    assert not own.module.bias.requires_grad


def test_the_average_moves_with_updates_only():
    own = learner(nn.Linear(3, 2), accumulate=2, ema_decay=0.5)
    start = copy.deepcopy(own.inference_net.state_dict())
    assert not own.minimise(loss(own.net), ["a"])
    assert all(torch.equal(value, start[key]) for key, value in own.inference_net.state_dict().items())
    assert own.minimise(loss(own.net), ["a"])
    for key, value in own.inference_net.state_dict().items():
        torch.testing.assert_close(value, 0.5 * start[key] + 0.5 * own.module.state_dict()[key])
    assert not any(parameter.requires_grad for parameter in own.inference_net.parameters())


def test_learners_of_a_run_share_the_iteration():
    iteration, schedule = Iteration(), MultiStepRestart(milestones=(2,), gamma=0.5)
    first, second = (learner(nn.Linear(3, 2), lr, schedule=schedule, iteration=iteration) for lr in (1.0, 0.1))
    first.minimise(loss(first.net), ["a"])
    assert (first.lr, second.lr) == (1.0, 0.1)
    iteration.number = 2
    assert (first.lr, second.lr) == (0.5, 0.05)


def test_a_state_belongs_to_its_learner():
    torch.manual_seed(0)
    own, other = (learner(nn.Linear(3, 2), name="d", ema_decay=0.9, schedule=Constant()) for _ in range(2))
    own.minimise(loss(own.net), ["a"])
    state = copy.deepcopy(own.state_dict())
    assert set(state) == {"net_d", "net_d_ema", "step_d"}
    other.load_state_dict(state)
    for mine, theirs in ((own.module, other.module), (own.inference_net, other.inference_net)):
        assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in mine.state_dict().items())
    assert other.stepper.num_updates == 1
    for faulty in (learner(nn.Linear(3, 2), name="d"), learner(nn.Linear(3, 2), name="d", ema_decay=0.9)):
        with pytest.raises(ValueError, match=r"train\.ema_decay"):
            faulty.load_state_dict(state if faulty.ema is None else {k: v for k, v in state.items() if "ema" not in k})


@pytest.fixture
def _as_one_of_several_ranks(monkeypatch):
    """Let learners believe in two ranks, in a process group of this one alone."""
    store = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage]  # documented, but not in __all__
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("_as_one_of_several_ranks")
def test_ranks_exchange_gradients_once_per_update_without_copying_them():
    own = learner(nn.Linear(3, 2), accumulate=2, type="SGD")
    assert isinstance(own.net, DistributedDataParallel)
    exchanged = []

    def note(_, bucket):
        exchanged.append([gradient.data_ptr() for gradient in bucket.gradients()])
        # The gradients are places in the buffer that is sent.
        places = {parameter.grad.data_ptr() for parameter in own.module.parameters() if parameter.grad is not None}
        assert set(exchanged[-1]) == places
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    own.net.register_comm_hook(None, note)
    for updates in (1, 2):
        for micro in (0, 1):
            with own.micro_batch():
                own.minimise(loss(own.net), ["a"])
            assert len(exchanged) == updates - 1 + micro
