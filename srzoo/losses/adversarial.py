"""Adversarial losses over a discriminator's logits, for generator and discriminator, and gradient penalties."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.registry import LOSSES, NonNegativeFloat


@LOSSES.register
class GANLoss(nn.Module):
    """Adversarial loss of the generator or the discriminator over logits of any shape -> scalar.

    vanilla: Goodfellow et al., NIPS 2014 (cross entropy, non-saturating); lsgan: Mao et al., ICCV 2017; wgan: Arjovsky
    et al., ICML 2017; wgan_softplus: the logistic form of StyleGAN2 (Karras et al., CVPR 2020); hinge: Lim, Ye, 2017,
    arXiv:1705.02894. The `weight` of the option entry applies to the generator's loss only.

    Args:
        gan_type: formula of the loss.
        real_label: discriminator's target for real images (vanilla, lsgan).
        fake_label: discriminator's target for generated images (vanilla, lsgan).
        discriminator_weight: factor of the discriminator's loss.
        r1_weight: gamma of the R1 penalty, gamma / 2 times the squared gradient at real images (Mescheder et al., ICML
            2018); 0: no penalty.
        gradient_penalty_weight: factor of (gradient norm - 1)^2 between real and generated images (Gulrajani et al.,
            NIPS 2017); 0: no penalty.
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
        """Compute the generator's loss from the logits of generated images."""
        if self.gan_type in ("wgan", "hinge"):
            return -fake.mean()
        if self.gan_type == "wgan_softplus":
            return F.softplus(-fake).mean()
        # Non-saturating: the generator wants its images classified as real.
        return self._label_loss(fake, self.real_label)

    def discriminator(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the discriminator's weighted losses (on real images, on generated images)."""
        if self.gan_type == "wgan":
            losses = -real.mean(), fake.mean()
        elif self.gan_type == "wgan_softplus":
            losses = F.softplus(-real).mean(), F.softplus(fake).mean()
        elif self.gan_type == "hinge":
            losses = F.relu(1 - real).mean(), F.relu(1 + fake).mean()
        else:
            losses = self._label_loss(real, self.real_label), self._label_loss(fake, self.fake_label)
        return self.discriminator_weight * losses[0], self.discriminator_weight * losses[1]

    def _label_loss(self, logits: Tensor, label: float) -> Tensor:
        """Compare logits with a constant label: squared error (lsgan) or cross entropy (vanilla)."""
        target = torch.full_like(logits, label)
        if self.gan_type == "lsgan":
            return F.mse_loss(logits, target)
        return F.binary_cross_entropy_with_logits(logits, target)


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Compute half the squared 2-norm of the logits' gradient at real images, averaged over the batch -> scalar.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018, arXiv:1801.04406, R1.

    Args:
        discriminator: images (B, C, H, W) -> logits of any shape.
        real: (B, C, H, W).
    """
    real = real.detach().requires_grad_()
    # Images do not influence each other's logits: the gradient of the sum is each image's gradient.
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2  # (B, C * H * W) -> (B,) -> scalar


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Compute (2-norm of the logits' gradient - 1)^2 between real and generated images, averaged over the batch.

    Gulrajani et al., "Improved Training of Wasserstein GANs", NIPS 2017, arXiv:1704.00028, equation 3. Each image is
    interpolated with one uniform number from PyTorch's global generator.

    Args:
        discriminator: images (B, C, H, W) -> logits of any shape.
        real: (B, C, H, W).
        fake: (B, C, H, W).
    """
    fraction = torch.rand(len(real), 1, 1, 1, dtype=real.dtype, device=real.device)
    between = (fraction * real.detach() + (1 - fraction) * fake.detach()).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
    # (B, C * H * W) -> (B,) -> scalar
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
