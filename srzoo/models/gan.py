"""The adversarial recipe: a generator and a discriminator, updated in turn.

Wang et al., "ESRGAN", ECCVW 2018, arXiv:1809.00219; sharpened ground truth per loss as in Wang et al., "Real-ESRGAN",
ICCVW 2021, arXiv:2107.10833, section 4.1. Written from the papers.
"""

import torch
from torch import Tensor

from srzoo.batch import Batch, StateDict, Terms, detached
from srzoo.losses.adversarial import GANLoss, gradient_penalty, r1_penalty
from srzoo.losses.criterion import Criterion
from srzoo.losses.perceptual import PerceptualLoss
from srzoo.ops.sharpen import usm_sharpen
from srzoo.optim.learner import Learner
from srzoo.registry import MODELS, NonNegativeInt, PositiveInt


@MODELS.register
class GANModel:
    """A generator trained on its losses and the discriminator's logits; a discriminator of real and generated images.

    Args:
        g: the generator, (B, C, h, w) -> (B, C, scale*h, scale*w).
        d: the discriminator, (B, C, H, W) -> logits; updated in every iteration.
        criterion: losses on `sr` and one GANLoss, whose weight is the generator's.
        l1_gt_usm: sharpen gt for losses on pixels (all but PerceptualLoss).
        percep_gt_usm: sharpen gt for PerceptualLoss.
        gan_gt_usm: sharpen the real images that the discriminator sees.
        net_d_iters: the generator is updated in every n-th iteration [updates].
        net_d_init_iters: iterations at the start in which only the discriminator is updated [updates].
    """

    def __init__(
        self,
        *,
        g: Learner,
        d: Learner | None,
        criterion: Criterion,
        l1_gt_usm: bool = False,
        percep_gt_usm: bool = False,
        gan_gt_usm: bool = False,
        net_d_iters: PositiveInt = 1,
        net_d_init_iters: NonNegativeInt = 0,
    ) -> None:
        if d is None:
            raise ValueError("model.type GANModel needs a discriminator: add network_d and train.optim_d")
        criterion.only("sr", "logits", model="GANModel")
        adversarial = criterion.of("logits")
        if len(adversarial) != 1:
            raise ValueError(f"train.losses: GANModel needs exactly one GANLoss, got {len(adversarial)}")
        loss = adversarial.losses[0]
        assert isinstance(loss, GANLoss)
        self.gan, self.gan_name, self.gan_weight = loss, adversarial.names[0], adversarial.weights[0]
        on_images = criterion.of("sr")
        self.on_pixels = on_images.where(lambda loss: not isinstance(loss, PerceptualLoss))
        self.on_features = on_images.where(lambda loss: isinstance(loss, PerceptualLoss))
        self.g, self.d = g, d
        self.l1_gt_usm, self.percep_gt_usm, self.gan_gt_usm = l1_gt_usm, percep_gt_usm, gan_gt_usm
        self.net_d_iters, self.net_d_init_iters = net_d_iters, net_d_init_iters

    def training_step(self, batch: Batch) -> Terms:
        """Learn from one micro-batch, the generator first; weights change with the last one of an update."""
        lq, gt, keys = batch["lq"], batch["gt"], batch["key"]
        sharp = usm_sharpen(gt) if self.l1_gt_usm or self.percep_gt_usm or self.gan_gt_usm else gt
        iteration = self.g.iteration.number
        if iteration >= self.net_d_init_iters and iteration % self.net_d_iters == 0:
            sr, terms = self._train_generator(lq, gt, sharp, keys)
        else:
            with self.g.micro_batch(), torch.no_grad():
                sr, terms = self.g.net(lq), {}
        terms |= self._train_discriminator(sr, sharp if self.gan_gt_usm else gt, keys)
        return detached(terms)

    def _train_generator(self, lq: Tensor, gt: Tensor, sharp: Tensor, keys: list[str]) -> tuple[Tensor, Terms]:
        with self.g.micro_batch(), self.d.frozen():
            sr = self.g.net(lq)
            terms = self.on_pixels(sr, sharp if self.l1_gt_usm else gt)
            terms |= self.on_features(sr, sharp if self.percep_gt_usm else gt)
            # Without its wrapper: ranks must not wait for gradients of the discriminator here.
            terms[self.gan_name] = self.gan_weight * self.gan.generator(self.d.module(sr))
            self.g.minimise(terms, keys)
        return sr.detach(), terms

    def _train_discriminator(self, sr: Tensor, real: Tensor, keys: list[str]) -> Terms:
        with self.d.micro_batch():
            on_real, on_fake = self.gan.discriminator(self.d.net(real), self.d.net(sr))
            terms = {"d_real": on_real, "d_fake": on_fake}
            if self.gan.r1_weight:
                terms["d_r1"] = self.gan.r1_weight * r1_penalty(self.d.net, real)
            if self.gan.gradient_penalty_weight:
                terms["d_gp"] = self.gan.gradient_penalty_weight * gradient_penalty(self.d.net, real, sr)
            self.d.minimise(terms, keys)
        return terms

    def state_dict(self) -> StateDict:
        """Return everything that training changes in both networks."""
        return self.g.state_dict() | self.d.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Restore a state; errors as in :meth:`Learner.load_state_dict`."""
        self.g.load_state_dict(state)
        self.d.load_state_dict(state)
