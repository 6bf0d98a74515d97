"""Losses: shared facts of all, hand-computed values of each."""

import pytest
import torch
from torch import nn

from srzoo.losses.criterion import Criterion
from srzoo.losses.pixel import charbonnier, l1, mse
from srzoo.registry import LOSSES


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_shared_facts_of_every_loss(name):
    loss = LOSSES.build(name, {})
    generator = torch.Generator().manual_seed(0)
    sr, gt = (torch.rand(2, 3, 6, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    value = loss(sr, gt)
    assert value.ndim == 0
    assert torch.isfinite(value)
    assert loss(gt, gt) < value
    assert torch.autograd.gradcheck(lambda x: loss(x, gt), (sr.requires_grad_(),))
    with pytest.raises(ValueError, match="one shape"):
        loss(sr, gt[:, :1])


def test_values_by_hand():
    sr, gt = torch.tensor([[[[0.0, 3.0]]]]), torch.tensor([[[[4.0, 3.0]]]])
    assert l1(sr, gt).item() == 2
    assert mse(sr, gt).item() == 8
    assert charbonnier(sr, gt, eps=3.0).item() == pytest.approx((5 + 3) / 2)


def test_criterion_weighs_and_names_its_terms():
    criterion = Criterion({"a": LOSSES.build("L1Loss", {}), "b": LOSSES.build("MSELoss", {})}, {"a": 0.5, "b": 2.0})
    terms = criterion(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 3.0))
    assert {name: term.item() for name, term in terms.items()} == {"a": 1.5, "b": 18.0}


def test_torch_agrees():
    generator = torch.Generator().manual_seed(1)
    sr, gt = (torch.rand(2, 3, 8, 8, generator=generator) for _ in range(2))
    torch.testing.assert_close(l1(sr, gt), nn.functional.l1_loss(sr, gt))
    torch.testing.assert_close(mse(sr, gt), nn.functional.mse_loss(sr, gt))
