"""Scores of a study: means over seeds with their intervals, and the comparison of each variant with the first."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srzoo.analysis.comparison import Comparison, compare
from srzoo.analysis.scored import Method
from srzoo.analysis.seeds import SeedMean, mean_over_seeds
from srzoo.options import Study
from srzoo.report.compared import DIFFERENCES_HEAD, Compared, difference_rows
from srzoo.report.compared_notes import Looks, notes
from srzoo.report.compared_numbers import json_text
from srzoo.report.costs import Rows, aligned, markdown_table
from srzoo.report.results import read_groups
from srzoo.report.scores import MARGIN, with_margin
from srzoo.report.seeds import gather
from srzoo.studies.folder import StudyFolder


@dataclass(frozen=True)
class VariantScore:
    """Score of a variant on a dataset.

    Args:
        dataset: its name.
        metric: name of the metric.
        protocol: of the metric.
        variant: name of the variant.
        by_seed: seed -> mean over images.
    """

    dataset: str
    metric: str
    protocol: str
    variant: str
    by_seed: Mapping[int, float]

    @property
    def over_seeds(self) -> SeedMean:
        """Mean over seeds with the 95 % interval."""
        return mean_over_seeds(list(self.by_seed.values()))


@dataclass(frozen=True, eq=False)
class StudyScores:
    """Scores of the trainings of a study that are done.

    Args:
        study: the study.
        methods: a network for each variant with a training that is done, with its seeds.
    """

    study: Study
    methods: Sequence[Method]

    @property
    def table(self) -> list[VariantScore]:
        """Scores by metric, dataset and variant; a variant that is the same as another has those of that one."""
        seeds = {run.name: run.seed for run in self.study.runs}
        methods = {method.name: method for method in self.methods}
        every = [
            (metric, dataset) for each in self.methods for dataset in each.datasets for metric in each.metrics(dataset)
        ]
        metrics = list(dict.fromkeys(metric for metric, _ in every))
        scores: list[VariantScore] = []
        for metric, dataset in sorted(dict.fromkeys(every), key=lambda pair: metrics.index(pair[0])):
            for variant in self.study.variants:
                method = methods.get(variant.same_as or variant.name)
                if method is None or dataset not in method.datasets or metric not in method.metrics(dataset):
                    continue
                protocol = str(method.any_scores(dataset).protocols[metric].get("name"))
                means = [float(mean) for mean in method.seed_means(dataset, metric)]
                by_seed = dict(zip((seeds[name] for name in method.seeds), means, strict=True))
                scores.append(VariantScore(dataset, metric, protocol, variant.name, by_seed))
        return scores

    def comparison(self) -> Comparison | None:
        """Compare each variant with the first; None if that, or every other, has no scores.

        Raises:
            ValueError: scores cannot be compared, because their conditions differ.
        """
        baseline = self.study.variants[0].name
        first = [method for method in self.methods if method.name == baseline]
        others = [method for method in self.methods if method.name != baseline]
        return compare(first[0], others) if first and others else None


def read_scores(study: Study, folder: StudyFolder) -> StudyScores:
    """Read the results of all trainings that are done.

    Raises:
        ValueError: results are damaged, or two seeds of a variant have equal weights.
    """
    groups = []
    for variant in study.variants:
        done = [run for run in study.runs if run.variant == variant.name and folder.is_done(run)]
        if done:
            groups.append((variant.name, [folder.scored(run)[0].path for run in done]))
    return StudyScores(study, gather(read_groups(groups)).methods if groups else [])


def score_rows(scores: StudyScores) -> Rows:
    """Lay out scores as rows of cells under a head: a row per metric, dataset and variant."""
    same = {variant.name: variant.same_as for variant in scores.study.variants}
    rows, before = [["metric", "set", "variant", "mean over seeds", "seeds"]], ("", "")
    for score in scores.table:
        here = (f"{score.metric} ({score.protocol})", score.dataset)
        variant = f"{score.variant} (= {same[score.variant]})" if same[score.variant] else score.variant
        # Equal cells below each other are shown once.
        shown = [name if here[: number + 1] != before[: number + 1] else "" for number, name in enumerate(here)]
        rows.append([*shown, variant, _mean(score.over_seeds), str(score.over_seeds.num_seeds)])
        before = here
    return rows


def _mean(spread: SeedMean) -> str:
    """Write a mean with its margin: four decimals, and five for scores up to 1, as papers give SSIM."""
    return with_margin(f"{spread.mean:.{5 if abs(spread.mean) <= 1 else 4}f}", spread)


def text(scores: StudyScores, comparison: Comparison | None) -> str:
    """Return the tables and their notes as aligned text."""
    parts = [aligned(score_rows(scores), texts=3) + f"\n{MARGIN}"]
    if comparison is not None:
        looks = Looks()
        rows = [DIFFERENCES_HEAD, *difference_rows(comparison, looks.approximate)]
        parts += [f"compared with {comparison.baseline}:\n{aligned(rows, texts=3)}"]
        parts += ["\n".join(_notes(comparison, looks))]
    return "\n\n".join(parts)


def markdown(scores: StudyScores, comparison: Comparison | None) -> str:
    """Return the tables and their notes in Markdown."""
    parts = [f"# {scores.study.name}", markdown_table(score_rows(scores)), f"{MARGIN}."]
    if comparison is not None:
        rows = [DIFFERENCES_HEAD, *difference_rows(comparison, Looks().approximate)]
        parts += [f"Compared with {comparison.baseline}:", markdown_table(rows)]
        parts += ["\n".join(f"* {note}" for note in _notes(comparison, Looks()))]
    return "\n\n".join(parts) + "\n"


def _notes(comparison: Comparison, looks: Looks) -> list[str]:
    """Return the notes of a comparison without those on marks, which are not shown here, and on the scores' margin."""
    lines = notes(comparison, comparison, (), looks)
    return [line for line in lines if not line.startswith(f"{looks.star}: ") and line != MARGIN]


def numbers(scores: StudyScores, comparison: Comparison | None) -> str:
    """Return the content of results.json: each score by seed, mean and margin, and everything about the comparison."""
    rows = []
    for score in scores.table:
        spread = score.over_seeds
        rows.append(
            {
                "dataset": score.dataset,
                "metric": score.metric,
                "protocol": score.protocol,
                "variant": score.variant,
                "by_seed": {str(seed): _finite(value) for seed, value in score.by_seed.items()},
                "mean": _finite(spread.mean),
                "margin_95": spread.margin,
            }
        )
    content = {"study": scores.study.name, "scores": rows, "comparison": None}
    if comparison is not None:
        compared = json.loads(json_text(Compared(scores.methods, comparison, comparison, {})))
        # Variants are compared with the first alone.
        content["comparison"] = {
            key: value for key, value in compared.items() if key not in ("pairs", "family_of_pairs")
        }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _finite(value: float) -> float | str:
    # JSON has no infinity, which is text there.
    return value if math.isfinite(value) else str(value)
