"""Adversarial losses: their formulas, the sign of their gradients, and penalties in closed form."""

import math

import pytest
import torch
from torch import nn

from srzoo.losses.adversarial import gradient_penalty, r1_penalty
from srzoo.registry import LOSSES

KINDS = ["vanilla", "lsgan", "wgan", "wgan_softplus", "hinge"]
X = 0.7
# (generator, discriminator on real images, discriminator on generated images) at logits of X.
VALUES = {
    "vanilla": (math.log1p(math.exp(-X)), math.log1p(math.exp(-X)), math.log1p(math.exp(X))),
    "lsgan": ((X - 1) ** 2, (X - 1) ** 2, X**2),
    "wgan": (-X, -X, X),
    "wgan_softplus": (math.log1p(math.exp(-X)), math.log1p(math.exp(-X)), math.log1p(math.exp(X))),
    "hinge": (-X, 1 - X, 1 + X),
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_the_formulas(kind):
    loss, logits = LOSSES.build("GANLoss", {"gan_type": kind, "discriminator_weight": 2.0}), torch.full((2, 1, 3, 3), X)
    generator, real, fake = VALUES[kind]
    assert loss.generator(logits).item() == pytest.approx(generator, rel=1e-6)
    assert [term.item() for term in loss.discriminator(logits, logits)] == pytest.approx([2 * real, 2 * fake], rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_generator_and_discriminator_pull_in_opposite_directions(kind):
    loss = LOSSES.build("GANLoss", {"gan_type": kind})
    logits = torch.linspace(-0.9, 0.9, 6, dtype=torch.float64).requires_grad_()
    (ours,) = torch.autograd.grad(loss.generator(logits), logits)
    (real,) = torch.autograd.grad(loss.discriminator(logits, logits.detach())[0], logits)
    (fake,) = torch.autograd.grad(loss.discriminator(logits.detach(), logits)[1], logits)
    assert (ours < 0).all(), "the generator wants higher logits for its images"
    assert (real < 0).all()
    assert (fake > 0).all() or kind == "lsgan"
    assert torch.autograd.gradcheck(loss.generator, (logits,))


def test_labels_can_be_softened():
    loss = LOSSES.build("GANLoss", {"gan_type": "lsgan", "real_label": 0.9, "fake_label": 0.1})
    real, fake = loss.discriminator(torch.tensor([0.9]), torch.tensor([0.1]))
    assert (real.item(), fake.item()) == (0.0, 0.0)
    assert loss.generator(torch.tensor([0.9])).item() == 0.0
    vanilla = LOSSES.build("GANLoss", {"real_label": 0.9, "fake_label": 0.2})
    logits = torch.tensor([X])

    def entropy(label: float) -> float:
        return label * math.log1p(math.exp(-X)) + (1 - label) * math.log1p(math.exp(X))

    terms = [vanilla.generator(logits), *vanilla.discriminator(logits, logits)]
    assert [term.item() for term in terms] == pytest.approx([entropy(0.9), entropy(0.9), entropy(0.2)])


@pytest.mark.parametrize("kind", KINDS)
def test_each_term_of_the_discriminator_sees_its_images(kind):
    loss, other = LOSSES.build("GANLoss", {"gan_type": kind}), torch.tensor([-0.4])
    first, second = loss.discriminator(torch.tensor([X]), other), loss.discriminator(other, torch.tensor([X]))
    assert first[0].item() == pytest.approx(VALUES[kind][1], rel=1e-6)
    assert second[1].item() == pytest.approx(VALUES[kind][2], rel=1e-6)


def test_penalties_of_a_linear_discriminator_are_known():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 1)).double()
    weight = next(net.parameters())
    real, fake = torch.rand(5, 3, 2, 2, dtype=torch.float64), torch.rand(5, 3, 2, 2, dtype=torch.float64)
    assert r1_penalty(net, real).item() == pytest.approx(float(weight.detach().square().sum()) / 2)
    norm = float(weight.detach().norm())
    assert gradient_penalty(net, real, fake).item() == pytest.approx((norm - 1) ** 2)
    gradient_penalty(net, real, fake).backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_gradient_penalty_interpolates_each_image_with_one_number():
    real, fake = (torch.rand(4, 3, 2, 2, dtype=torch.float64) for _ in range(2))

    def half_square(image: torch.Tensor) -> torch.Tensor:
        """Return logits whose gradient is the image."""
        return image.square().flatten(1).sum(1) / 2

    torch.manual_seed(5)
    fraction = torch.rand(4, 1, 1, 1, dtype=torch.float64)
    expected = ((fraction * real + (1 - fraction) * fake).flatten(1).norm(dim=1) - 1).square().mean()
    torch.manual_seed(5)
    torch.testing.assert_close(gradient_penalty(half_square, real, fake), expected)
