"""The plain recipe: one network, losses on its output."""

from srzoo.batch import Batch, StateDict, Terms, detached
from srzoo.contract import contract_of
from srzoo.losses.criterion import Criterion
from srzoo.optim.learner import Learner
from srzoo.registry import MODELS


@MODELS.register
class SRModel:
    """A network trained on the sum of the losses between its output and gt.

    Args:
        g: the network, (B, C, h, w) -> (B, C, scale*h, scale*w).
        criterion: (sr, gt) -> {name: weighted scalar}.
    """

    def __init__(self, *, g: Learner, criterion: Criterion) -> None:
        if contract_of(g.module).has_leaves:
            raise ValueError(
                f"model.type SRModel trains networks that return one image; {type(g.module).__name__} returns the "
                "leaves of a tree: train it with model: {type: D2CModel, stage: end_to_end}"
            )
        self.g, self.criterion = g, criterion.only("sr", model="SRModel")

    def training_step(self, batch: Batch) -> Terms:
        """Learn from one micro-batch; the weights change with the last one of an update."""
        lq, gt = batch["lq"], batch["gt"]
        with self.g.micro_batch():
            terms = self.criterion(self.g.net(lq), gt)
            self.g.minimise(terms, batch["key"])
        return detached(terms)

    def state_dict(self) -> StateDict:
        """Return everything that training changes."""
        return self.g.state_dict()

    def load_state_dict(self, state: StateDict) -> None:
        """Restore a state; errors as in :meth:`Learner.load_state_dict`."""
        self.g.load_state_dict(state)
