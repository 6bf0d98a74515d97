"""Paired comparisons: against scipy's values, scipy itself, and by simulation."""

import json
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.analysis.statistics import (
    bootstrap_interval,
    cohens_d,
    hierarchical_interval,
    holm,
    sign_test,
    signed_rank_test,
    smallest_p,
    student_quantile,
)
from tests.support import SHARED

INSIGHT = SHARED / "reference" / "insight"
CASES = ["stats_n5", "stats_n14", "stats_n100"]
needs_reference = pytest.mark.skipif(not INSIGHT.is_dir(), reason="needs the reference pack (SRZOO_SHARED)")


def reference(name):
    return json.loads((INSIGHT / "index.json").read_text())[name]


def differences(name):
    arrays = np.load(INSIGHT / f"{name}.npz")
    return arrays["a"] - arrays["b"]


@needs_reference
@pytest.mark.parametrize("name", CASES)
def test_intervals_tests_and_effects_equal_the_reference(name):
    d, wanted = differences(name), reference(name)["results"]
    for key in ("bootstrap", "bootstrap_n_resamples_differs"):
        case = wanted[key]
        found = bootstrap_interval(
            d, confidence=case["confidence"], num_resamples=case["n_resamples"], seed=case["seed"]
        )
        assert (found.low, found.high) == pytest.approx(case["BCa"], abs=1e-9)
    ranks = signed_rank_test(d)
    statistic, p = wanted["wilcoxon_two-sided"]["wilcox/exact"]
    assert ranks.exact
    assert (min(ranks.positive, ranks.negative), ranks.p) == pytest.approx((statistic, p), abs=1e-9)
    assert sign_test(d) == pytest.approx(wanted["sign_test"]["two-sided"], abs=1e-9)
    effect = wanted["effect"]
    assert (ranks.positive, ranks.negative) == pytest.approx((effect["W_plus"], effect["W_minus"]))
    assert ranks.rank_biserial == pytest.approx(effect["rank_biserial"], abs=1e-9)
    assert cohens_d(d) == pytest.approx(effect["cohen_dz"], abs=1e-9)


@needs_reference
def test_holm_equals_the_reference():
    case = reference("stats_holm")
    assert holm(case["p"]) == pytest.approx(case["holm_adjusted"], abs=1e-12)


@given(st.lists(st.integers(-6, 6), min_size=2, max_size=40))
@settings(max_examples=60)
def test_ties_and_zeros_are_treated_as_scipy_does(values):
    d = np.array(values, float)
    found = signed_rank_test(d)
    if not d.any():
        assert (found.p, found.exact) == (1.0, False)
        return
    kept = np.abs(d[d != 0])
    assert found.exact == (len(kept) == len(d) == len(np.unique(kept)))
    method = "exact" if found.exact else "asymptotic"
    _, wanted = scipy.stats.wilcoxon(d, zero_method="wilcox", method=method, correction=False)
    assert found.p == pytest.approx(wanted, abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_never_below_the_p_values(values):
    adjusted = holm(values)
    assert all(0 <= before <= after <= 1 for before, after in zip(values, adjusted, strict=True))
    pairs = sorted(zip(values, adjusted, strict=True))
    assert [a for _, a in pairs] == sorted(adjusted)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_the_smallest_p_is_reached_when_all_differences_agree(n):
    assert signed_rank_test(np.arange(1, n + 1) / 7).p == pytest.approx(smallest_p(n))
    assert smallest_p(5) == 0.0625


def test_the_interval_covers_the_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for number in range(400):
        found = bootstrap_interval(generator.normal(0.1, 1, 30), num_resamples=500, seed=number)
        covered += found.low <= 0.1 <= found.high
    assert 0.90 <= covered / 400 <= 0.98


def test_false_alarms_stay_below_one_in_twenty():
    generator = np.random.default_rng(1)
    for n in (6, 14, 40):
        alarms = sum(signed_rank_test(generator.normal(0, 1, n)).p < 0.05 for _ in range(1000))
        # 0.05 and three standard errors.
        assert alarms / 1000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


def test_seeds_widen_the_interval():
    generator = np.random.default_rng(2)
    images = generator.normal(30, 2, 50)
    # The seeds of a method differ by 0.2 dB, images agree otherwise.
    first = images + generator.normal(0, 0.2, (3, 1)) + generator.normal(0, 0.01, (3, 50))
    second = images + generator.normal(0, 0.2, (3, 1)) + generator.normal(0, 0.01, (3, 50))
    both = hierarchical_interval(first, second, num_resamples=2000)
    only_images = bootstrap_interval(first.mean(0) - second.mean(0), num_resamples=2000)
    assert both.high - both.low > 5 * (only_images.high - only_images.low)
    with pytest.raises(ValueError, match="with the same images"):
        hierarchical_interval(first, second[:, :40])


@pytest.mark.parametrize(("seeds", "others"), [(2, 2), (3, 3), (3, 5), (1, 3)])
def test_intervals_over_few_seeds_cover_the_difference(seeds, others):
    generator = np.random.default_rng(3)
    covered, rounds = 0, 300
    for number in range(rounds):
        images = generator.normal(30, 2, 40)
        # A lone seed must be at its method's mean: its deviation cannot be known.
        first = (
            images + (generator.normal(0, 0.05, (seeds, 1)) if seeds > 1 else 0) + generator.normal(0, 0.1, (seeds, 40))
        )
        second = images + 0.1 + generator.normal(0, 0.05, (others, 1)) + generator.normal(0, 0.1, (others, 40))
        found = hierarchical_interval(second, first, num_resamples=200, seed=number)
        covered += found.low <= 0.1 <= found.high
    assert covered / rounds >= 0.93


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 8, 40])
def test_quantiles_of_student_equal_those_of_scipy(freedom):
    for level in (0.6, 0.9, 0.975, 0.999):
        assert student_quantile(level, freedom) == pytest.approx(scipy.stats.t.ppf(level, freedom), rel=1e-9)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, math.inf], [math.nan]])
def test_values_that_are_no_differences_are_refused(values):
    for test in (signed_rank_test, sign_test, bootstrap_interval, cohens_d):
        with pytest.raises(ValueError, match="difference"):
            test(np.array(values))


def test_differences_without_spread_have_an_interval_of_one_point():
    found = bootstrap_interval(np.full(6, 0.25))
    assert (found.low, found.high) == (0.25, 0.25)
    assert cohens_d(np.full(6, 0.25)) == math.inf
