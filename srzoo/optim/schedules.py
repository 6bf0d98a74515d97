"""Learning rate as a pure function of the iteration, so that resuming needs no state.

Iteration 0 makes the first update. Behaviour at the boundaries is that of BasicSR's schedulers, as the tests check.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from srzoo.registry import SCHEDULERS, NonNegativeInt, PositiveInt

# (base learning rate, iteration from 0) -> learning rate
Schedule = Callable[[float, int], float]


class Iteration:
    """Count of iterations, shared by all learners of a run and advanced by the training loop.

    In each iteration a recipe sees one batch and updates all, some or none of its networks.

    Args:
        number: of the current iteration, from 0; between two iterations, of the coming one.
    """

    def __init__(self, number: int = 0) -> None:
        self.number = number


@SCHEDULERS.register
class Constant:
    """The optimiser's own learning rate throughout the run."""

    def __init__(self) -> None:
        pass

    def __call__(self, base_lr: float, iteration: int) -> float:
        del iteration
        return base_lr


@SCHEDULERS.register
class MultiStepRestart:
    """A rate multiplied by `gamma` at each milestone; a restart resets it to base_lr times the restart's weight.

    A milestone that coincides with a restart does not count, as in BasicSR.

    Args:
        milestones: iterations at which the rate drops [updates].
        gamma: factor of a drop.
        restarts: iterations at which the schedule begins anew [updates].
        restart_weights: factor of base_lr at each restart; one per restart.
    """

    def __init__(
        self,
        *,
        milestones: tuple[NonNegativeInt, ...],
        gamma: float = 0.1,
        restarts: tuple[PositiveInt, ...] = (),
        restart_weights: tuple[float, ...] = (),
    ) -> None:
        if len(restarts) != len(restart_weights):
            raise ValueError(
                f"restarts and restart_weights must be equally long, got {len(restarts)} and {len(restart_weights)}"
            )
        self.milestones = sorted(milestones)
        self.gamma = gamma
        self.starts = sorted([(0, 1.0), *zip(restarts, restart_weights, strict=True)])

    def __call__(self, base_lr: float, iteration: int) -> float:
        start, weight = [(start, weight) for start, weight in self.starts if start <= iteration][-1]
        # Milestones up to the last restart are forgotten; one at the restart itself too.
        drops = sum(start < milestone <= iteration for milestone in self.milestones)
        return base_lr * weight * self.gamma**drops


@SCHEDULERS.register
class CosineRestart:
    """Half cosines from base_lr * weight to `eta_min`, one per period; after the last period the rate is constant.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5. As in BasicSR,
    the iteration at which a period ends still has that period's last value.

    Args:
        periods: length of each period [updates].
        restart_weights: factor of base_lr at the start of each period; one per period, 1 by default.
        eta_min: the rate at the end of a period.
    """

    def __init__(
        self,
        *,
        periods: tuple[PositiveInt, ...],
        restart_weights: tuple[float, ...] | None = None,
        eta_min: float = 0.0,
    ) -> None:
        weights = [1.0] * len(periods) if restart_weights is None else list(restart_weights)
        if len(periods) != len(weights) or not periods:
            raise ValueError(
                f"periods and restart_weights must be equally long and not empty, got {len(periods)} and {len(weights)}"
            )
        self.periods = list(periods)
        self.weights = weights
        self.eta_min = eta_min

    def __call__(self, base_lr: float, iteration: int) -> float:
        ends = list(itertools.accumulate(self.periods))
        iteration = min(iteration, ends[-1])
        current = next(index for index, end in enumerate(ends) if iteration <= end)
        period, weight = self.periods[current], self.weights[current]
        phase = math.pi * (iteration - (ends[current] - period)) / period
        return self.eta_min + weight * 0.5 * (base_lr - self.eta_min) * (1 + math.cos(phase))


@dataclass(frozen=True)
class WarmUp:
    """A linear ramp over the first `num_iter` iterations, multiplied with `schedule`.

    Args:
        schedule: followed alone after the ramp.
        num_iter: length of the ramp; iteration k (from 0) has the factor (k + 1) / num_iter [updates].
    """

    schedule: Schedule
    num_iter: int

    def __call__(self, base_lr: float, iteration: int) -> float:
        ramp = min(1.0, (iteration + 1) / self.num_iter) if self.num_iter else 1.0
        return ramp * self.schedule(base_lr, iteration)
