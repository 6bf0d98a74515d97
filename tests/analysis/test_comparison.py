"""Comparisons of networks: equal to the reference, sound in simulation, and refused where scores are unlike."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from srzoo.analysis.comparison import Choices, compare, compare_all_pairs
from srzoo.analysis.conditions import APPLICATION
from srzoo.analysis.ranking import ranking
from srzoo.analysis.scored import Method
from srzoo.analysis.statistics import holm, signed_rank_test
from tests.analysis.scored_networks import network, set_scores
from tests.support import SHARED

INSIGHT = SHARED / "reference" / "insight"
QUICK = Choices(num_resamples=400)


def only(first, second, choices=QUICK):
    (row,) = compare(first, [second], choices).rows
    return row


@pytest.mark.skipif(not INSIGHT.is_dir(), reason="needs the reference pack (SRZOO_SHARED)")
@pytest.mark.parametrize("name", ["stats_n5", "stats_n14", "stats_n100"])
def test_a_comparison_equals_the_reference(name):
    wanted = json.loads((INSIGHT / "index.json").read_text())[name]["results"]
    arrays = np.load(INSIGHT / f"{name}.npz")
    row = only(network("b", arrays["b"]), network("a", arrays["a"]), Choices())
    assert row.difference == pytest.approx((arrays["a"] - arrays["b"]).mean(), abs=1e-12)
    assert (row.p, row.p_method) == (pytest.approx(wanted["wilcoxon_two-sided"]["wilcox/exact"][1], abs=1e-9), "exact")
    assert row.sign_p == pytest.approx(wanted["sign_test"]["two-sided"], abs=1e-9)
    assert row.rank_biserial == pytest.approx(wanted["effect"]["rank_biserial"], abs=1e-9)
    assert row.cohens_d == pytest.approx(wanted["effect"]["cohen_dz"], abs=1e-9)
    # The resamples of scipy are others.
    found = scipy.stats.bootstrap((arrays["a"] - arrays["b"],), np.mean, n_resamples=10_000, rng=1, method="BCa")
    assert row.interval is not None
    width = row.interval.high - row.interval.low
    assert (row.interval.low, row.interval.high) == pytest.approx(tuple(found.confidence_interval), abs=0.05 * width)


def three_networks(n=14, seed=0):
    generator = np.random.default_rng(seed)
    base = 28 + 3 * generator.standard_normal(n)

    def scores(gain):
        values = {"psnr": base + gain + 0.1 * generator.standard_normal(n), "ssim": base / 40 + gain / 100}
        return {"Set14": set_scores(values), "BSD100": set_scores({"psnr": values["psnr"] + 1})}

    return [Method(name, {name: scores(gain)}) for name, gain in (("plain", 0), ("better", 0.4), ("best", 0.9))]


def test_holm_adjusts_for_every_comparison_made_together():
    plain, *others = three_networks()
    found = compare(plain, others, QUICK)
    assert str(found.family) == "6 comparisons: 2 sets x 2 metrics x 2 networks, as far as there are scores"
    assert [row.p_holm for row in found.rows] == holm([row.p for row in found.rows])
    assert max(row.p_holm / row.p for row in found.rows) == pytest.approx(6)
    narrow = compare(plain, others, dataclasses.replace(QUICK, datasets=["BSD100"], metrics=["psnr"]))
    assert str(narrow.family) == "2 comparisons: 1 set x 1 metric x 2 networks"
    assert str(compare_all_pairs([plain, *others], QUICK).family).startswith(
        "9 comparisons: 2 sets x 2 metrics x 3 pairs"
    )


@pytest.mark.parametrize("kind", ["datasets", "metrics"])
def test_scores_that_nobody_has_are_refused(kind):
    plain, *others = three_networks()
    with pytest.raises(ValueError, match=r"no scores for .* Set15; there are: "):
        compare(plain, others, dataclasses.replace(QUICK, **{kind: ["Set15"]}))


def test_five_images_show_nothing_however_large_the_difference():
    b = np.array([30.0, 31, 32, 33, 34])
    row = only(network("b", b), network("a", b * 1.1))
    assert (row.p, row.smallest_p, row.detectable) == (0.0625, 0.0625, math.inf)
    assert row.interval is not None
    assert row.interval.low > 0
    assert not row.distinguishable
    assert row.verdict == "not distinguishable"
    # Equal differences are ties, whose normal approximation goes down to 0.025.
    tied = only(network("b", b), network("a", b + 1))
    assert (tied.p, tied.distinguishable) == (0.0625, False)
    assert tied.p_method == "normal approximation (4 ties)"


def test_equal_networks_are_not_distinguishable():
    b = np.arange(30.0, 45)
    row = only(network("b", b), network("a", b))
    assert (row.p, row.difference, row.rank_biserial, row.cohens_d) == (1, 0, 0, 0)
    assert row.p_method == "normal approximation (15 without difference)"
    assert not row.candidate_is_better


def test_one_image_has_no_interval():
    row = only(network("b", [30.0]), network("a", [31.0]))
    assert (row.n, row.interval, row.p, row.distinguishable) == (1, None, 1, False)
    assert math.isnan(row.cohens_d)


def test_images_are_matched_by_name():
    first = network("b", [30.0, 31, 32], data_sha256=None)
    second = network("a", [32.0, 31, 30], data_sha256=None, keys=("img_002", "img_001", "img_000"))
    assert only(first, second).difference == 0


def test_crops_of_one_image_count_once():
    keys = tuple(f"img_{image}_s{crop:03}" for image in range(3) for crop in range(1, 5))
    b = np.arange(12.0)
    row = only(network("b", b, keys=keys), network("a", b + np.repeat([1.0, 2, 4], 4), keys=keys))
    assert (row.n, row.num_files, row.images) == (3, 12, ("img_0", "img_1", "img_2"))
    assert row.differences == pytest.approx([1, 2, 4])
    assert row.p == 0.25
    single = dataclasses.replace(QUICK, crops="")
    assert only(network("b", b, keys=keys), network("a", b + 1, keys=keys), single).n == 12
    frames = tuple(f"clip_{clip}/{frame}" for clip in range(2) for frame in range(6))
    folder = dataclasses.replace(QUICK, crops="/[^/]+$")
    assert only(network("b", b, keys=frames), network("a", b + 1, keys=frames), folder).images == ("clip_0", "clip_1")


def test_images_with_infinite_scores_are_left_out():
    row = only(network("b", [30.0, math.inf, 32, 33]), network("a", [31.0, math.inf, math.inf, 35]))
    assert (row.n, row.left_out) == (2, ("img_001", "img_002"))
    assert row.difference == 1.5
    with pytest.raises(ValueError, match="no image has a finite score"):
        only(network("b", [math.inf]), network("a", [31.0]))


UNLIKE = {
    "name": {"protocol": {"name": "imdn-y"}},
    "crop_border": {"protocol": {"crop_border": 2}},
    "modcrop": {"protocol": {"modcrop": 12}},
    "lq_multiple": {"protocol": {"lq_multiple": 2}},
    "metric": {"protocol": {"metric": "LPIPS"}},
    "tile": {"inference": {"tile": 64, "tile_overlap": 32}},
    "tile_rule": {"inference": {"tile_rule": "acs"}},
    "ensemble": {"inference": {"ensemble": "x8"}},
    "precision": {"inference": {"precision": "bfloat16"}},
    "checksum of the images": {"data_sha256": "5678"},
    "images": {"keys": ("other", "img_001", "img_002")},
    "scale": {"scale": 3},
    "option round_lq of the dataset": {"data": {"round_lq": False}},
}


@pytest.mark.parametrize("fact", UNLIKE)
def test_unlike_scores_are_refused(fact):
    usual: dict[str, Any] = {"data": {"round_lq": True, "gt": "a/GT", "cache": False}}
    same = network("c", [1.0, 2, 3], **usual)
    unlike = network("b", [1.0, 2, 3], **(usual | UNLIKE[fact]))
    with pytest.raises(ValueError, match="cannot be compared") as caught:
        compare(network("a", [1.0, 2, 3], **usual), [same, unlike], QUICK)
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 1
    assert f"{fact}: " in lines[0]
    assert " in a, c; " in lines[0]
    assert "; test all networks" in lines[0] or "; compare networks" in lines[0]


def test_all_differences_are_listed_and_only_tiles_and_the_like_can_be_accepted():
    first = network("a", [1.0, 2, 3])
    facts: dict[str, Any] = {"data_sha256": "5678"} | {
        "protocol": {"crop_border": 2},
        "inference": {"tile": 64, "ensemble": "x8"},
    }
    with pytest.raises(ValueError, match="cannot be compared") as caught:
        compare(first, [network("b", [1.0, 2, 3], **facts)], QUICK)
    assert len(str(caught.value).splitlines()) == 5
    tiled = network("b", [1.0, 2, 3], inference={"tile": 64, "tile_overlap": 8})
    found = compare(first, [tiled], dataclasses.replace(QUICK, allow=["tile"]))
    assert found.accepted == ("Set14: tile: whole images in a; 64 with overlap 8 in b",)
    with pytest.raises(ValueError, match=f"only {', '.join(APPLICATION)} may be allowed to differ, got crop_border"):
        compare(first, [tiled], dataclasses.replace(QUICK, allow=["crop_border"]))


@pytest.mark.parametrize(
    "facts",
    [
        {"inference": {"tile": "auto: whole images", "fused": True, "padding": "inside the network"}},
        {"protocol": {"higher_is_better": True}},
        {"data": {"gt": "elsewhere/GT", "cache": True}},
        {"step": 5000},
    ],
)
def test_facts_that_change_no_score_may_differ(facts):
    first = network("a", [1.0, 2, 3], data={"gt": "a/GT", "cache": False})
    assert compare(first, [network("b", [1.0, 2, 3], **facts)], QUICK).notes == ()


def test_another_machine_is_noted():
    first = network("a", [1.0, 2, 3], machine={"device": "cpu"})
    found = compare(first, [network("b", [1.0, 2, 3], machine={"device": "NVIDIA"})], QUICK)
    assert found.notes == ("Set14: device: cpu in a; NVIDIA in b; the last digits may differ",)


def test_scores_without_a_partner_are_noted():
    first, second = network("a", [1.0, 2, 3]), network("b", [1.0, 2, 3])
    both = {"Set14": set_scores({"psnr": [1.0, 2, 3], "ssim": [1.0, 2, 3]}), "Set5": set_scores({"psnr": [1.0]})}
    found = compare(first, [second, Method("c", {"c": both})], QUICK)
    assert [row.candidate for row in found.rows] == ["b", "c"]
    assert found.notes == ("Set5: no scores of a, b", "ssim: only of c, on Set14")
    with pytest.raises(ValueError, match="no dataset and metric in common"):
        compare(first, [network("b", [1.0, 2], dataset="Set5")], QUICK)
    with pytest.raises(ValueError, match="two or more networks, with different names"):
        compare(first, [network("a", [1.0, 2, 3])], QUICK)


def test_seeds_are_resampled_with_the_images():
    generator = np.random.default_rng(3)
    images = 28 + generator.standard_normal(40)

    def seeds(shift, spread):
        return [images + shift + spread * offset + 0.01 * generator.standard_normal(40) for offset in (-1, 0.2, 0.8)]

    # The same mean difference, once far beyond the seeds' spread and once within it.
    steady = only(network("b", *seeds(0, 0.01)), network("a", *seeds(0.1, 0.01)))
    assert (steady.num_seeds, steady.interval_method) == ((3, 3), "hierarchical")
    assert steady.distinguishable
    spread = only(network("b", *seeds(0, 0.4)), network("a", *seeds(0.1, 0.4)))
    assert spread.difference == pytest.approx(0.1, abs=0.01)
    assert spread.p_holm < 0.001
    assert spread.interval is not None
    assert spread.interval.low < 0 < spread.interval.high
    assert not spread.distinguishable


def test_only_p_decides_for_single_seeds():
    # The interval excludes 0, p after Holm is above 0.05.
    b = np.arange(30.0, 36)
    differences = np.array([0.3, 0.31, 0.32, 0.33, 0.34, -0.01])
    row = only(network("b", b), network("a", b + differences))
    assert row.interval is not None
    assert row.interval.low > 0
    assert row.p == 0.0625
    assert not row.distinguishable


def test_best_and_second_are_marked_only_where_they_are_told_apart():
    methods = three_networks()
    pairs = compare_all_pairs(methods, QUICK)
    found = ranking(methods, pairs, "BSD100", "psnr")
    assert (found.best, found.second) == ("best", "better")
    few = [Method(each.name, {each.name: {"Set14": set_scores({"psnr": each.any_scores("Set14").values["psnr"][:5]})}})
           for each in methods]  # fmt: skip
    found = ranking(few, compare_all_pairs(few, QUICK), "Set14", "psnr")
    assert (found.best, found.second) == (None, None)


def test_lower_is_better_for_distances():
    base = np.linspace(0.2, 0.4, 20)
    lower: dict[str, Any] = {"protocol": {"higher_is_better": False}}
    methods = [network("far", base, **lower), network("near", base - np.linspace(0.01, 0.03, 20), **lower)]
    pairs = compare_all_pairs(methods, QUICK)
    assert pairs.rows[0].candidate_is_better
    assert ranking(methods, pairs, "Set14", "psnr").best == "near"


def test_second_needs_its_lead_over_the_third_alone():
    base = np.linspace(28, 32, 12)
    noise = np.tile([0.01, -0.012], 6) * np.linspace(1, 2, 12)
    methods = [network("a", base), network("b", base + noise), network("c", base + np.linspace(0.5, 0.7, 12))]
    found = ranking(methods, compare_all_pairs(methods, QUICK), "Set14", "psnr")
    assert (found.best, found.second) == ("c", None)


def simulated(rounds, n, shift, generator, choices=QUICK):
    """Return comparisons of networks whose differences have a mean of `shift` and heavy tails."""
    for _ in range(rounds):
        base = generator.normal(28, 3, n)
        yield only(network("b", base), network("a", base + shift + 0.1 * generator.standard_t(4, n)), choices)


def test_false_alarms_stay_below_one_in_twenty():
    generator = np.random.default_rng(5)
    alarms = sum(row.distinguishable for row in simulated(400, 14, 0.0, generator, Choices(num_resamples=20)))
    # 0.05 and two standard errors.
    assert alarms / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_a_family_of_equal_networks_raises_few_alarms():
    generator = np.random.default_rng(6)
    alarms = 0
    for _ in range(120):
        base = generator.normal(28, 3, 20)
        others = [network(f"n{number}", base + 0.1 * generator.standard_normal(20)) for number in range(6)]
        found = compare(network("b", base + 0.1 * generator.standard_normal(20)), others, Choices(num_resamples=20))
        alarms += any(row.distinguishable for row in found.rows)
    assert alarms / 120 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 120)


def test_the_interval_covers_the_mean_difference():
    generator = np.random.default_rng(7)
    rows = list(simulated(300, 40, 0.05, generator))
    covered = sum(row.interval is not None and row.interval.low <= 0.05 <= row.interval.high for row in rows)
    assert 0.90 <= covered / 300 <= 0.98


def test_what_is_called_detectable_is_found_in_four_cases_of_five():
    generator = np.random.default_rng(8)
    base = generator.normal(28, 3, 20)
    differences = generator.normal(0, 0.1, 20)
    shift = only(network("b", base), network("a", base + differences)).detectable
    deviation = differences.std(ddof=1)
    found = sum(signed_rank_test(generator.normal(shift, deviation, 20)).p < 0.05 for _ in range(1500))
    # 0.8 and three standard errors.
    assert found / 1500 == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / 1500))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "coverage"), [(8, 0.82), (14, 0.87), (40, 0.9), (100, 0.9)])
def test_many_simulations_agree_with_the_stated_levels(n, coverage):
    generator = np.random.default_rng(9)
    rows = list(simulated(1000, n, 0.0, generator, Choices(num_resamples=1000)))
    # 0.05 and two standard errors; an exact test has a level of 0.05 or less.
    assert np.mean([row.distinguishable for row in rows]) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)
    covered = np.mean([row.interval is not None and row.interval.low <= 0 <= row.interval.high for row in rows])
    # A bootstrap of few values, or of heavy tails, knows too few of them: docs/comparing.md says so.
    assert covered >= coverage
