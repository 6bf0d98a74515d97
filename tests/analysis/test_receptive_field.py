"""Effective receptive fields, and the theoretical radius that each network states."""

import numpy as np
import pytest
import torch

from srzoo.analysis.receptive_field import effective_receptive_field, radius_of_share
from srzoo.contract import contract_of
from srzoo.registry import ARCHS
from tests.archs.test_all import build


def side_for(net):
    """Return a side whose centre sees its whole receptive field, and more; networks pad nothing inside."""
    contract = contract_of(net)
    side = 2 * (contract.receptive_radius or 12) + 9
    return side + -side % contract.multiple_of


@pytest.mark.parametrize("name", list(ARCHS))
def test_nothing_is_measured_beyond_the_radius_of_the_contract(name):
    net = build(name)
    side = side_for(net)
    found = effective_receptive_field(net, torch.rand(1, 3, side, side), side=side)
    radius = contract_of(net).receptive_radius
    assert found.receptive_radius == radius
    assert found.field.sum() == pytest.approx(1)
    assert 0 <= found.radius_90 <= found.radius_99 <= found.support_radius
    if radius is not None:
        assert found.support_radius <= radius
        assert not found.is_cut_off


class Blurred(torch.nn.Module):
    """A network whose field is known: a box of 5 x 5, enlarged by repetition."""

    receptive_radius = 2

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lq):
        blurred = torch.nn.functional.avg_pool2d(lq, 5, 1, 2)
        return torch.nn.functional.interpolate(blurred, scale_factor=self.scale, mode="nearest")


@pytest.mark.parametrize("side", [12, 13])
def test_a_known_field_is_found(side):
    ARCHS.register(Blurred)
    net = ARCHS.build("Blurred", {}, scale=3)
    found = effective_receptive_field(net, torch.rand(2, 3, 16, 20), side=side)
    expected = np.zeros((13, 13))
    expected[4:9, 4:9] = 1 / 25
    np.testing.assert_allclose(found.field, expected, atol=1e-7)
    assert (found.radius_90, found.radius_99, found.support_radius, found.num_images) == (2, 2, 2, 2)
    with pytest.raises(ValueError, match="at least 18x18 pixels"):
        effective_receptive_field(net, torch.rand(1, 3, 16, 20), side=18)


def test_radii_hold_the_share_that_they_name():
    field = np.zeros((11, 11))
    field[5, 5], field[5, 7], field[0, 0] = 0.9, 0.08, 0.02
    assert [radius_of_share(field, share) for share in (0.5, 0.9, 0.95, 0.99, 1.0)] == [0, 0, 2, 5, 5]


def test_an_unbounded_network_says_that_its_field_is_cut_off():
    found = effective_receptive_field(build("IMDN"), torch.rand(1, 3, 16, 16), side=16)
    assert found.receptive_radius is None
    assert found.is_cut_off
