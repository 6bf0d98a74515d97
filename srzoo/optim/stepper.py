"""One optimiser and the steps between a loss and new weights."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from srzoo import ranks
from srzoo.batch import StateDict
from srzoo.optim.schedules import Iteration, Schedule

if TYPE_CHECKING:
    from srzoo.optim.sharding import Sharding

logger = logging.getLogger("srzoo")


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
        scaler: factor of the loss for passes in fp16, raised after many updates and halved after an overflow of the
            gradients, whose update is left out; None: no factor.
        sharding: of the network; None: every rank has the whole network.
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
        scaler: torch.amp.GradScaler | None = None,  # pyright: ignore[reportPrivateImportUsage]
        sharding: "Sharding | None" = None,
    ) -> None:
        self.net = net
        self.optimizer = optimizer
        self.schedule = schedule
        self.iteration = iteration
        self.accumulate = accumulate
        self.grad_clip = grad_clip
        self.scaler = scaler
        self.sharding = sharding
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
            True if the weights changed; False too for an update that was left out because gradients overflowed in fp16.

        Raises:
            NonFiniteLossError: on every rank, if a term is NaN or infinite on any rank.
        """
        loss = torch.stack(list(terms.values())).sum()
        # Before backward: ranks that wait for each other's gradients could not report anything.
        if not ranks.all_true(torch.isfinite(loss.detach())):
            raise NonFiniteLossError(self._describe_terms(terms, keys))
        # The mean over equal micro-batches is the mean over the whole batch.
        part = loss / self.accumulate
        (part if self.scaler is None else self.scaler.scale(part)).backward()
        self._num_accumulated += 1
        if self._num_accumulated < self.accumulate:
            return False
        return self._update()

    def _update(self) -> bool:
        """Change the weights from the gradients collected; return False if the update was left out."""
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        gradients = [parameter.grad for parameter in self.net.parameters() if parameter.grad is not None]
        norm = (nn.utils.get_total_norm if self.sharding is None else self.sharding.total_norm)(gradients)
        finite = bool(torch.isfinite(norm))  # the same on every rank, because gradients are averaged
        if finite:
            self._change_weights(norm)
            self.num_updates += 1
        elif self.scaler is None or self.scaler.get_scale() <= 1:
            # A loss that is not scaled up overflows in float32 too.
            raise NonFiniteLossError(f"non-finite gradients (finite loss) {self._advice()}")
        if self.scaler is not None:
            self.scaler.update()
        if self.scaler is not None and not finite:
            logger.info(
                f"update {self.iteration.number + 1} left out: gradients overflowed in fp16; the loss is now scaled by "
                f"{self.scaler.get_scale():g}"
            )
        self.optimizer.zero_grad(set_to_none=True)
        self._num_accumulated = 0
        return finite

    def _change_weights(self, norm: Tensor) -> None:
        if self.grad_clip is not None:
            nn.utils.clip_grads_with_norm_(self.net.parameters(), self.grad_clip, norm)
        for group, base_lr in zip(self.optimizer.param_groups, self._base_lrs, strict=True):
            group["lr"] = self.schedule(base_lr, self.iteration.number)
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
        range_of_fp16 = "" if self.scaler is None else " or train in bf16, which has the range of float32,"
        return (
            f"in update {self.iteration.number + 1} at learning rate {self.lr:.3g}. No weight was changed by it and "
            "the files saved before are intact; if resuming from the newest state fails in the same way, go back to an "
            f"older one. Lower the learning rate, add train.grad_clip,{range_of_fp16} or look at the samples."
        )

    def state_dict(self) -> StateDict:
        """Return the optimiser's state, the number of updates and the factor of the loss; the schedule needs none."""
        sharding, optimizer = self.sharding, self.optimizer
        whole = optimizer.state_dict() if sharding is None else sharding.optimizer_state(optimizer)
        state: StateDict = {"optimizer": whole, "step": self.num_updates}
        return state if self.scaler is None else state | {"scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore a state. Learning rates come from this run's schedule, not from the state."""
        optimizer, num_updates = state["optimizer"], state["step"]
        assert isinstance(optimizer, dict)
        assert isinstance(num_updates, int)
        if self.sharding is None:
            self.optimizer.load_state_dict(optimizer)
        else:
            self.sharding.load_optimizer_state(self.optimizer, optimizer)
        self.num_updates = num_updates
        if self.scaler is not None:
            scaler = state["scaler"]
            assert isinstance(scaler, dict)
            self.scaler.load_state_dict(scaler)
