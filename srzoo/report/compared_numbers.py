"""Numbers of a comparison with all digits: CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Mapping

from srzoo.analysis.paired import PairedComparison
from srzoo.analysis.scored import Method
from srzoo.report.compared import Compared
from srzoo.report.compared_notes import Looks


def csv_text(compared: Compared) -> str:
    """Return one line per dataset, metric and network, with all digits, as CSV."""
    rows = [_numbers(compared, row) for row in compared.comparison.rows]
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue()


def _numbers(compared: Compared, row: PairedComparison) -> dict[str, object]:
    """Return everything about a comparison by name."""
    methods = {method.name: method for method in compared.methods}
    return {
        "dataset": row.dataset,
        "metric": row.metric,
        "protocol": row.protocol,
        "baseline": row.baseline,
        "network": row.candidate,
        "n": row.n,
        "files": row.num_files,
        "seeds_baseline": row.num_seeds[0],
        "seeds": row.num_seeds[1],
        "baseline_mean": methods[row.baseline].mean(row.dataset, row.metric),
        "mean": methods[row.candidate].mean(row.dataset, row.metric),
        "difference": row.difference,
        "interval_low": None if row.interval is None else row.interval.low,
        "interval_high": None if row.interval is None else row.interval.high,
        "interval_method": row.interval_method,
        "p": row.p,
        "p_method": row.p_method,
        "p_holm": row.p_holm,
        "p_sign": row.sign_p,
        "rank_biserial": row.rank_biserial,
        "cohens_d": row.cohens_d,
        "smallest_p": row.smallest_p,
        "detectable_difference": row.detectable,
        "distinguishable": row.distinguishable,
        **_costs(compared, row.candidate),
    }


def _costs(compared: Compared, name: str) -> dict[str, object]:
    """Return the costs of a network by name; None: unknown."""
    cost, speed = compared.costs.get(name, (None, None))
    return {
        "parameters": None if cost is None else cost.params_deployed,
        "multiply_adds": None if cost is None else cost.multiply_adds_with_attention_products,
        "latency_p50_ms": None if speed is None else speed.latency_p50_ms,
    }


def json_text(compared: Compared) -> str:
    """Return all numbers as JSON, those of every image too; null for infinity and for what is not a number."""
    comparisons = [
        {**_finite(_numbers(compared, row)), "left_out": list(row.left_out), "images": _per_image(row)}
        for row in compared.comparison.rows
    ]
    pairs = [
        {"dataset": row.dataset, "metric": row.metric, "networks": [row.baseline, row.candidate], "p": row.p}
        | {"p_holm": row.p_holm, "distinguishable": row.distinguishable}
        for row in compared.pairs.rows
    ]
    content = {
        "baseline": compared.comparison.baseline,
        "networks": [_network(compared, method) for method in compared.methods],
        "family": str(compared.comparison.family),
        "comparisons": comparisons,
        "family_of_pairs": str(compared.pairs.family),
        "pairs": pairs,
        "notes": compared.notes(Looks()),
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _network(compared: Compared, method: Method) -> dict[str, object]:
    """Return the costs of a network and its mean scores, one for each seed."""
    scores = {
        dataset: {metric: _seeds(method, dataset, metric) for metric in method.metrics(dataset)}
        for dataset in method.datasets
    }
    return {"name": method.name, "runs": list(method.seeds), **_costs(compared, method.name), "mean_of_runs": scores}


def _seeds(method: Method, dataset: str, metric: str) -> list[float | None]:
    return [float(mean) if math.isfinite(mean) else None for mean in method.seed_means(dataset, metric)]


def _per_image(row: PairedComparison) -> list[dict[str, object]]:
    return [
        {"image": image, "baseline": float(first), "network": float(second), "difference": float(difference)}
        for image, first, second, difference in zip(
            row.images, row.baseline_scores, row.candidate_scores, row.differences, strict=True
        )
    ]


def _finite(values: Mapping[str, object]) -> dict[str, object]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }
