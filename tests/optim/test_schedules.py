"""Learning rates against BasicSR's sequences and PyTorch's schedulers."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srzoo.optim.schedules import Constant, CosineRestart, MultiStepRestart, WarmUp
from tests.support import SHARED, needs_shared

BASICSR = {
    "multistep": MultiStepRestart(milestones=(5, 10, 15), gamma=0.5),
    "multistep_restart": MultiStepRestart(milestones=(3, 12), gamma=0.5, restarts=(8,), restart_weights=(0.5,)),
    "cosine": CosineRestart(periods=(10, 10), restart_weights=(1.0, 0.5), eta_min=1e-7),
}


@needs_shared
@pytest.mark.parametrize("name", BASICSR)
def test_sequences_are_basicsrs(name):
    expected = json.loads((SHARED / "reference" / "numbers.json").read_text())["lr"][name]
    assert [BASICSR[name](2e-4, step) for step in range(20)] == pytest.approx(expected, rel=1e-12)


@given(milestones=st.lists(st.integers(1, 40), max_size=4), gamma=st.floats(0.1, 0.9))
def test_without_restarts_it_is_pytorchs_multistep(milestones, gamma):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma)
    ours = MultiStepRestart(milestones=tuple(milestones), gamma=gamma)
    for step in range(45):
        assert ours(0.1, step) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_one_period_is_pytorchs_cosine():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30, eta_min=1e-3)
    ours = CosineRestart(periods=(30,), eta_min=1e-3)
    for step in range(31):
        assert ours(0.1, step) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert ours(0.1, 1000) == pytest.approx(1e-3)


def test_a_restart_begins_again_from_its_weight():
    schedule = MultiStepRestart(milestones=(2, 7), gamma=0.1, restarts=(5,), restart_weights=(0.5,))
    assert [schedule(1.0, step) for step in (0, 2, 4, 5, 6, 7)] == pytest.approx([1, 0.1, 0.1, 0.5, 0.5, 0.05])


def test_a_milestone_at_a_restart_does_not_count():
    """BasicSR's MultiStepRestartLR looks for a restart first, and then for milestones after it only."""
    schedule = MultiStepRestart(milestones=(2, 5, 7), gamma=0.1, restarts=(5,), restart_weights=(0.5,))
    assert [schedule(1.0, step) for step in (2, 4, 5, 6, 7)] == pytest.approx([0.1, 0.1, 0.5, 0.5, 0.05])


def test_warm_up_rises_to_the_schedule():
    warm = WarmUp(MultiStepRestart(milestones=(6,), gamma=0.5), 4)
    assert [warm(1.0, step) for step in range(8)] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.5, 0.5])
    assert WarmUp(Constant(), 0)(0.3, 0) == 0.3


@pytest.mark.parametrize(
    "make",
    [
        lambda: MultiStepRestart(milestones=(1,), restarts=(1, 2), restart_weights=(1.0,)),
        lambda: CosineRestart(periods=(1, 2), restart_weights=(1.0,)),
        lambda: CosineRestart(periods=()),
    ],
)
def test_unequal_lists_are_refused(make):
    with pytest.raises(ValueError, match="equally long"):
        make()
