"""The plain recipe: one network, losses on its output."""

from typing import Any

from torch import Tensor, nn

from srzoo.losses.criterion import Criterion
from srzoo.optim.ema import EMA
from srzoo.optim.stepper import Stepper
from srzoo.ranks import unwrapped
from srzoo.registry import MODELS


@MODELS.register
class SRModel:
    """Minimise the sum of the losses of net_g(lq) against gt.

    Args:
        net_g: the network, (B, C, h, w) -> (B, C, scale*h, scale*w).
        criterion: (sr, gt) -> {name: weighted scalar}.
        step_g: what turns the terms into an update of `net_g`.
        ema: moving average of `net_g`, or None.
    """

    def __init__(self, *, net_g: nn.Module, criterion: Criterion, step_g: Stepper, ema: EMA | None) -> None:
        self.net_g = net_g
        self.criterion = criterion
        self.step_g = step_g
        self.ema = ema

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """One micro-batch forward and backward; an update with the last one of a batch. Returns the terms, detached."""
        lq, gt = batch["lq"], batch["gt"]
        self.net_g.train()
        with self.step_g.micro_batch():
            terms = self.criterion(self.net_g(lq), gt)
            updated = self.step_g.minimise(terms, batch["key"])
        if updated and self.ema is not None:
            self.ema.update(unwrapped(self.net_g))
        return {name: term.detach() for name, term in terms.items()}

    @property
    def inference_net(self) -> nn.Module:
        """The network to validate and to publish: the moving average where there is one."""
        return self.ema.module if self.ema is not None else unwrapped(self.net_g)

    @property
    def lr(self) -> float:
        """Learning rate of the coming update."""
        return self.step_g.lr

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes."""
        state = {"net_g": unwrapped(self.net_g).state_dict(), "step_g": self.step_g.state_dict()}
        return state | ({"net_g_ema": self.ema.module.state_dict()} if self.ema is not None else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` took.

        Raises:
            ValueError: the state belongs to another network, or only one of the two has a moving average.
        """
        if (self.ema is None) == ("net_g_ema" in state):
            raise ValueError(
                "train.ema_decay: the state was saved with a moving average and this run has none, or vice versa"
            )
        unwrapped(self.net_g).load_state_dict(state["net_g"])
        self.step_g.load_state_dict(state["step_g"])
        if self.ema is not None:
            self.ema.module.load_state_dict(state["net_g_ema"])
