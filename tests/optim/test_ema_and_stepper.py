"""Moving average and update step against their plain forms."""

import copy

import pytest
import torch
from torch import nn

from srzoo.optim.ema import EMA
from srzoo.optim.finite import NonFiniteLossError
from srzoo.optim.optimizers import NAMES
from srzoo.optim.schedules import Constant, Iteration, MultiStepRestart
from srzoo.optim.stepper import Stepper
from srzoo.registry import OPTIMIZERS


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(self.layer(x))


def test_ema_is_the_plain_recursion_buffers_included():
    torch.manual_seed(0)
    net = Net()
    ema = EMA(net, 0.9)
    plain = {key: value.clone() for key, value in net.state_dict().items()}
    for _ in range(5):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn_like(parameter))
        net(torch.randn(4, 3))  # moves the running statistics and the batch counter
        ema.update(net)
        for key, value in net.state_dict().items():
            plain[key] = 0.9 * plain[key] + 0.1 * value if value.is_floating_point() else value.clone()
    for key, value in ema.module.state_dict().items():
        torch.testing.assert_close(value, plain[key])
    assert not any(parameter.requires_grad for parameter in ema.module.parameters())
    assert ema.module.state_dict()["norm.num_batches_tracked"] == 5


def stepper(net, **options):
    optimizer = OPTIMIZERS.build("SGD", {"lr": 0.1}, params=net.parameters())
    schedule, iteration = options.pop("schedule", Constant()), options.pop("iteration", Iteration())
    return Stepper(net, optimizer, schedule, iteration=iteration, **options)


def quadratic(net, x):
    return {"a": net(x).square().mean(), "b": 0.5 * net(x).abs().mean()}


def test_accumulated_parts_equal_one_large_batch():
    torch.manual_seed(0)
    whole_net = nn.Linear(3, 2).double()
    parts_net = copy.deepcopy(whole_net)
    x = torch.randn(8, 3, dtype=torch.float64)
    whole, parts = stepper(whole_net), stepper(parts_net, accumulate=4)
    for _ in range(3):
        assert whole.minimise(quadratic(whole_net, x), ["k"])
        updated = [parts.minimise(quadratic(parts_net, part), ["k"]) for part in x.split(2)]
        assert updated == [False, False, False, True]
    torch.testing.assert_close(parts_net.weight, whole_net.weight, rtol=1e-12, atol=1e-12)
    assert parts.num_updates == whole.num_updates == 3


def test_clipping_bounds_the_joint_norm():
    net = nn.Linear(3, 2, bias=False)
    before = net.weight.detach().clone()
    clipped = stepper(net, grad_clip=1e-3)
    clipped.minimise({"a": 1e6 * net(torch.ones(1, 3)).sum()}, ["k"])
    assert (net.weight - before).norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_the_schedule_sets_the_rate_before_each_update():
    net = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(net.weight)
    iteration = Iteration()
    scheduled = stepper(net, schedule=MultiStepRestart(milestones=(1, 2), gamma=0.1), iteration=iteration)
    rates = []
    for iteration.number in range(3):
        before = net.weight.item()
        rates.append(scheduled.lr)
        scheduled.minimise({"a": net(torch.ones(1, 1, dtype=torch.float64)).sum()}, ["k"])
        assert before - net.weight.item() == pytest.approx(rates[-1])
    assert rates == pytest.approx([0.1, 0.01, 0.001])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_non_finite_term_is_named_and_changes_nothing(bad):
    net = nn.Linear(2, 1)
    before = copy.deepcopy(net.state_dict())
    step = stepper(net)
    with pytest.raises(NonFiniteLossError) as error:
        step.minimise({"pixel": net(torch.ones(1, 2)).sum(), "gan": torch.tensor(bad)}, ["img_7", "img_9"])
    for part in ("update 1", "learning rate 0.1", "'gan'", "img_7", "img_9", "grad_clip"):
        assert part in str(error.value)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_non_finite_gradients_of_a_finite_loss_change_nothing():
    net = nn.Linear(1, 1, bias=False)
    before = net.weight.detach().clone()
    output = net(torch.zeros(1, 1))
    with pytest.raises(NonFiniteLossError, match="non-finite gradients"):
        stepper(net, grad_clip=1.0).minimise({"a": output.square().sqrt().sum()}, ["k"])  # slope of sqrt at 0
    assert torch.equal(net.weight, before)


def test_an_update_beyond_the_range_of_numbers_says_the_learning_rate():
    net = nn.Linear(1, 1, bias=False)
    adam = OPTIMIZERS.build("Adam", {"lr": 1e38}, params=net.parameters())
    step = Stepper(net, adam, Constant(), iteration=Iteration())
    with pytest.raises(NonFiniteLossError, match=r"update 1 at learning rate 1e\+38 leaves the range"):
        step.minimise({"a": net(torch.ones(1, 1)).sum()}, ["k"])


def test_state_round_trip_continues_exactly():
    torch.manual_seed(0)
    net = nn.Linear(3, 2)

    def make(module):
        adam = OPTIMIZERS.build("Adam", {"lr": 0.01}, params=module.parameters())
        return Stepper(module, adam, Constant(), iteration=Iteration())

    first, x = make(net), torch.randn(6, 3)
    for _ in range(3):
        first.minimise(quadratic(net, x), ["k"])
    other = copy.deepcopy(net)
    second = make(other)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for _ in range(3):
        first.minimise(quadratic(net, x), ["k"])
        second.minimise(quadratic(other, x), ["k"])
    assert torch.equal(net.weight, other.weight)
    assert second.num_updates == 6


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_of_torch_takes_its_own_arguments_and_steps(name):
    assert "lr" in OPTIMIZERS.parameters(name)
    assert all("Tensor" not in str(parameter.annotation) for parameter in OPTIMIZERS.parameters(name).values())
    net = nn.Linear(3, 2)
    before = net.weight.detach().clone()
    optimizer = OPTIMIZERS.build(name, {"lr": 0.01}, params=net.parameters())
    Stepper(net, optimizer, Constant(), iteration=Iteration()).minimise(quadratic(net, torch.randn(4, 3)), ["k"])
    assert not torch.equal(before, net.weight)
