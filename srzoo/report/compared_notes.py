"""Lines below the tables of a comparison: what was tested, over what, and what so many images can show."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from srzoo.analysis.comparison import Comparison
from srzoo.analysis.paired import LEVEL, PairedComparison
from srzoo.analysis.statistics import smallest_p
from srzoo.report.scores import MARGIN

T = TypeVar("T")


@dataclass(frozen=True)
class Looks:
    """Marks of a table, as its notes call them.

    Args:
        best: of the best score of a column.
        second: of the second.
        star: of a score that is distinguishable from the baseline's.
        approximate: before a p value that is not exact.
    """

    best: str = "[1]"
    second: str = "[2]"
    star: str = "*"
    approximate: str = "~"


def notes(comparison: Comparison, pairs: Comparison, remarks: Sequence[str], looks: Looks) -> list[str]:
    """Return the notes, a sentence or two each.

    Args:
        comparison: of a baseline with other networks.
        pairs: of every network with every other.
        remarks: further notes.
        looks: of the marks.
    """
    lines = [
        f"difference: network minus {comparison.baseline}, mean over the n images of a set, with its 95 % interval "
        f"({_intervals(comparison.rows)})",
        f"p: Wilcoxon's signed-rank test over images, two-sided, {_exactness(comparison.rows, looks)}; p (sign): sign "
        f"test; p (Holm): p adjusted for {comparison.family}",
        "r: rank-biserial correlation; d: mean over standard deviation of the differences",
        f"distinguishable: p (Holm) below {LEVEL}, whatever the interval{_seeds_rule(comparison.rows)}",
        f"{looks.star}: distinguishable from {comparison.baseline}; {looks.best}: best, {looks.second}: second, only "
        "where distinguishable from all networks behind it" + _pairs_rule(comparison, pairs),
        *_reach(comparison.rows),
        *_images(comparison.rows),
        *_seeds(comparison.rows),
        "protocols: " + "; ".join(_unique(f"{row.metric}: {row.protocol}" for row in comparison.rows)),
    ]
    lines += [f"accepted: {each}" for each in comparison.accepted]
    return [*lines, *comparison.notes, *remarks]


def p_text(p: float) -> str:
    """Write a p value to four decimals."""
    return "<0.0001" if p < 0.00005 else f"{p:.4f}"


def _intervals(rows: Iterable[PairedComparison]) -> str:
    words = {
        "BCa": "BCa bootstrap over images",
        "hierarchical": "bootstrap over seeds and images, widened for few seeds",
    }
    return "; ".join(_unique(words[row.interval_method] for row in rows))


def _exactness(rows: Iterable[PairedComparison], looks: Looks) -> str:
    listed = [
        f"{row.dataset} {row.metric} {row.candidate}: {row.p_method.removeprefix('normal approximation ')}"
        for row in rows
        if row.p_method != "exact"
    ]
    return f"exact except {looks.approximate}, by normal approximation ({_first(listed)})" if listed else "exact"


def _seeds_rule(rows: Sequence[PairedComparison]) -> str:
    several = any(max(row.num_seeds) > 1 for row in rows)
    return "; of several seeds also that the interval over seeds and images excludes 0" if several else ""


def _pairs_rule(comparison: Comparison, pairs: Comparison) -> str:
    # Of two networks the only pair is that of the first table.
    return f" (Holm over {pairs.family})" if pairs.family.count != comparison.family.count else ""


def _reach(rows: Sequence[PairedComparison]) -> list[str]:
    """Say what the images of each set can and cannot show."""
    lines: list[str] = []
    for dataset, n in _unique((row.dataset, row.n) for row in rows):
        mine = [row for row in rows if (row.dataset, row.n) == (dataset, n)]
        least, count = smallest_p(n), mine[0].num_comparisons
        if n == 1:
            hint = " (--crops '' if its files are independent images)" if mine[0].num_files > 1 else ""
            lines.append(f"{dataset}: one image says nothing about others: no difference is distinguishable{hint}")
        elif least >= LEVEL:
            lines.append(
                f"{dataset}: {n} images cannot give a p below {least:.4g}: no difference on them is distinguishable, "
                f"however large; {_needed(count)} images can show one among {count} comparison{'s' * (count > 1)}"
            )
        elif least * count >= LEVEL:
            lines.append(
                f"{dataset}: {n} images give a p of {p_text(least)} at best, {p_text(min(least * count, 1.0))} after "
                f"Holm if it is the smallest of {count}: a difference is distinguishable only behind enough "
                f"smaller p values; {_needed(count)} images can show one in any case"
            )
        else:
            lines += _missed(dataset, n, mine)
    return lines


def _needed(count: int) -> int:
    """Return the number of images whose smallest p stays below the level after Holm over `count` comparisons."""
    return next(n for n in range(1, 64) if smallest_p(n) * count < LEVEL)


def _missed(dataset: str, n: int, rows: Sequence[PairedComparison]) -> list[str]:
    """Say which differences would have been seen, where there are none; several seeds limit them in another way."""
    lines: list[str] = []
    for metric in _unique(row.metric for row in rows):
        unseen = [row for row in rows if row.metric == metric and not row.distinguishable]
        seen = [row.detectable for row in unseen if max(row.num_seeds) == 1]
        if any(seen):
            least, most = f"{min(seen):.4f}", f"{max(seen):.4f}"
            lines.append(
                f"{dataset} {metric}: {n} images with differences as spread as these show a mean difference of "
                f"{least if least == most else f'{least} to {most}'} in four cases of five, and smaller ones less often"
            )
    return lines


def _images(rows: Sequence[PairedComparison]) -> list[str]:
    """Say which files are crops of one image, and which are left out."""
    lines = _unique(
        f"{row.dataset}: {row.num_files} files show {row.n} image{'s' * (row.n > 1)}: scores are averaged over the "
        "crops of an image first, because these are not independent"
        for row in rows
        if row.num_files > row.n
    )
    return lines + [
        f"{row.dataset} {row.metric} {row.candidate}: left out, as a score is infinite: {_first(row.left_out, ', ')}"
        for row in rows
        if row.left_out
    ]


def _seeds(rows: Sequence[PairedComparison]) -> list[str]:
    """Say how many seeds there are, and what so few of them show."""
    numbers = dict(
        [(row.baseline, row.num_seeds[0]) for row in rows] + [(row.candidate, row.num_seeds[1]) for row in rows]
    )
    if max(numbers.values()) == 1:
        return []
    lines = ["seeds: " + ", ".join(f"{name} {count}" for name, count in numbers.items()), MARGIN]
    if single := [name for name, count in numbers.items() if count == 1]:
        lines.append(f"one seed of {', '.join(single)} says nothing about its others: intervals know nothing of them")
    return lines


def _first(texts: Sequence[str], separator: str = "; ", listed: int = 8) -> str:
    """Join the first texts, and say how many more there are."""
    more = f"{separator}... ({len(texts) - listed} more)" if len(texts) > listed else ""
    return separator.join(texts[:listed]) + more


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
