"""D2C-SR's recipe: the tree's leaves diverge, the fusion network lets them converge.

Li et al., "D2C-SR: A Divergence to Convergence Approach for Real-World Image Super-Resolution", ECCV 2022,
arXiv:2103.14373, section 3. Written from the paper and the published settings. Deviations: one Adam over both networks
replaces two with the same settings (Adam treats every weight by itself), and with `stage: joint` the fusion learns from
the leaves of the same forward pass, whereas the authors compute them again after the tree's update.
"""

from typing import Literal

from torch import Tensor

from srzoo.batch import Batch, StateDict, Terms, detached
from srzoo.contract import contract_of
from srzoo.losses.criterion import Criterion
from srzoo.optim.learner import Learner
from srzoo.registry import MODELS, NonNegativeInt, PositiveInt


@MODELS.register
class D2CModel:
    """D2CNet's two parts in training: each leaf against gt plus the divergence loss, and the fused image against gt.

    Losses on `sr` are applied to each leaf (summed) and to the fused image; losses on leaves (DivergenceLoss) follow a
    schedule: off for the first `divergence_start` units, then on in the first `divergence_length` of every
    `divergence_every`, halved each `divergence_halve`.

    Args:
        g: the tree and its fusion (D2CNet).
        criterion: losses on `sr` and, for divergence, on leaves.
        epoch_length: updates in which as many samples are seen as there are images.
        stage: joint: tree and fusion together, the fusion on detached leaves (released); divergence: the tree alone;
            convergence: the fusion alone; end_to_end: the fused image trains the tree too.
        unit: unit of the divergence schedule.
        divergence_start: beginning of the divergence loss [units].
        divergence_every: period in which it is switched on and off [units].
        divergence_length: duration for which it is on in each period [units].
        divergence_halve: interval at which its weight is halved [units].
    """

    # The fusion gets no gradient in stage divergence, the tree none in stage convergence.
    has_idle_parameters = True

    def __init__(
        self,
        *,
        g: Learner,
        criterion: Criterion,
        epoch_length: int,
        stage: Literal["joint", "divergence", "convergence", "end_to_end"] = "joint",
        unit: Literal["epochs", "updates"] = "epochs",
        divergence_start: NonNegativeInt = 200,
        divergence_every: PositiveInt = 1000,
        divergence_length: NonNegativeInt = 200,
        divergence_halve: PositiveInt = 2000,
    ) -> None:
        if not contract_of(g.module).has_leaves:
            raise ValueError("model.type D2CModel trains a tree: network_g.type must be D2CNet")
        criterion.only("sr", "leaves", model="D2CModel")
        self.g, self.stage = g, stage
        self.on_sr, self.on_leaves = criterion.of("sr"), criterion.of("leaves")
        if not len(self.on_sr):
            raise ValueError("train.losses: D2CModel needs a loss on images, for example L1Loss or MSELoss")
        self.unit_length = epoch_length if unit == "epochs" else 1
        self.start, self.every, self.length = divergence_start, divergence_every, divergence_length
        self.halve = divergence_halve
        frozen = {"convergence": "tree", "divergence": "fusion"}.get(stage)
        if frozen:
            g.module.get_submodule(frozen).requires_grad_(False)

    def divergence_weight(self, iteration: int) -> float:
        """Return the factor of the losses on leaves in an iteration (from 0)."""
        unit = iteration // self.unit_length
        on = unit >= self.start and unit % self.every < self.length
        return 0.5 ** (unit // self.halve) if on else 0.0

    def training_step(self, batch: Batch) -> Terms:
        """Learn from one micro-batch; the weights change with the last one of an update."""
        with self.g.micro_batch():
            terms = self._terms(batch["lq"], batch["gt"])
            self.g.minimise(terms, batch["key"])
        return detached(terms)

    def _terms(self, lq: Tensor, gt: Tensor) -> Terms:
        if self.stage == "divergence":
            return self._terms_of_leaves(self.g.net(lq, output="leaves"), gt)
        output = self.g.net(lq, output="all", detach_leaves=self.stage == "joint")
        fused = {f"{name}_fused": term for name, term in self.on_sr(output.sr, gt).items()}
        return fused if self.stage == "convergence" else self._terms_of_leaves(output.leaves, gt) | fused

    def _terms_of_leaves(self, leaves: Tensor, gt: Tensor) -> Terms:
        """Return the terms of leaves (B, K, C, H, W) against gt (B, C, H, W)."""
        per_leaf = [self.on_sr(leaf, gt) for leaf in leaves.unbind(1)]
        terms = {f"{name}_leaves": sum((each[name] for each in per_leaf), gt.new_zeros(())) for name in per_leaf[0]}
        weight = self.divergence_weight(self.g.iteration.number)
        if weight:
            terms |= {name: weight * term for name, term in self.on_leaves(leaves, gt).items()}
        return terms

    def state_dict(self) -> StateDict:
        """Return everything that training changes."""
        return self.g.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Restore a state; errors as in :meth:`Learner.load_state_dict`."""
        self.g.load_state_dict(state)
