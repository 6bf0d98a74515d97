"""The check that losses and gradients are finite."""

import copy
import weakref

import pytest
import torch
from torch import nn

from srzoo.optim.finite import FiniteCheck, Moment, NonFiniteLossError
from srzoo.optim.schedules import Constant, Iteration
from srzoo.optim.stepper import Stepper

NAN = float("nan")


def updates(finite: FiniteCheck, terms: list[float]) -> nn.Module:
    """Train a weight on a factor per update and return its network."""
    net, iteration = nn.Linear(1, 1, bias=False), Iteration()
    step = Stepper(net, torch.optim.SGD(net.parameters(), 0.1), Constant(), iteration=iteration, finite=finite)
    for number, factor in enumerate(terms):
        step.minimise({"pixel": factor * net(torch.ones(1, 1)).sum()}, [f"image_{number}"])
        iteration.number += 1
    return net


def test_a_deferred_check_waits_and_then_names_the_first_update():
    finite = FiniteCheck(deferred=True)
    updates(finite, [1.0, NAN, 1.0])
    with pytest.raises(NonFiniteLossError) as error:
        finite.verify()
    for part in ("update 2 ", "'pixel': nan", "image_1", "Nothing was saved after it"):
        assert part in str(error.value)
    assert "image_2" not in str(error.value)


def test_a_deferred_check_keeps_no_number_that_it_has_seen():
    finite, norm = FiniteCheck(deferred=True), torch.tensor(1.0)
    seen = weakref.ref(norm)
    finite.gradients(norm, Moment(6, 0.1))
    del norm
    finite.verify()
    assert seen() is None
    finite.gradients(torch.tensor(NAN), Moment(7, 0.1))
    with pytest.raises(NonFiniteLossError, match=r"non-finite gradients .* in update 7 "):
        finite.verify()


def test_deferred_and_immediate_checks_train_alike():
    weights = []
    for deferred in (False, True):
        torch.manual_seed(0)
        weights.append(copy.deepcopy(updates(FiniteCheck(deferred=deferred), [1.0, -2.0, 0.5]).state_dict()))
    assert torch.equal(weights[0]["weight"], weights[1]["weight"])


def test_numbers_do_not_wait_without_end():
    with pytest.raises(NonFiniteLossError, match="update 1 "):
        updates(FiniteCheck(deferred=True), [NAN] + [1.0] * 300)
