"""The two tables of a comparison of networks: scores as papers print them, and differences with their tests."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from srzoo.analysis.comparison import Comparison
from srzoo.analysis.cost import Cost
from srzoo.analysis.ranking import Ranking, ranking
from srzoo.analysis.scored import Method
from srzoo.analysis.speed import Speed
from srzoo.report.compared_notes import Looks, notes, p_text
from srzoo.report.costs import Rows
from srzoo.report.scores import cost_cells, cost_head, score_cell, with_margin

Mark = Literal["best", "second"]
DIFFERENCES_HEAD = [
    "set", "metric", "network", "n", "difference", "95 % interval", "p", "p (Holm)", "p (sign)", "r", "d", "verdict",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Compared:
    """Everything that tables of a comparison show.

    Args:
        methods: networks, the baseline among them, in the order of the rows.
        comparison: of the baseline with the others.
        pairs: of every network with every other, for the marks of best and second.
        costs: name of a network -> costs of its deployed form and its speed, as far as known.
        remarks: further lines for the notes, such as seeds that were found.
    """

    methods: Sequence[Method]
    comparison: Comparison
    pairs: Comparison
    costs: Mapping[str, tuple[Cost | None, Speed | None]]
    remarks: Sequence[str] = ()

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Dataset and metric of each column of scores."""
        return list(dict.fromkeys((row.dataset, row.metric) for row in self.pairs.rows))

    @property
    def timed(self) -> bool:
        """True if the latency of a network is known."""
        return any(speed is not None for _, speed in self.costs.values())

    def notes(self, looks: Looks) -> list[str]:
        """Return the lines below the tables, which name the marks by their looks."""
        return notes(self.comparison, self.pairs, self.remarks, looks)


def score_rows(compared: Compared, write: Callable[[str, Mark | None, bool], str]) -> Rows:
    """Return a row per network: its name, costs and scores.

    Args:
        compared: the comparison.
        write: (score, mark, True if distinguishable from the baseline) -> cell.
    """
    rankings = {column: ranking(compared.methods, compared.pairs, *column) for column in compared.columns}
    starred = {(row.dataset, row.metric, row.candidate) for row in compared.comparison.rows if row.distinguishable}
    table: Rows = []
    for method in compared.methods:
        cells = [method.name, *cost_cells(*compared.costs.get(method.name, (None, None)), timed=compared.timed)]
        for dataset, metric in compared.columns:
            mark = _mark(rankings[dataset, metric], method.name)
            cells.append(write(_score(method, dataset, metric), mark, (dataset, metric, method.name) in starred))
        table.append(cells)
    return table


def score_head(compared: Compared) -> list[str]:
    """Return the head of the table of scores."""
    columns = [f"{dataset} {metric}" for dataset, metric in compared.columns]
    return ["network", *cost_head(timed=compared.timed), *columns]


def _mark(found: Ranking, name: str) -> Mark | None:
    return "best" if name == found.best else "second" if name == found.second else None


def _score(method: Method, dataset: str, metric: str) -> str:
    """Return the mean score, with half of its 95 % interval over seeds."""
    if dataset not in method.datasets or metric not in method.metrics(dataset):
        return score_cell(None)
    spread = method.over_seeds(dataset, metric)
    return with_margin(score_cell(spread.mean), spread)


def difference_rows(comparison: Comparison, approximate: str) -> Rows:
    """Return a row per dataset, metric and network under :data:`DIFFERENCES_HEAD`; `approximate` marks p values."""
    table: Rows = []
    for row in comparison.rows:
        interval = "-" if row.interval is None else f"[{row.interval.low:+.4f}, {row.interval.high:+.4f}]"
        p = p_text(row.p) if row.p_method == "exact" else approximate + p_text(row.p)
        numbers = [f"{row.difference:+.4f}", interval, p, p_text(row.p_holm)]
        effects = [f"{row.rank_biserial:+.2f}", "-" if math.isnan(row.cohens_d) else f"{row.cohens_d:+.2f}"]
        cells = [row.dataset, row.metric, row.candidate, str(row.n), *numbers, p_text(row.sign_p), *effects]
        table.append([*cells, row.verdict])
    return table
