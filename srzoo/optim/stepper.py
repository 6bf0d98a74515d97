"""One optimiser and the steps between a loss and new weights."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from srzoo import ranks
from srzoo.batch import StateDict
from srzoo.optim.schedules import Iteration, Schedule


class NonFiniteLossError(RuntimeError):
    """A loss, the gradients or an update were NaN or infinite on some rank; nothing was saved after it."""


class Stepper:
    """Gradient accumulation, a check on all ranks, clipping, the update, and the learning rate.

    Args:
        net: the network whose weights are updated.
        optimizer: built over the network's parameters; its learning rate is set from `schedule` before every update.
        schedule: (base learning rate, iteration) -> learning rate.
        iteration: of the run. The schedule follows it, also through iterations in which this network is not updated.
        accumulate: micro-batches per update.
        grad_clip: largest 2-norm of all gradients together; None: no clipping.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        *,
        iteration: Iteration,
        accumulate: int = 1,
        grad_clip: float | None = None,
    ) -> None:
        self.net = net
        self.optimizer = optimizer
        self.schedule = schedule
        self.iteration = iteration
        self.accumulate = accumulate
        self.grad_clip = grad_clip
        self.num_updates = 0
        self._base_lrs: list[float] = [group["lr"] for group in optimizer.param_groups]
        self._num_accumulated = 0

    @property
    def lr(self) -> float:
        """Learning rate of the coming update (first parameter group)."""
        return self.schedule(self._base_lrs[0], self.iteration.number)

    @property
    def at_last_micro_batch(self) -> bool:
        """True if the coming micro-batch completes an update."""
        return self._num_accumulated == self.accumulate - 1

    def minimise(self, terms: Mapping[str, Tensor], keys: Sequence[str]) -> bool:
        """Add the gradients of one micro-batch; with the last one of an update, change the weights.

        Args:
            terms: weighted scalars of the loss by name; their sum is minimised.
            keys: names of the samples, for the error message.

        Returns:
            True if the weights changed.

        Raises:
            NonFiniteLossError: on every rank, if a term is NaN or infinite on any rank.
        """
        loss = torch.stack(list(terms.values())).sum()
        # Before backward: ranks that wait for each other's gradients could not report anything.
        if not ranks.all_true(torch.isfinite(loss.detach())):
            raise NonFiniteLossError(self._describe_terms(terms, keys))
        # The mean over equal micro-batches is the mean over the whole batch.
        (loss / self.accumulate).backward()
        self._num_accumulated += 1
        if self._num_accumulated < self.accumulate:
            return False
        self._update()
        return True

    def _update(self) -> None:
        gradients = [parameter.grad for parameter in self.net.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm):  # the same on every rank, because gradients are averaged
            raise NonFiniteLossError(f"non-finite gradients (finite loss) {self._advice()}")
        if self.grad_clip is not None:
            nn.utils.clip_grads_with_norm_(self.net.parameters(), self.grad_clip, norm)
        for group, base_lr in zip(self.optimizer.param_groups, self._base_lrs, strict=True):
            group["lr"] = self.schedule(base_lr, self.iteration.number)
        self._change_weights()
        self.optimizer.zero_grad(set_to_none=True)
        self._num_accumulated = 0
        self.num_updates += 1

    def _change_weights(self) -> None:
        try:
            self.optimizer.step()
        except RuntimeError as error:
            if "overflow" not in str(error):
                raise
            raise NonFiniteLossError(
                f"update {self.iteration.number + 1} at learning rate {self.lr:.3g} leaves the range of the weights' "
                "numbers: lower the learning rate. The files saved before are intact."
            ) from error

    def _describe_terms(self, terms: Mapping[str, Tensor], keys: Sequence[str]) -> str:
        values = {name: value.item() for name, value in terms.items()}
        reports = [
            f"rank {rank}: {rank_values}, samples {rank_keys}"
            for rank, (rank_values, rank_keys) in enumerate(ranks.gather((values, list(keys))))
        ]
        return f"non-finite loss ({'; '.join(reports)}) {self._advice()}"

    def _advice(self) -> str:
        return (
            f"in update {self.iteration.number + 1} at learning rate {self.lr:.3g}. No weight was changed by it and "
            "the files saved before are intact; if resuming from the newest state fails in the same way, go back to an "
            "older one. Lower the learning rate, add train.grad_clip, or look at the samples."
        )

    def state_dict(self) -> StateDict:
        """Return the optimiser's state and the number of updates; the schedule needs none."""
        return {"optimizer": self.optimizer.state_dict(), "step": self.num_updates}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore a state. Learning rates come from this run's schedule, not from the state."""
        optimizer, num_updates = state["optimizer"], state["step"]
        assert isinstance(optimizer, dict)
        assert isinstance(num_updates, int)
        self.optimizer.load_state_dict(optimizer)
        self.num_updates = num_updates
