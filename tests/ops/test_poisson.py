"""Poisson sampling by the alias table against the closed form of the distribution."""

import math

import torch

from srzoo.ops.poisson import poisson


def test_samples_are_a_function_of_the_seed():
    levels = torch.full((3, 50, 60), 128, dtype=torch.int32)
    first = poisson(levels, 0.5, seed=1)
    assert torch.equal(first, poisson(levels, 0.5, seed=1))
    assert not torch.equal(first, poisson(levels, 0.5, seed=2))


def test_shares_mean_and_variance_are_those_of_the_rate():
    count, rate = 400_000, 100 * 0.03
    samples = poisson(torch.full((count,), 100, dtype=torch.int32), 0.03, seed=0).double()
    assert abs(samples.mean().item() - rate) < 5 * math.sqrt(rate / count)
    assert abs(samples.var().item() / rate - 1) < 0.01
    for number in range(6):
        share = math.exp(-rate) * rate**number / math.factorial(number)
        assert abs((samples == number).double().mean().item() - share) < 5 * math.sqrt(share / count)


def test_each_level_has_its_rate_and_level_0_gives_0():
    levels = torch.tensor([0, 1, 50, 255], dtype=torch.int32).view(4, 1).expand(4, 100_000)
    means = poisson(levels, 0.2, seed=3).double().mean(1)
    assert means[0] == 0
    torch.testing.assert_close(means, 0.2 * levels[:, 0].double(), rtol=0.03, atol=0)
