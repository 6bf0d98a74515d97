"""D2C-SR's divergence loss against published values and its definition."""

import json

import numpy as np
import pytest
import torch

from srzoo.losses.divergence import divergence, standardised
from srzoo.registry import LOSSES
from tests.support import SHARED, needs_shared


def rand(seed, shape=(2, 3, 32, 32)):
    return torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))


def published_leaves():
    gt = rand(60)
    return torch.stack([gt + 0.3 * (rand(61 + leaf) - 0.5) * (1 + leaf) for leaf in range(4)], 1), gt


@needs_shared
def test_values_match_the_published_ones():
    index = json.loads((SHARED / "reference" / "index.json").read_text())["d2c_triplet"]
    leaves, gt = published_leaves()
    assert LOSSES.build("DivergenceLoss", {})(leaves, gt).item() == pytest.approx(index["value"], abs=1e-6)
    wide = LOSSES.build("DivergenceLoss", {"sibling_margin": 0.5, "margin": 1.0})(leaves, gt)
    assert wide.item() == pytest.approx(index["value_margins_05_10"], abs=1e-6)


def test_the_paper_has_gradients_and_the_release_has_none():
    leaves, gt = published_leaves()
    values = []
    for mode in ("paper", "released"):
        leaves = leaves.detach().requires_grad_()
        value = LOSSES.build("DivergenceLoss", {"mode": mode})(leaves, gt)
        assert value.requires_grad == (mode == "paper")
        values.append(value.item())
    assert values[0] == values[1]


def test_gradcheck():
    torch.manual_seed(0)
    leaves = torch.rand(1, 4, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    gt = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: divergence(x, gt, (2.0, 5.0), 2, 0.8), (leaves,))


@pytest.mark.parametrize(("count", "siblings"), [(2, 2), (3, 3), (6, 3), (6, 2)])
def test_any_tree_is_the_mean_over_ordered_pairs(count, siblings):
    torch.manual_seed(0)
    leaves, gt = torch.rand(2, count, 3, 8, 8), torch.rand(2, 3, 8, 8)
    target = standardised(gt)
    total = 0.0
    for i in range(count):
        for j in range(count):
            if i == j:
                continue
            own, other = ((standardised(leaves[:, leaf]) - target).abs() for leaf in (i, j))
            same_parent = i // siblings == j // siblings
            hinge = own.pow(2).mean() - (own - other).pow(2).mean() + (0.1 if same_parent else 0.4)
            total += (0.8 if same_parent else 1.0) * max(0.0, float(hinge))
    found = divergence(leaves, gt, (0.1, 0.4), siblings, 0.8)
    assert found.item() == pytest.approx(total / (count * (count - 1)), rel=1e-5)


def test_wrong_shapes_are_refused():
    loss, gt = LOSSES.build("DivergenceLoss", {}), torch.rand(1, 3, 8, 8)
    with pytest.raises(ValueError, match="leaves must be"):
        loss(gt, gt)
    with pytest.raises(ValueError, match="expected at least 2 leaves in groups of 2 siblings, got 3"):
        loss(torch.rand(1, 3, 3, 8, 8), gt)


def test_options_reach_the_formula():
    torch.manual_seed(0)
    leaves, gt = torch.rand(2, 6, 3, 8, 8), torch.rand(2, 3, 8, 8)
    options = {"sibling_margin": 0.1, "margin": 0.4, "sibling_factor": 0.3, "siblings": 3}
    expected = divergence(leaves, gt, (0.1, 0.4), 3, 0.3)
    assert torch.equal(LOSSES.build("DivergenceLoss", options)(leaves, gt), expected)
    # Each option changes the value, so that none is ignored.
    for name, default in (("sibling_margin", 2e-5), ("margin", 5e-5), ("sibling_factor", 0.8), ("siblings", 2)):
        other = LOSSES.build("DivergenceLoss", {**options, name: default})(leaves, gt)
        assert abs((other - expected).item()) > 1e-3, name


def test_a_single_leaf_is_refused():
    with pytest.raises(ValueError, match="expected at least 2 leaves in groups of 1 siblings, got 1"):
        LOSSES.build("DivergenceLoss", {"siblings": 1})(torch.rand(1, 1, 3, 8, 8), torch.rand(1, 3, 8, 8))


def test_pairs_beyond_the_margin_contribute_nothing():
    gt = rand(0, (1, 3, 16, 16))
    change = 0.2 * (rand(1, (1, 3, 16, 16)) - 0.5)
    far = torch.stack([gt, gt + change], 1)
    own = [(standardised(leaf) - standardised(gt)).abs() for leaf in far.unbind(1)]
    hinge = float(own[1].square().mean() - (own[1] - own[0]).square().mean())
    # Leaf 0 equals gt: its term is -mean(d_1^2), clipped to 0. Leaf 1 is as far from gt as from leaf 0.
    assert hinge == pytest.approx(0, abs=1e-7)
    assert divergence(far, gt, (0.0, 0.0), 2, 1.0).item() == pytest.approx(0, abs=1e-6)
