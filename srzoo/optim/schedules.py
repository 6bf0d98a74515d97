"""Learning rate as a pure function of the step, so that resuming needs no state.

Step 0 is the first update. Behaviour at the boundaries is that of BasicSR's schedulers, as the tests check.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from srzoo.registry import SCHEDULERS, NonNegativeInt, PositiveInt

Schedule = Callable[[float, int], float]


@SCHEDULERS.register
class Constant:
    """The optimiser's own learning rate throughout."""

    def __init__(self) -> None:
        pass

    def __call__(self, base_lr: float, step: int) -> float:
        del step
        return base_lr


@SCHEDULERS.register
class MultiStepRestart:
    """Multiply by `gamma` at each milestone; at a restart begin again from base_lr * its weight.

    Args:
        milestones: steps at which the rate drops [updates].
        gamma: factor of a drop.
        restarts: steps at which the schedule begins anew [updates].
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

    def __call__(self, base_lr: float, step: int) -> float:
        start, weight = [(start, weight) for start, weight in self.starts if start <= step][-1]
        drops = sum(start < milestone <= step for milestone in self.milestones)
        return base_lr * weight * self.gamma**drops


@SCHEDULERS.register
class CosineRestart:
    """Half cosines from base_lr * weight to `eta_min`, one per period; after the last period the rate stays.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5. As in BasicSR,
    the step at which a period ends still has that period's last value.

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

    def __call__(self, base_lr: float, step: int) -> float:
        ends = list(itertools.accumulate(self.periods))
        step = min(step, ends[-1])
        current = next(index for index, end in enumerate(ends) if step <= end)
        period, weight = self.periods[current], self.weights[current]
        phase = math.pi * (step - (ends[current] - period)) / period
        return self.eta_min + weight * 0.5 * (base_lr - self.eta_min) * (1 + math.cos(phase))


@dataclass(frozen=True)
class WarmUp:
    """Ramp up linearly over the first `num_iter` updates, then follow `schedule`.

    Args:
        schedule: what comes after (and, multiplied by the ramp, during) the warm-up.
        num_iter: length of the ramp; update k (from 0) has the factor (k + 1) / num_iter [updates].
    """

    schedule: Schedule
    num_iter: int

    def __call__(self, base_lr: float, step: int) -> float:
        ramp = min(1.0, (step + 1) / self.num_iter) if self.num_iter else 1.0
        return ramp * self.schedule(base_lr, step)
