"""Paired comparisons of two methods on the same images: intervals, tests and sizes of effects.

Efron, "Better bootstrap confidence intervals", JASA 82 (1987); Wilcoxon, "Individual comparisons by ranking methods",
Biometrics Bulletin 1 (1945); Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6
(1979); Kerby, "The simple difference formula", Comprehensive Psychology 3 (2014). Written from the papers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Interval:
    """Confidence interval of a mean, [low, high], in the unit of the values."""

    low: float
    high: float


def bootstrap_interval(
    differences: np.ndarray, *, confidence: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Return the bias-corrected and accelerated (BCa) bootstrap interval of the mean (Efron 1987).

    The bias correction is that of the share of resampled means below the mean, ties counted half; the acceleration
    comes from the means without one value each.

    Args:
        differences: (n,), a difference per image.
        confidence: of the interval, for example 0.95.
        num_resamples: drawn with ``numpy.random.default_rng(seed)``.
        seed: of the resamples.

    Raises:
        ValueError: fewer than two values.
    """
    values = _checked(differences)
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least two images, got {n}")
    mean = values.mean()
    means = _resampled_means(values, num_resamples, seed)
    # Values that are all equal have no spread.
    share = (np.count_nonzero(means < mean) + np.count_nonzero(means <= mean)) / (2 * num_resamples)
    if not 0 < share < 1:
        return Interval(float(means.min()), float(means.max()))
    bias = _NORMAL.inv_cdf(share)
    # u_i = (n - 1) (mean of the jackknife means - jackknife mean i)
    u = (n - 1) * (mean - (values.sum() - values) / (n - 1))
    spread = np.square(u).sum()
    acceleration = np.power(u, 3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    ends = []
    for level in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = bias + _NORMAL.inv_cdf(level)
        ends.append(_NORMAL.cdf(bias + z / (1 - acceleration * z)))
    low, high = np.quantile(means, ends)
    return Interval(float(low), float(high))


def _resampled_means(values: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    indices = np.random.default_rng(seed).integers(0, len(values), (num_resamples, len(values)))
    return values[indices].mean(1)  # (num_resamples, n) -> (num_resamples,)


def hierarchical_interval(
    first: np.ndarray, second: np.ndarray, *, confidence: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Return the percentile interval of the mean difference when seeds and images are resampled.

    Each resample draws seeds of both methods and one set of images for both, with replacement. Resampling k seeds shows
    (k - 1) / k of their variance, and so few of them estimate it badly: deviations that come from the seeds are
    enlarged by sqrt(k / (k - 1)) and by Student's quantile over the normal one, with the seeds' degrees of freedom.
    A method with one seed adds nothing for the variation of its seeds, which is unknown.

    Args:
        first: (seeds, n) scores of one method.
        second: (seeds of the other, n) scores on the same images.
        confidence: of the interval.
        num_resamples: number of resamples.
        seed: of the resamples.

    Raises:
        ValueError: the methods have other numbers of images.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f"expected (seeds, n) and (seeds, n) with the same images, got {first.shape}, {second.shape}")
    generator = np.random.default_rng(seed)
    n, upper = first.shape[1], (1 + confidence) / 2
    freedom = len(first) + len(second) - 2
    few = student_quantile(upper, freedom) / _NORMAL.inv_cdf(upper) if freedom else 1.0
    # Share of each image and of each seed in a resample; images are the same for both methods.
    images = generator.multinomial(n, np.full(n, 1 / n), num_resamples) / n  # (num_resamples, n)
    means = np.zeros(num_resamples)
    for sign, scores in ((1, first), (-1, second)):
        k = len(scores)
        seeds = generator.multinomial(k, np.full(k, 1 / k), num_resamples) / k  # (num_resamples, k)
        enlarged = 1 / k + few * math.sqrt(k / max(k - 1, 1)) * (seeds - 1 / k)
        means += sign * ((enlarged @ scores) * images).sum(1)  # (num_resamples, n) -> (num_resamples,)
    low, high = np.quantile(means, [1 - upper, upper])
    return Interval(float(low), float(high))


def student_quantile(level: float, freedom: int) -> float:
    """Return the quantile of Student's t distribution for a level above 0.5, by bisection."""
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < level:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < level else (low, middle)
    return high


def _student_cdf(t: float, freedom: int) -> float:
    """Return P(T <= t) for t >= 0 in closed form (Abramowitz & Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    # Terms cos^2, cos^4, ... with factors 1/2, 1*3/(2*4), ..., or cos, cos^3, ... with 1, 2/3, ... for odd degrees.
    term, total = (math.cos(angle), math.cos(angle)) if odd else (1.0, 1.0)
    for power in range(2 + odd, freedom - 1, 2):
        term *= (power - 1) / power * math.cos(angle) ** 2
        total += term
    if not odd:
        return 0.5 + math.sin(angle) * total / 2
    return 0.5 + (angle + (math.sin(angle) * total if freedom > 1 else 0.0)) / math.pi


@dataclass(frozen=True)
class SignedRank:
    """Result of Wilcoxon's signed-rank test.

    Args:
        positive: sum of the ranks of positive differences.
        negative: sum of the ranks of negative differences.
        p: two-sided p value.
        exact: from the exact distribution, not from the normal approximation.
    """

    positive: float
    negative: float
    p: float
    exact: bool

    @property
    def rank_biserial(self) -> float:
        """Effect size (W+ - W-) / (W+ + W-), from -1 to 1 (Kerby 2014)."""
        total = self.positive + self.negative
        return (self.positive - self.negative) / total if total else 0.0


def signed_rank_test(differences: np.ndarray) -> SignedRank:
    """Test whether differences are symmetric about zero (Wilcoxon 1945), two-sided.

    Zeros are left out. Without zeros and ties the p value is exact; with them it comes from the normal approximation
    with correction for ties, without correction for continuity.
    """
    values = _checked(differences)
    kept = values[values != 0]
    n = len(kept)
    if n == 0:
        return SignedRank(0.0, 0.0, 1.0, exact=False)
    ranks, counts = _ranks(np.abs(kept))
    positive = float(ranks[kept > 0].sum())
    negative = n * (n + 1) / 2 - positive
    if n == len(values) and counts.max() == 1:
        return SignedRank(positive, negative, _exact_p(n, min(positive, negative)), exact=True)
    variance = n * (n + 1) * (2 * n + 1) / 24 - (counts.astype(float) ** 3 - counts).sum() / 48
    z = (min(positive, negative) - n * (n + 1) / 4) / math.sqrt(variance)
    return SignedRank(positive, negative, min(2 * _NORMAL.cdf(z), 1.0), exact=False)


def _ranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ranks from 1, the mean rank for ties, and the sizes of the groups of equal values."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[group], counts


def _exact_p(n: int, statistic: float) -> float:
    """Return P(min(W+, W-) <= statistic) when each of the ranks 1..n has either sign with probability 1/2."""
    # Probability of each sum of ranks; a rank is added or not.
    probability = np.ones(1)
    for rank in range(1, n + 1):
        padded = np.concatenate([probability, np.zeros(rank)])
        padded[rank:] += probability
        probability = padded / 2
    return min(2 * float(probability[: int(statistic) + 1].sum()), 1.0)


def sign_test(differences: np.ndarray) -> float:
    """Return the two-sided p value of as many positive among the differences that are not zero."""
    values = _checked(differences)
    positive, n = int((values > 0).sum()), int((values != 0).sum())
    tail = sum(math.comb(n, count) for count in range(min(positive, n - positive) + 1))
    return min(2 * tail / 2**n, 1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number (Holm 1979): below 0.05, the family-wise error stays below 0.05."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for position, index in enumerate(order):
        # An adjusted value is never below that of a smaller p.
        largest = max(largest, min((len(p_values) - position) * p_values[index], 1.0))
        adjusted[index] = largest
    return adjusted


def cohens_d(differences: np.ndarray) -> float:
    """Return the mean difference in standard deviations of the differences (Cohen's dz); infinite without spread."""
    values = _checked(differences)
    if len(values) < 2:
        raise ValueError(f"a standard deviation needs at least two images, got {len(values)}")
    deviation = values.std(ddof=1)
    if deviation == 0:
        return math.copysign(math.inf, values.mean()) if values.mean() else 0.0
    return float(values.mean() / deviation)


def smallest_p(n: int) -> float:
    """Return the smallest two-sided p value that the signed-rank test can give on n images."""
    return min(2.0 ** (1 - n), 1.0)


def _checked(differences: np.ndarray) -> np.ndarray:
    """Return finite values (n,) in float64.

    Raises:
        ValueError: another shape, no value, or values that are not finite.
    """
    values = np.asarray(differences, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"expected a difference per image, (n,), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("a difference is not finite: the PSNR of equal images is infinite, leave such images out")
    return values
