"""One optimiser and everything that happens between a loss and new weights."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from srzoo import ranks
from srzoo.optim.schedules import Schedule


class NonFiniteLossError(RuntimeError):
    """A loss or the gradients were NaN or infinite on some process; no weight was changed by it."""


class Stepper:
    """Accumulate gradients, check them on all ranks, clip, update, follow the schedule.

    Args:
        net: the network whose weights are updated; possibly wrapped for several processes.
        optimizer: built over the network's parameters; its learning rate is set from `schedule` before every update.
        schedule: (base learning rate, step) -> learning rate.
        accumulate: parts that one batch is split into [micro-batches].
        grad_clip: largest 2-norm of all gradients together; None: as they come.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        *,
        accumulate: int = 1,
        grad_clip: float | None = None,
    ) -> None:
        self.net = net
        self.optimizer = optimizer
        self.schedule = schedule
        self.accumulate = accumulate
        self.grad_clip = grad_clip
        self.step = 0
        self._base_lrs: list[float] = [group["lr"] for group in optimizer.param_groups]
        self._micro = 0

    @property
    def lr(self) -> float:
        """Learning rate of the coming update (first parameter group)."""
        return self.schedule(self._base_lrs[0], self.step)

    @contextlib.contextmanager
    def micro_batch(self) -> Iterator[None]:
        """Around forward and backward of one part of a batch: ranks exchange gradients only with the last part."""
        last = self._micro == self.accumulate - 1
        if isinstance(self.net, DistributedDataParallel) and not last:
            with self.net.no_sync():
                yield
        else:
            yield

    def minimise(self, terms: Mapping[str, Tensor], keys: Sequence[str]) -> bool:
        """Backward through the sum of `terms`; with the last part of a batch, update. True when it updated.

        Args:
            terms: the weighted scalars of the loss by name.
            keys: names of the samples, for the error message.

        Raises:
            NonFiniteLossError: on every rank, when a term is NaN or infinite on any of them.
        """
        loss = torch.stack(list(terms.values())).sum()
        if not ranks.all_true(torch.isfinite(loss.detach())):
            raise NonFiniteLossError(self._diagnosis(terms, keys))
        (loss / self.accumulate).backward()
        self._micro += 1
        if self._micro < self.accumulate:
            return False
        self._update()
        return True

    def _update(self) -> None:
        gradients = [parameter.grad for parameter in self.net.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm):  # the same on every rank, because gradients are averaged
            raise NonFiniteLossError(f"non-finite gradients (finite loss) {self._circumstances()}")
        if self.grad_clip is not None:
            nn.utils.clip_grads_with_norm_(self.net.parameters(), self.grad_clip, norm)
        for group, base_lr in zip(self.optimizer.param_groups, self._base_lrs, strict=True):
            group["lr"] = self.schedule(base_lr, self.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._micro = 0
        self.step += 1

    def _diagnosis(self, terms: Mapping[str, Tensor], keys: Sequence[str]) -> str:
        mine = {name: value.item() for name, value in terms.items()}
        reports = [
            f"rank {rank}: {values}, samples {names}"
            for rank, (values, names) in enumerate(ranks.gather((mine, list(keys))))
        ]
        return f"non-finite loss ({'; '.join(reports)}) {self._circumstances()}"

    def _circumstances(self) -> str:
        return (
            f"in update {self.step + 1} at learning rate {self.lr:.3g}. No weight was changed by it and the files "
            "saved before are intact; if resuming from the newest state fails alike, go back to an older one. Lower "
            "the learning rate, add train.grad_clip, or look at the samples."
        )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs: the optimiser's moments and the step; schedules are functions of the step."""
        return {"optimizer": self.optimizer.state_dict(), "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken. Learning rates come from the schedule of this run."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
