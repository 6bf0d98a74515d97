"""Best and second networks of a table, as far as they can be told from the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from srzoo.analysis.comparison import Comparison
from srzoo.analysis.scored import Method


@dataclass(frozen=True)
class Ranking:
    """Best networks on one dataset by one metric.

    Args:
        best: distinguishable from, and better than, every other network; None: there is none.
        second: the same for all networks but the best one.
    """

    best: str | None
    second: str | None


def ranking(methods: Sequence[Method], pairs: Comparison, dataset: str, metric: str) -> Ranking:
    """Return the best and the second network of a column of a table.

    Args:
        methods: networks of the table.
        pairs: comparisons of all of their pairs.
        dataset: of the column.
        metric: of the column.
    """
    better: dict[str, set[str]] = {}
    for row in pairs.rows:
        if (row.dataset, row.metric) == (dataset, metric):
            higher, lower = (row.candidate, row.baseline) if row.candidate_is_better else (row.baseline, row.candidate)
            better.setdefault(lower, set())
            better.setdefault(higher, set()).update([lower] if row.distinguishable else [])
    names = [method.name for method in methods if method.name in better]
    best = next((name for name in names if len(better[name]) == len(names) - 1), None)
    # The second is ahead of all but the best, which is ahead of it.
    second = next((name for name in names if best is not None and len(better[name] - {best}) == len(names) - 2), None)
    return Ranking(best, second)
