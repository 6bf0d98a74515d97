"""Figures of a comparison: the images of a dataset one by one, and their differences in order."""

from typing import TYPE_CHECKING

import numpy as np

from srzoo.analysis.comparison import Comparison
from srzoo.analysis.figures import COLOURS, new_figure
from srzoo.analysis.paired import PairedComparison
from srzoo.report.compared_notes import p_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Images that are named on the axis; more names than these would overlap.
_NAMED = 24
_POINT, _MEAN = COLOURS[0], COLOURS[1]


def figure_of(comparison: Comparison, dataset: str, metric: str) -> "Figure":
    """Draw every network's comparison with the baseline on one dataset by one metric.

    A row per network: on the left the score of each image against the baseline's, with the line of equal scores; on
    the right the differences in order, with their mean and its 95 % interval.
    """
    rows = [row for row in comparison.rows if (row.dataset, row.metric) == (dataset, metric)]
    figure = new_figure(10, 3.6 * len(rows) + 0.4, f"{dataset}, {metric} ({rows[0].protocol})")
    grid = figure.subplots(len(rows), 2, squeeze=False)
    for row, (left, right) in zip(rows, grid, strict=True):
        _draw_scores(left, row)
        _draw_differences(right, row)
    return figure


def _draw_scores(axes: "Axes", row: PairedComparison) -> None:
    axes.scatter(row.baseline_scores, row.candidate_scores, s=18, color=_POINT, alpha=0.8, edgecolors="none")
    both = np.concatenate([row.baseline_scores, row.candidate_scores])
    margin = 0.04 * (both.max() - both.min()) or 0.01
    ends = both.min() - margin, both.max() + margin
    axes.plot(ends, ends, color="black", linewidth=0.8, linestyle="--", label="equal scores")
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel(row.baseline, fontsize=8)
    axes.set_ylabel(row.candidate, fontsize=8)
    axes.legend(fontsize=8, loc="upper left")
    axes.set_title(f"{row.candidate}: n = {row.n}", fontsize=9)


def _draw_differences(axes: "Axes", row: PairedComparison) -> None:
    order = np.argsort(row.differences, kind="stable")
    places = np.arange(row.n)
    axes.axhline(0, color="black", linewidth=0.8, linestyle="--")
    if row.interval is not None:
        axes.axhspan(row.interval.low, row.interval.high, color=_MEAN, alpha=0.2, label="95 % interval of the mean")
    axes.axhline(row.difference, color=_MEAN, linewidth=1.2, label=f"mean {row.difference:+.4f}")
    axes.vlines(places, 0, row.differences[order], color=_POINT, linewidth=1, alpha=0.6)
    axes.scatter(places, row.differences[order], s=16, color=_POINT)
    if row.n <= _NAMED:
        axes.set_xticks(places, [row.images[place] for place in order], rotation=60, ha="right", fontsize=7)
    else:
        axes.set_xlabel("images in the order of their differences")
    axes.set_ylabel(f"{row.candidate} - {row.baseline}", fontsize=8)
    axes.set_title(f"p (Holm) = {p_text(row.p_holm)}: {row.verdict}", fontsize=9)
    # Differences rise from left to right: the corner without lines.
    axes.legend(fontsize=8, loc="upper left" if row.difference > 0 else "lower right")
