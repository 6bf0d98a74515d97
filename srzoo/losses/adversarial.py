"""Adversarial losses over a discriminator's logits, for either player, and penalties on its gradients."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.registry import LOSSES, NonNegativeFloat


@LOSSES.register
class GANLoss(nn.Module):
    """What the generator or the discriminator minimises, from logits of any shape -> scalar.

    vanilla: Goodfellow et al., NIPS 2014 (cross entropy, non-saturating); lsgan: Mao et al., ICCV 2017; wgan: Arjovsky
    et al., ICML 2017; wgan_softplus: the logistic form of StyleGAN2 (Karras et al., CVPR 2020); hinge: Lim, Ye, 2017,
    arXiv:1705.02894. The entry's `weight` is the generator's.

    Args:
        gan_type: the kind of game.
        real_label: what the discriminator should say of true images (vanilla, lsgan).
        fake_label: what it should say of made ones (vanilla, lsgan).
        discriminator_weight: factor of the discriminator's loss.
        r1_weight: half this times the squared gradient at true images (Mescheder et al., ICML 2018); 0: none.
        gradient_penalty_weight: this times (gradient norm - 1)^2 between true and made images (Gulrajani et al., NIPS
            2017); 0: none.
    """

    takes = "logits"

    def __init__(
        self,
        *,
        gan_type: Literal["vanilla", "lsgan", "wgan", "wgan_softplus", "hinge"] = "vanilla",
        real_label: float = 1.0,
        fake_label: float = 0.0,
        discriminator_weight: NonNegativeFloat = 1.0,
        r1_weight: NonNegativeFloat = 0.0,
        gradient_penalty_weight: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.gan_type = gan_type
        self.real_label, self.fake_label = real_label, fake_label
        self.discriminator_weight = discriminator_weight
        self.r1_weight, self.gradient_penalty_weight = r1_weight, gradient_penalty_weight

    def generator(self, fake: Tensor) -> Tensor:
        """The generator's loss from the logits of its images."""
        if self.gan_type in ("wgan", "hinge"):
            return -fake.mean()
        if self.gan_type == "wgan_softplus":
            return F.softplus(-fake).mean()
        return self._against(fake, self.real_label)

    def discriminator(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The discriminator's weighted losses (on true images, on made ones)."""
        if self.gan_type == "wgan":
            losses = -real.mean(), fake.mean()
        elif self.gan_type == "wgan_softplus":
            losses = F.softplus(-real).mean(), F.softplus(fake).mean()
        elif self.gan_type == "hinge":
            losses = F.relu(1 - real).mean(), F.relu(1 + fake).mean()
        else:
            losses = self._against(real, self.real_label), self._against(fake, self.fake_label)
        return self.discriminator_weight * losses[0], self.discriminator_weight * losses[1]

    def _against(self, logits: Tensor, label: float) -> Tensor:
        target = torch.full_like(logits, label)
        if self.gan_type == "lsgan":
            return F.mse_loss(logits, target)
        return F.binary_cross_entropy_with_logits(logits, target)


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Half the squared 2-norm of the logits' gradient with respect to true images, averaged over the batch."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """(2-norm of the logits' gradient - 1)^2 at random points between true and made images, averaged over the batch.

    One uniform number per image, from PyTorch's global generator.
    """
    share = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
