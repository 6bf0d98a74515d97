"""The plain recipe: one network, losses on its output."""

from typing import Any

from torch import Tensor, nn

from srzoo.contract import contract_of
from srzoo.losses.criterion import Criterion
from srzoo.models.state import load_net_state, net_state
from srzoo.optim.ema import EMA
from srzoo.optim.stepper import Stepper
from srzoo.ranks import unwrapped
from srzoo.registry import MODELS


@MODELS.register
class SRModel:
    """Minimise the sum of the losses of net_g(lq) against gt.

    A network that computes more than an image (D2CNet) is asked for it where a loss takes it: losses on its leaves then
    train the tree, losses on `sr` the whole, end to end.

    Args:
        net_g: the network, (B, C, h, w) -> (B, C, scale*h, scale*w).
        criterion: (sr, gt) -> {name: weighted scalar}.
        step_g: what turns the terms into an update of `net_g`.
        ema: moving average of `net_g`, or None.
    """

    def __init__(self, *, net_g: nn.Module, criterion: Criterion, step_g: Stepper, ema: EMA | None) -> None:
        self.net_g = net_g
        self.has_leaves = contract_of(unwrapped(net_g)).has_leaves
        criterion.only(*(("sr", "leaves") if self.has_leaves else ("sr",)), model="SRModel with this network")
        self.on_sr, self.on_leaves = criterion.of("sr"), criterion.of("leaves")
        self.step_g = step_g
        self.ema = ema

    def training_step(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """One micro-batch forward and backward; an update with the last one of a batch. Returns the terms, detached."""
        lq, gt = batch["lq"], batch["gt"]
        self.net_g.train()
        with self.step_g.micro_batch():
            updated = self.step_g.minimise(terms := self._terms(lq, gt), batch["key"])
        if updated and self.ema is not None:
            self.ema.update(unwrapped(self.net_g))
        return {name: term.detach() for name, term in terms.items()}

    def _terms(self, lq: Tensor, gt: Tensor) -> dict[str, Tensor]:
        if not self.has_leaves:
            return self.on_sr(self.net_g(lq), gt)
        everything = self.net_g(lq, output="all")
        return self.on_sr(everything.sr, gt) | self.on_leaves(everything.leaves, gt)

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
        return net_state(self.net_g, self.ema) | {"step_g": self.step_g.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` took.

        Raises:
            ValueError: the state belongs to another network, or only one of the two has a moving average.
        """
        load_net_state(state, self.net_g, self.ema)
        self.step_g.load_state_dict(state["step_g"])
