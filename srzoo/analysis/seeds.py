"""Spread over repetitions of a training: the mean of a score over seeds, with its confidence interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from srzoo.analysis.statistics import student_quantile


@dataclass(frozen=True)
class SeedMean:
    """Mean over seeds.

    Args:
        mean: over seeds, in the unit of the values.
        margin: half the width of the confidence interval of the mean; None: one seed shows no spread.
        num_seeds: number of values.
    """

    mean: float
    margin: float | None
    num_seeds: int


def mean_over_seeds(values: Sequence[float], confidence: float = 0.95) -> SeedMean:
    """Return the mean of a score over seeds and Student's interval: t * s / sqrt(n), s with n - 1.

    Args:
        values: a score per seed.
        confidence: of the interval.

    Raises:
        ValueError: no value.
    """
    n = len(values)
    if n == 0:
        raise ValueError("expected a score per seed, got none")
    mean = math.fsum(values) / n
    if n == 1 or not math.isfinite(mean):
        return SeedMean(mean, None, n)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return SeedMean(mean, student_quantile((1 + confidence) / 2, n - 1) * deviation / math.sqrt(n), n)
