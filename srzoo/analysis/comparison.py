"""Comparisons of networks: per dataset and metric a difference, its interval, tests and their verdict.

Two networks are called distinguishable on a dataset only if the two-sided p value of Wilcoxon's signed-rank test over
its images, adjusted by Holm for all comparisons made together, is below 0.05. The tests are those of
:mod:`srzoo.analysis.statistics`.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from srzoo.analysis.conditions import differences
from srzoo.analysis.paired import PairedComparison, compare_pair
from srzoo.analysis.scored import Method
from srzoo.analysis.statistics import holm
from srzoo.keys import SUB_IMAGE


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Scores to compare, and how.

    Args:
        datasets: None: all.
        metrics: None: all.
        allow: differences in the application of networks to accept, of :data:`srzoo.analysis.conditions.APPLICATION`.
        crops: regular expression for the end of a key that tells crops of one image apart. Their scores are averaged,
            so that an image counts once; "" makes every file an image.
        num_resamples: of the bootstrap.
        seed: of the bootstrap.
    """

    datasets: Collection[str] | None = None
    metrics: Collection[str] | None = None
    allow: Collection[str] = ()
    crops: str = SUB_IMAGE
    num_resamples: int = 10_000
    seed: int = 0


@dataclass(frozen=True)
class Family:
    """Comparisons that Holm's adjustment takes together.

    Args:
        datasets: compared.
        metrics: compared.
        partners: pairs of networks, or networks beside a baseline.
        count: comparisons in all.
        pairs: True if all pairs of networks are compared, False if each is compared with a baseline.
    """

    datasets: tuple[str, ...]
    metrics: tuple[str, ...]
    partners: int
    count: int
    pairs: bool = False

    def __str__(self) -> str:
        partners = _counted(self.partners, "network")
        if self.pairs:
            partners = f"{_counted(self.partners, 'pair')} of networks"
        parts = [_counted(len(self.datasets), "set"), _counted(len(self.metrics), "metric"), partners]
        whole = len(self.datasets) * len(self.metrics) * self.partners == self.count
        rest = "" if whole else ", as far as there are scores"
        return f"{_counted(self.count, 'comparison')}: {' x '.join(parts)}{rest}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Comparisons made together.

    Args:
        baseline: name of the network that the others are compared with; "" for all pairs.
        rows: one for each dataset, metric and network, in this order.
        family: comparisons that Holm's adjustment takes together.
        accepted: differences in the application of the networks that the caller accepted.
        notes: scores that were left out, and smaller differences between runs.
    """

    baseline: str
    rows: tuple[PairedComparison, ...]
    family: Family
    accepted: tuple[str, ...]
    notes: tuple[str, ...]


# Dataset, metric, baseline and candidate.
_Chosen = tuple[str, str, Method, Method]


def compare(baseline: Method, others: Sequence[Method], choices: Choices = Choices()) -> Comparison:
    """Compare networks with a baseline on every dataset and by every metric that both have.

    Args:
        baseline: the network that the others are compared with.
        others: the other networks, with other names.
        choices: scores to compare, and how.

    Raises:
        ValueError: protocols, crops, tiles, data or precision differ (all differences are listed), or there is nothing
            to compare.
    """
    return _compared([(baseline, other) for other in others], baseline.name, choices)


def compare_all_pairs(methods: Sequence[Method], choices: Choices = Choices()) -> Comparison:
    """Compare every network with every later one; arguments and errors as for :func:`compare`."""
    pairs = [(first, second) for place, first in enumerate(methods) for second in methods[place + 1 :]]
    return _compared(pairs, "", choices)


def _compared(pairs: Sequence[tuple[Method, Method]], baseline: str, choices: Choices) -> Comparison:
    methods = list({id(method): method for pair in pairs for method in pair}.values())
    if len(methods) < 2 or len({method.name for method in methods}) < len(methods):
        raise ValueError("a comparison needs two or more networks, with different names")
    chosen, notes = _chosen(pairs, methods, choices)
    datasets, metrics = (_unique(str(each[place]) for each in chosen) for place in (0, 1))
    scored = {
        # The run of a network with one seed goes by the network's name.
        f"{method.name} ({label})" if len(method.seeds) > 1 else method.name: sets
        for method in methods
        for label, sets in method.seeds.items()
    }
    found = differences(scored, datasets, metrics, choices.allow)
    if found.faults:
        raise ValueError("these scores cannot be compared:\n" + "\n".join(f"  {fault}" for fault in found.faults))
    crops = re.compile(choices.crops) if choices.crops else None
    rows = [compare_pair(*each, crops=crops, num_resamples=choices.num_resamples, seed=choices.seed) for each in chosen]
    adjusted = holm([row.p for row in rows])
    rows = [replace(row, p_holm=p, num_comparisons=len(rows)) for row, p in zip(rows, adjusted, strict=True)]
    partners = len({(row.baseline, row.candidate) for row in rows})
    family = Family(tuple(datasets), tuple(metrics), partners, len(rows), pairs=not baseline)
    return Comparison(baseline, tuple(rows), family, tuple(found.accepted), tuple(notes + found.notes))


def _chosen(
    pairs: Sequence[tuple[Method, Method]], methods: Sequence[Method], choices: Choices
) -> tuple[list[_Chosen], list[str]]:
    """List all comparisons, and notes on scores without a partner.

    Raises:
        ValueError: a dataset or metric that was asked for is nowhere, or nothing is left to compare.
    """
    datasets = _asked("dataset", choices.datasets, (dataset for method in methods for dataset in method.datasets))
    metrics = _asked(
        "metric",
        choices.metrics,
        (metric for method in methods for dataset in method.datasets for metric in method.metrics(dataset)),
    )
    chosen: list[_Chosen] = []
    notes: list[str] = []
    # Metric and the networks that alone have it -> datasets.
    alone: dict[tuple[str, str], list[str]] = {}
    for dataset in datasets:
        scored = {method.name: method.metrics(dataset) for method in methods if dataset in method.datasets}
        if without := [method.name for method in methods if method.name not in scored]:
            notes.append(f"{dataset}: no scores of {', '.join(without)}")
        for metric in metrics:
            having = [name for name, names in scored.items() if metric in names]
            if having and len(having) < len(scored):
                alone.setdefault((metric, ", ".join(having)), []).append(dataset)
            both = [pair for pair in pairs if all(method.name in having for method in pair)]
            chosen += [(dataset, metric, *pair) for pair in both]
    if not chosen:
        raise ValueError(
            "these networks have no dataset and metric in common: test them on the same datasets, with metrics of the "
            "same names under val.metrics"
        )
    notes += [f"{metric}: only of {names}, on {', '.join(on)}" for (metric, names), on in alone.items()]
    return chosen, notes


def _asked(kind: str, asked: Collection[str] | None, names: Iterable[str]) -> list[str]:
    """Return the names that were asked for, in the order in which there are scores of them.

    Raises:
        ValueError: there are none of a name.
    """
    there = _unique(names)
    if unknown := [name for name in asked or () if name not in there]:
        raise ValueError(f"no scores for {kind} {', '.join(unknown)}; there are: {', '.join(there)}")
    return [name for name in there if asked is None or name in asked]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
