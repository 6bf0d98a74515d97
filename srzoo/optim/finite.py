"""The check that losses and gradients are finite, on all ranks together.

On a CPU each number is checked as soon as it is known. Reading a number from a GPU waits for all work before it, so
there the numbers stay on the device until something is printed, scored or saved. Outputs of passes in fp16 are checked
at once everywhere, because a pass that overflows is computed again before its loss.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from srzoo import ranks

# Numbers that may wait, so that their memory is bounded however rarely something is printed.
_MAX_WAITING = 512


class NonFiniteLossError(RuntimeError):
    """A loss, the gradients or an update were NaN or infinite on some rank; nothing was saved after it."""


class Moment(NamedTuple):
    """The place of a number in a run.

    Args:
        update: number of the update that it belongs to, from 1.
        lr: learning rate of that update.
    """

    update: int
    lr: float


class Passes(NamedTuple):
    """Forward passes in fp16, the same on every rank.

    Args:
        number: of all of them.
        again: those that overflowed on some rank and were computed again.
    """

    number: int = 0
    again: int = 0


class _Waiting(NamedTuple):
    number: Tensor  # () on the device
    terms: Mapping[str, Tensor]
    keys: Sequence[str]
    moment: Moment


class FiniteCheck:
    """Losses and gradients of all learners of a run, in the order in which they were computed.

    Args:
        deferred: keep the numbers on their device until :meth:`verify` is called.
        alone: ask no other rank about the outputs of passes; for trials, which are never verified.
    """

    def __init__(self, *, deferred: bool = False, alone: bool = False) -> None:
        self.deferred, self.alone = deferred, alone
        self._waiting: list[_Waiting] = []
        self._passes = Passes()

    def outputs(self, tensors: Iterable[Tensor]) -> bool:
        """Return True if the outputs of a pass in fp16 are finite on all ranks, and count the pass.

        Every rank calls this, with as many passes. On a GPU it waits for the pass.
        """
        finite = torch.stack([tensor.isfinite().all() for tensor in tensors]).all()
        fine = bool(finite) if self.alone else ranks.all_true(finite)
        self._passes = Passes(self._passes.number + 1, self._passes.again + (not fine))
        return fine

    def take_passes(self) -> Passes:
        """Return the passes in fp16 since the last call."""
        passes, self._passes = self._passes, Passes()
        return passes

    def loss(self, loss: Tensor, terms: Mapping[str, Tensor], keys: Sequence[str], moment: Moment) -> None:
        """Check the loss of one micro-batch, before its backward pass; every rank calls this.

        Args:
            loss: sum of the terms, a scalar.
            terms: weighted scalars by name, for the error message.
            keys: names of the samples, for the error message.
            moment: of the loss.

        Raises:
            NonFiniteLossError: see :meth:`verify`.
        """
        self._add(_Waiting(loss.detach(), {name: term.detach() for name, term in terms.items()}, keys, moment))

    def gradients(self, norm: Tensor, moment: Moment) -> None:
        """Check the norm of all gradients, before the update; every rank calls this. Errors as in :meth:`verify`."""
        self._add(_Waiting(norm, {}, (), moment))

    def _add(self, number: _Waiting) -> None:
        self._waiting.append(number)
        if not self.deferred or len(self._waiting) >= _MAX_WAITING:
            self.verify()

    def verify(self) -> None:
        """Read all numbers that wait; every rank calls this.

        Raises:
            NonFiniteLossError: on every rank, if a number is NaN or infinite on any rank; names the first of them.
        """
        if not self._waiting:
            return
        finite = torch.stack([number.number for number in self._waiting]).isfinite()  # (numbers,)
        if not ranks.all_true(finite.all()):
            raise NonFiniteLossError(self._describe(finite.tolist()))
        self._waiting.clear()

    def _describe(self, finite: Sequence[bool]) -> str:
        """Name the first number that is not finite on any rank, with the samples of all ranks."""
        first = min(ranks.gather(finite.index(False) if False in finite else len(finite)))
        _, terms, keys, moment = self._waiting[first]
        if terms:
            values = {name: term.item() for name, term in terms.items()}
            reports = [
                f"rank {rank}: {rank_values}, samples {rank_keys}"
                for rank, (rank_values, rank_keys) in enumerate(ranks.gather((values, list(keys))))
            ]
            return f"non-finite loss ({'; '.join(reports)}) {self._advice(moment)}"
        return f"non-finite gradients (finite loss) {self._advice(moment)}"

    def _advice(self, moment: Moment) -> str:
        harm = "Nothing was saved after it" if self.deferred else "No weight was changed by it"
        return advice(moment, harm)


def advice(moment: Moment, harm: str, *, fp16: bool = False) -> str:
    """Return the end of the message about a number that is not finite: its moment, the harm done, remedies.

    Args:
        moment: of the number.
        harm: sentence without its full stop.
        fp16: the number left the range of fp16.
    """
    wider_range = " or train in bf16, which has the range of float32," if fp16 else ""
    return (
        f"in update {moment.update} at learning rate {moment.lr:.3g}. {harm} and the files saved before are intact; if "
        "resuming from the newest state fails in the same way, go back to an older one. Lower the learning rate, add "
        f"train.grad_clip,{wider_range} or look at the samples."
    )
