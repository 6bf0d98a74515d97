"""The adversarial recipe: a generator and a discriminator in turns.

Wang et al., "ESRGAN", ECCVW 2018, arXiv:1809.00219; sharpened ground truth per term as in Real-ESRGAN (ICCVW 2021,
arXiv:2107.10833, section 4.1). Written from the papers.
"""

from typing import Any

from torch import Tensor, nn

from srzoo.losses.adversarial import GANLoss, gradient_penalty, r1_penalty
from srzoo.losses.criterion import Criterion
from srzoo.losses.perceptual import PerceptualLoss
from srzoo.models.state import load_net_state, net_state
from srzoo.ops.sharpen import usm_sharpen
from srzoo.optim.ema import EMA
from srzoo.optim.stepper import Stepper
from srzoo.ranks import unwrapped
from srzoo.registry import MODELS, NonNegativeInt, PositiveInt


@MODELS.register
class GANModel:
    """Train net_g on its losses plus the discriminator's verdict, then net_d to tell net_g's images from true ones.

    Args:
        net_g: the generator, (B, C, h, w) -> (B, C, scale*h, scale*w).
        net_d: the discriminator, (B, C, H, W) -> logits.
        criterion: losses on `sr` and one GANLoss, whose weight is the generator's.
        step_g: what updates `net_g`.
        step_d: what updates `net_d`.
        ema: moving average of `net_g`, or None.
        l1_gt_usm: sharpen gt for the losses that compare images.
        percep_gt_usm: sharpen gt for PerceptualLoss.
        gan_gt_usm: sharpen the true images that the discriminator sees.
        net_d_iters: updates of the discriminator per update of the generator.
        net_d_init_iters: updates that the discriminator has to itself at the start.
    """

    def __init__(
        self,
        *,
        net_g: nn.Module,
        net_d: nn.Module | None,
        criterion: Criterion,
        step_g: Stepper,
        step_d: Stepper | None,
        ema: EMA | None,
        l1_gt_usm: bool = False,
        percep_gt_usm: bool = False,
        gan_gt_usm: bool = False,
        net_d_iters: PositiveInt = 1,
        net_d_init_iters: NonNegativeInt = 0,
    ) -> None:
        if net_d is None or step_d is None:
            raise ValueError("model.type GANModel needs a discriminator: add network_d and train.optim_d")
        criterion.only("sr", "logits", model="GANModel")
        adversarial = criterion.of("logits")
        if len(adversarial) != 1:
            raise ValueError(f"train.losses: GANModel needs exactly one GANLoss, got {len(adversarial)}")
        loss = adversarial.losses[0]
        assert isinstance(loss, GANLoss)
        self.gan, self.gan_name, self.gan_weight = loss, adversarial.names[0], adversarial.weights[0]
        images = criterion.of("sr")
        self.on_images = images.where(lambda loss: not isinstance(loss, PerceptualLoss))
        self.on_features = images.where(lambda loss: isinstance(loss, PerceptualLoss))
        self.net_g, self.net_d, self.step_g, self.step_d, self.ema = net_g, net_d, step_g, step_d, ema
        self.l1_gt_usm, self.percep_gt_usm, self.gan_gt_usm = l1_gt_usm, percep_gt_usm, gan_gt_usm
        self.net_d_iters, self.net_d_init_iters = net_d_iters, net_d_init_iters

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """One micro-batch of both players; updates with the last one of a batch. Returns the terms, detached."""
        lq, gt, keys = batch["lq"], batch["gt"], batch["key"]
        sharp = usm_sharpen(gt) if self.l1_gt_usm or self.percep_gt_usm or self.gan_gt_usm else gt
        # The discriminator is updated every time: its steps count the iterations.
        iteration = self.step_d.step
        terms: dict[str, Tensor] = {}
        self.net_g.train()
        self.net_d.train()
        if iteration % self.net_d_iters == 0 and iteration >= self.net_d_init_iters:
            sr, terms = self._generator(lq, gt, sharp, keys)
        else:
            sr = self.net_g(lq).detach()
        terms |= self._discriminator(sr, sharp if self.gan_gt_usm else gt, keys)
        return {name: term.detach() for name, term in terms.items()}

    def _generator(self, lq: Tensor, gt: Tensor, sharp: Tensor, keys: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        self.net_d.requires_grad_(requires_grad=False)
        with self.step_g.micro_batch():
            sr = self.net_g(lq)
            terms = self.on_images(sr, sharp if self.l1_gt_usm else gt)
            terms |= self.on_features(sr, sharp if self.percep_gt_usm else gt)
            # Unwrapped: no gradient of the discriminator is to be exchanged.
            terms[self.gan_name] = self.gan_weight * self.gan.generator(unwrapped(self.net_d)(sr))
            updated = self.step_g.minimise(terms, keys)
        self.net_d.requires_grad_(requires_grad=True)
        if updated and self.ema is not None:
            self.ema.update(unwrapped(self.net_g))
        return sr.detach(), terms

    def _discriminator(self, sr: Tensor, real: Tensor, keys: list[str]) -> dict[str, Tensor]:
        with self.step_d.micro_batch():
            on_real, on_fake = self.gan.discriminator(self.net_d(real), self.net_d(sr))
            terms = {"d_real": on_real, "d_fake": on_fake}
            if self.gan.r1_weight:
                terms["d_r1"] = self.gan.r1_weight * r1_penalty(self.net_d, real)
            if self.gan.gradient_penalty_weight:
                penalty = gradient_penalty(self.net_d, real, sr)
                terms["d_gp"] = self.gan.gradient_penalty_weight * penalty
            self.step_d.minimise(terms, keys)
        return terms

    @property
    def inference_net(self) -> nn.Module:
        """The network to validate and to publish: the moving average where there is one."""
        return self.ema.module if self.ema is not None else unwrapped(self.net_g)

    @property
    def lr(self) -> float:
        """Learning rate of the generator's coming update."""
        return self.step_g.lr

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes, the discriminator and its optimiser included."""
        return net_state(self.net_g, self.ema) | {
            "net_d": unwrapped(self.net_d).state_dict(),
            "step_g": self.step_g.state_dict(),
            "step_d": self.step_d.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` took.

        Raises:
            ValueError: the state belongs to another network, or only one of the two has a moving average.
        """
        load_net_state(state, self.net_g, self.ema)
        unwrapped(self.net_d).load_state_dict(state["net_d"])
        self.step_g.load_state_dict(state["step_g"])
        self.step_d.load_state_dict(state["step_d"])
