"""Comparison of two networks on one dataset by one metric."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from srzoo.analysis.scored import Method
from srzoo.analysis.statistics import (
    Interval,
    bootstrap_interval,
    cohens_d,
    hierarchical_interval,
    sign_test,
    signed_rank_test,
    smallest_p,
)

# Two networks are distinguishable below this p value.
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """Comparison of a candidate with a baseline on one dataset by one metric.

    Args:
        dataset: its name.
        metric: its name.
        protocol: name of its protocol.
        higher_is_better: direction of the metric.
        baseline: name of a method.
        candidate: name of the other.
        images: (n,) names of the independent images; crops of one image are one.
        baseline_scores: (n,) scores of the images, averaged over crops and seeds.
        candidate_scores: (n,) likewise.
        num_files: scored files, crops counted each.
        left_out: files without a finite difference: their PSNR is infinite.
        num_seeds: of the baseline and of the candidate.
        interval: 95 % interval of the mean difference; None for a single image.
        interval_method: "BCa" over images, or "hierarchical" over seeds and images.
        p: two-sided, of the signed-rank test.
        p_method: "exact", or "normal approximation" with its reason.
        sign_p: two-sided, of the sign test.
        rank_biserial: effect size, from -1 to 1; above 0 the candidate has the larger scores.
        cohens_d: effect size, mean difference over standard deviation; not a number for a single image.
        p_holm: `p` adjusted for all comparisons that were made together.
        num_comparisons: made together.
    """

    dataset: str
    metric: str
    protocol: str
    higher_is_better: bool
    baseline: str
    candidate: str
    images: tuple[str, ...]
    baseline_scores: np.ndarray
    candidate_scores: np.ndarray
    num_files: int
    left_out: tuple[str, ...]
    num_seeds: tuple[int, int]
    interval: Interval | None
    interval_method: str
    p: float
    p_method: str
    sign_p: float
    rank_biserial: float
    cohens_d: float
    p_holm: float = 1.0
    num_comparisons: int = 1

    @property
    def n(self) -> int:
        """Number of independent images."""
        return len(self.images)

    @property
    def differences(self) -> np.ndarray:
        """Candidate minus baseline for each image, (n,)."""
        return self.candidate_scores - self.baseline_scores

    @property
    def difference(self) -> float:
        """Mean difference over images, candidate minus baseline."""
        return float(self.differences.mean())

    @property
    def smallest_p(self) -> float:
        """Smallest p value that this number of images can give, before Holm's adjustment."""
        return smallest_p(self.n)

    @property
    def distinguishable(self) -> bool:
        """True if p after Holm is below 0.05; with several seeds the interval over seeds must exclude 0 as well.

        The test over images knows nothing of other seeds: a difference that all images show may be that of one seed.
        """
        if max(self.num_seeds) > 1 and self.interval is not None and self.interval.low <= 0 <= self.interval.high:
            return False
        return self.p_holm < LEVEL

    @property
    def candidate_is_better(self) -> bool:
        """True if the candidate has the better mean, distinguishable or not."""
        return self.difference != 0 and (self.difference > 0) == self.higher_is_better

    @property
    def verdict(self) -> str:
        """Words for tables."""
        return "distinguishable" if self.distinguishable else "not distinguishable"

    @property
    def detectable(self) -> float:
        """Mean difference that images like these show in four cases of five; infinite if they are too few.

        Normal approximation: efficiency 3/pi of the signed-rank test, level 0.05 over the number of comparisons.
        """
        level = LEVEL / self.num_comparisons
        if self.n < 2 or self.smallest_p >= level:
            return math.inf
        normal = NormalDist()
        reach = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(0.8)
        # 1 + 2/n makes up for a deviation that is estimated from few images.
        effective = 3 / math.pi * self.n / (1 + 2 / self.n)
        return reach * float(self.differences.std(ddof=1)) / math.sqrt(effective)


def compare_pair(
    dataset: str,
    metric: str,
    baseline: Method,
    candidate: Method,
    *,
    crops: re.Pattern[str] | None = None,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> PairedComparison:
    """Compare two networks whose scores came about under the same conditions.

    Args:
        dataset: that both were scored on.
        metric: that both have.
        baseline: one network.
        candidate: the other.
        crops: end of a key that tells crops of one image apart; their scores are averaged. None: there are no crops.
        num_resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: no image has finite scores.
    """
    scores = baseline.any_scores(dataset)
    keys = np.array(scores.keys, dtype=object)
    first, second = (method.values(dataset, metric, scores.keys) for method in (baseline, candidate))  # (seeds, files)
    finite = np.isfinite(first).all(0) & np.isfinite(second).all(0)
    if not finite.any():
        raise ValueError(f"{dataset} {metric}: no image has a finite score in {baseline.name} and {candidate.name}")
    images, place = _images(keys[finite], crops)
    # (seeds, files) -> (seeds, n): the mean over the crops of each image
    first, second = (_per_image(values[:, finite], place) for values in (first, second))
    difference = second.mean(0) - first.mean(0)  # (n,)
    ranks, several = signed_rank_test(difference), max(len(first), len(second)) > 1
    interval = None
    if len(difference) > 1 and several:
        interval = hierarchical_interval(second, first, num_resamples=num_resamples, seed=seed)
    elif len(difference) > 1:
        interval = bootstrap_interval(difference, num_resamples=num_resamples, seed=seed)
    nonzero = int(np.count_nonzero(difference))
    return PairedComparison(
        dataset=dataset,
        metric=metric,
        protocol=str(scores.protocols[metric].get("name", metric)),
        higher_is_better=scores.higher_is_better(metric),
        baseline=baseline.name,
        candidate=candidate.name,
        images=tuple(images),
        baseline_scores=first.mean(0),
        candidate_scores=second.mean(0),
        num_files=int(finite.sum()),
        left_out=tuple(keys[~finite]),
        num_seeds=(len(first), len(second)),
        interval=interval,
        interval_method="hierarchical" if several else "BCa",
        # With ties the approximation may go below every value that so few signs can give.
        p=max(ranks.p, smallest_p(nonzero)) if nonzero else 1.0,
        p_method="exact" if ranks.exact else f"normal approximation ({_ties(difference)})",
        sign_p=sign_test(difference),
        rank_biserial=ranks.rank_biserial,
        cohens_d=cohens_d(difference) if len(difference) > 1 else math.nan,
    )


def _images(keys: Iterable[str], crops: re.Pattern[str] | None) -> tuple[list[str], np.ndarray]:
    """Return the images that files belong to, and the number of its image for each file."""
    names = [crops.sub("", key) if crops else key for key in keys]
    images = list(dict.fromkeys(names))
    number = {name: place for place, name in enumerate(images)}
    return images, np.array([number[name] for name in names])


def _per_image(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Average (seeds, files) over the files of each image: (seeds, n)."""
    counts = np.bincount(place)
    return np.stack([np.bincount(place, row) / counts for row in values])


def _ties(difference: np.ndarray) -> str:
    """Count what keeps the test from being exact."""
    sizes = np.abs(difference[difference != 0])
    zeros, tied = len(difference) - len(sizes), len(sizes) - len(np.unique(sizes))
    parts = [f"{zeros} without difference"] * bool(zeros) + [f"{tied} tie{'' if tied == 1 else 's'}"] * bool(tied)
    return ", ".join(parts)
