"""One optimiser and the steps between a loss and new weights."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from srzoo.batch import StateDict
from srzoo.optim.finite import FiniteCheck, Moment, NonFiniteLossError, advice
from srzoo.optim.schedules import Iteration, Schedule

if TYPE_CHECKING:
    from srzoo.optim.sharding import Sharding

logger = logging.getLogger("srzoo")


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
        finite: check of losses and gradients, shared by the learners of a run; None: one for this stepper, at once.
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
        finite: FiniteCheck | None = None,
        sharding: "Sharding | None" = None,
    ) -> None:
        self.net = net
        self.optimizer = optimizer
        self.schedule = schedule
        self.iteration = iteration
        self.accumulate = accumulate
        self.grad_clip = grad_clip
        self.scaler = scaler
        self.finite = finite or FiniteCheck()
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
            NonFiniteLossError: on every rank, if a term is NaN or infinite on any rank (see :class:`FiniteCheck`).
        """
        loss = torch.stack(list(terms.values())).sum()
        # Before backward: ranks that wait for each other's gradients could not report anything.
        self.finite.loss(loss, terms, keys, self._moment())
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
        # The same on every rank, because gradients are averaged.
        norm = (nn.utils.get_total_norm if self.sharding is None else self.sharding.total_norm)(gradients)
        if self.scaler is None:
            self.finite.gradients(norm, self._moment())
            changed = True
        else:
            changed = not self._overflowed(norm, self.scaler)
        if changed:
            self._change_weights(norm)
            self.num_updates += 1
        self.optimizer.zero_grad(set_to_none=True)
        self._num_accumulated = 0
        return changed

    def _overflowed(self, norm: Tensor, scaler: torch.amp.GradScaler) -> bool:  # pyright: ignore[reportPrivateImportUsage]
        """Return True if the gradients of the scaled loss left the range of fp16; adapt the scale."""
        finite = bool(torch.isfinite(norm))
        if not finite and scaler.get_scale() <= 1:
            # A loss that is not scaled up overflows in float32 too.
            message = advice(self._moment(), "No weight was changed by it", fp16=True)
            raise NonFiniteLossError(f"non-finite gradients (finite loss) {message}")
        scaler.update()
        if not finite:
            logger.info(
                f"update {self.iteration.number + 1} left out: gradients overflowed in fp16; the loss is now scaled by "
                f"{scaler.get_scale():g}"
            )
        return not finite

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

    def _moment(self) -> Moment:
        return Moment(self.iteration.number + 1, self.lr)

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
