"""Spread over repetitions of a training: the mean of a score over seeds, with its confidence interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


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
    return SeedMean(mean, student_quantile(confidence, n - 1) * deviation / math.sqrt(n), n)


def student_quantile(confidence: float, degrees: int) -> float:
    """Return the t for which Student's distribution has the probability `confidence` between -t and t.

    Found by bisection of the probability.
    """
    low, high = 0.0, 1.0
    while _probability_within(high, degrees) < confidence:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _probability_within(middle, degrees) < confidence else (low, middle)
    return high


def _probability_within(t: float, degrees: int) -> float:
    """Return P(|T| <= t) for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    theta = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = degrees % 2
    total, term = 0.0, cosine if odd else 1.0
    # Odd: cos + 2/3 cos^3 + ... up to cos^(n - 2); even: 1 + 1/2 cos^2 + ... up to cos^(n - 2).
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cosine**2
    return 2 / math.pi * (theta + sine * total) if odd else sine * total
