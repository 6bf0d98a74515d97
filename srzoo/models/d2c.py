"""D2C-SR's recipe: the tree's leaves diverge, the fusion network lets them converge.

Li et al., "D2C-SR: A Divergence to Convergence Approach for Real-World Image Super-Resolution", ECCV 2022,
arXiv:2103.14373, section 3. Written from the paper and the published settings. Deviations: one Adam over both networks
stands for two of the same settings (Adam treats every weight by itself), and with `stage: joint` the fusion learns from
the leaves of the same forward pass, where the authors compute them anew after the tree's update.
"""

from typing import Any, Literal

from torch import Tensor, nn

from srzoo.contract import contract_of
from srzoo.losses.criterion import Criterion
from srzoo.models.state import load_net_state, net_state
from srzoo.optim.ema import EMA
from srzoo.optim.stepper import Stepper
from srzoo.ranks import unwrapped
from srzoo.registry import MODELS, NonNegativeInt, PositiveInt


@MODELS.register
class D2CModel:
    """Train D2CNet's two parts: every leaf against gt plus the divergence loss, and the fused image against gt.

    Losses on `sr` are applied to each leaf (summed) and to the fused image; losses on leaves (DivergenceLoss) follow a
    schedule: off for the first `divergence_start` units, then on in the first `divergence_length` of every
    `divergence_every`, halved each `divergence_halve`.

    Args:
        net_g: D2CNet.
        criterion: losses on `sr` and, for divergence, on leaves.
        step_g: what turns the terms into an update.
        ema: moving average of `net_g`, or None.
        epoch_length: updates in which as many samples are seen as there are images.
        stage: joint: tree and fusion together, the fusion on detached leaves (released); divergence: the tree alone;
            convergence: the fusion alone; end_to_end: the fused image trains the tree too.
        unit: what the schedule counts.
        divergence_start: no divergence loss until then [units].
        divergence_every: period of its being on and off [units].
        divergence_length: how long it is on in each period [units].
        divergence_halve: its weight is halved each so many [units].
    """

    # Each stage but the last two leaves some parameters alone.
    has_idle_parameters = True

    def __init__(
        self,
        *,
        net_g: nn.Module,
        criterion: Criterion,
        step_g: Stepper,
        ema: EMA | None,
        epoch_length: int,
        stage: Literal["joint", "divergence", "convergence", "end_to_end"] = "joint",
        unit: Literal["epochs", "updates"] = "epochs",
        divergence_start: NonNegativeInt = 200,
        divergence_every: PositiveInt = 1000,
        divergence_length: NonNegativeInt = 200,
        divergence_halve: PositiveInt = 2000,
    ) -> None:
        if not contract_of(unwrapped(net_g)).has_leaves:
            raise ValueError("model.type D2CModel trains a tree: network_g.type must be D2CNet")
        criterion.only("sr", "leaves", model="D2CModel")
        self.net_g, self.step_g, self.ema, self.stage = net_g, step_g, ema, stage
        self.on_sr, self.on_leaves = criterion.of("sr"), criterion.of("leaves")
        if not len(self.on_sr):
            raise ValueError("train.losses: D2CModel needs a loss on images, L1Loss or MSELoss say")
        self.unit_length = epoch_length if unit == "epochs" else 1
        self.start, self.every, self.length = divergence_start, divergence_every, divergence_length
        self.halve = divergence_halve
        frozen = {"convergence": "tree", "divergence": "fusion"}.get(stage)
        if frozen:
            unwrapped(net_g).get_submodule(frozen).requires_grad_(False)

    def divergence_weight(self, step: int) -> float:
        """Factor of the losses on leaves in update number `step` (from 0)."""
        unit = step // self.unit_length
        on = unit >= self.start and unit % self.every < self.length
        return 0.5 ** (unit // self.halve) if on else 0.0

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
        if self.stage == "divergence":
            return self._on_the_tree(self.net_g(lq, output="leaves"), gt)
        everything = self.net_g(lq, output="all", detach_leaves=self.stage == "joint")
        fused = {f"{name}_fused": term for name, term in self.on_sr(everything.sr, gt).items()}
        return fused if self.stage == "convergence" else self._on_the_tree(everything.leaves, gt) | fused

    def _on_the_tree(self, leaves: Tensor, gt: Tensor) -> dict[str, Tensor]:
        each = [self.on_sr(leaf, gt) for leaf in leaves.unbind(1)]
        terms = {f"{name}_leaves": sum((terms[name] for terms in each), gt.new_zeros(())) for name in each[0]}
        weight = self.divergence_weight(self.step_g.step)
        if weight:
            terms |= {name: weight * term for name, term in self.on_leaves(leaves, gt).items()}
        return terms

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
