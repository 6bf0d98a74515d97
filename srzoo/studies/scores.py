"""Scores of a study: mean over seeds with its interval, for each variant, dataset and metric."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srzoo.analysis.seeds import SeedMean, mean_over_seeds
from srzoo.options import Study
from srzoo.studies.folder import StudyFolder


@dataclass(frozen=True)
class VariantScore:
    """Score of a variant on a dataset.

    Args:
        dataset: its name.
        metric: name of the metric.
        protocol: of the metric.
        variant: name of the variant.
        seeds: of the trainings that have this score.
        values: mean over images for each of the seeds.
    """

    dataset: str
    metric: str
    protocol: str
    variant: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def over_seeds(self) -> SeedMean:
        """Mean over seeds with the 95 % interval."""
        return mean_over_seeds(self.values)


def study_scores(study: Study, folder: StudyFolder) -> list[VariantScore]:
    """Read the scores of all trainings that are done, ordered by metric, dataset and variant.

    A variant that is the same as another has the scores of that one.
    """
    found: dict[tuple[str, str, str], dict[str, dict[int, float]]] = {}
    for run in study.runs:
        if not (folder.is_trained(run) and folder.is_tested(run)):
            continue
        place, names = folder.scored(run)
        for name in names:
            results = json.loads(place.results_of(name).read_bytes())
            for metric, value in results["mean"].items():
                key = (metric, name, str(results["protocols"][metric]["name"]))
                # JSON has no infinity: an infinite PSNR is text there.
                found.setdefault(key, {}).setdefault(run.variant, {})[run.seed] = float(value)
    trained = {variant.name: variant.same_as or variant.name for variant in study.variants}
    metrics = list(dict.fromkeys(metric for metric, _, _ in found))
    return [
        VariantScore(dataset, metric, protocol, name, tuple(by_seed), tuple(by_seed.values()))
        for (metric, dataset, protocol), by_variant in sorted(found.items(), key=lambda item: metrics.index(item[0][0]))
        for name, own in trained.items()
        if (by_seed := by_variant.get(own))
    ]


def score_rows(study: Study, scores: Sequence[VariantScore]) -> list[list[str]]:
    """Lay out scores as rows of text, the first of which is the head: a row per metric, dataset and variant."""
    same = {variant.name: variant.same_as for variant in study.variants}
    rows = [["metric", "dataset", "variant", "mean over seeds", "seeds"]]
    before = ("", "")
    for score in scores:
        here = (f"{score.metric} ({score.protocol})", score.dataset)
        variant = f"{score.variant} (= {same[score.variant]})" if same[score.variant] else score.variant
        spread = score.over_seeds
        shown = [name if here[: number + 1] != before[: number + 1] else "" for number, name in enumerate(here)]
        rows.append([*shown, variant, number_with_margin(spread), str(spread.num_seeds)])
        before = here
    return rows


def number_with_margin(spread: SeedMean) -> str:
    """Write a mean with its margin; four decimals, and five for scores up to 1, as papers give SSIM."""
    decimals = 5 if abs(spread.mean) <= 1 else 4
    margin = "" if spread.margin is None else f" ± {spread.margin:.{decimals}f}"
    return f"{spread.mean:.{decimals}f}{margin}"


def scores_as_json(study: Study, scores: Sequence[VariantScore]) -> str:
    """Return the content of results.json: a value per seed, and mean and margin, for each score."""
    rows = []
    for score in scores:
        spread = score.over_seeds
        rows.append(
            {
                "dataset": score.dataset,
                "metric": score.metric,
                "protocol": score.protocol,
                "variant": score.variant,
                "by_seed": {str(seed): _finite(value) for seed, value in zip(score.seeds, score.values, strict=True)},
                "mean": _finite(spread.mean),
                "margin_95": spread.margin,
            }
        )
    content = {"study": study.name, "baseline": study.variants[0].name, "scores": rows}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a Markdown table."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body]) + "\n"


def _finite(value: float) -> float | str:
    return value if abs(value) != float("inf") else str(value)


def results_files(folder: StudyFolder) -> tuple[Path, Path]:
    """Return the places of the table and of its numbers: results.md and results.json."""
    return folder.path / "results.md", folder.path / "results.json"
