"""Results of several seeds, gathered into the networks that a comparison is about."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srzoo.analysis.scored import Method
from srzoo.report.results import Result

# End of a name that says which seed a run has: _s0, _seed1, -2.
_SEED = re.compile(r"[-_./]+(?:s|seed)?[-_.]?\d*$")


@dataclass(frozen=True, eq=False)
class Gathered:
    """Networks with their results.

    Args:
        methods: networks in the order of their first results.
        results: name of a network -> its results, one for each seed.
        notes: seeds that were found, and results of validation during training.
    """

    methods: list[Method]
    results: Mapping[str, Sequence[Result]]
    notes: list[str]


def gather(results: Sequence[Result]) -> Gathered:
    """Gather results of one network under different seeds.

    Seeds are the results of one `group`, and those whose trainings had the same options in everything but seed, name
    and folders, and different seeds.

    Raises:
        ValueError: results of a group are of different networks, or have the same weights; names are given twice.
    """
    notes: list[str] = []
    faults: list[str] = []
    named: dict[str, list[Result]] = {}
    for alike in _alike(results):
        group = alike[0].group
        name = group or (alike[0].name if len(alike) == 1 else _common_name([each.name for each in alike]))
        if group is None and len(alike) > 1:
            seeds = ", ".join(f"{each.name} (seed {each.seed})" for each in alike)
            notes.append(f"{name}: {len(alike)} seeds of one training: {seeds}")
        if group is not None:
            faults += _group_faults(group, alike)
        if name in named:
            faults.append(f"two networks have the name {name}: give one another name with NAME=RUN")
        named[name] = alike
    if faults:
        raise ValueError("\n".join(faults))
    for name, run in ((name, run) for name, runs in named.items() for run in runs):
        notes += [f"{name}: {note}" for note in run.notes]
        for step, datasets in _steps(run).items():
            if step is not None:
                on = ", ".join(datasets)
                notes.append(
                    f"{name}: {run.name} was scored on {on} by validation, after {step} updates of its training"
                )
    methods = [Method(name, {run.name: run.sets for run in runs}) for name, runs in named.items()]
    for method, runs in zip(methods, named.values(), strict=True):
        every = dict.fromkeys(dataset for run in runs for dataset in run.sets)
        if missing := [dataset for dataset in every if dataset not in method.datasets]:
            notes.append(f"{method.name}: not every seed was scored on {', '.join(missing)}, which is left out")
    return Gathered(methods, named, notes)


def _alike(results: Sequence[Result]) -> list[list[Result]]:
    """Return groups of results that are seeds of one network, in the order of their first members."""
    groups: list[list[Result]] = []
    for result in results:
        home = next((group for group in groups if all(_same_training(result, other) for other in group)), None)
        if home is None:
            groups.append([result])
        else:
            home.append(result)
    return groups


def _same_training(first: Result, second: Result) -> bool:
    """Return True for two seeds of one network."""
    if first.group is not None or second.group is not None:
        return first.group == second.group
    one, other = first.training, second.training
    # Tests with the same options say nothing: released weights of several trainings have those too.
    return (
        one is not None
        and other is not None
        and one.seed != other.seed
        and one.options == other.options
        and one.weights == other.weights
        and first.network == second.network
        and _steps(first) == _steps(second)
    )


def _steps(result: Result) -> dict[int | None, list[str]]:
    """Return updates that the network had seen -> datasets that it was scored on; None: in a test."""
    steps: dict[int | None, list[str]] = {}
    for dataset, scores in result.sets.items():
        steps.setdefault(scores.step, []).append(dataset)
    return steps


def _group_faults(group: str, runs: Sequence[Result]) -> list[str]:
    """List what keeps runs from being the seeds of one network."""
    faults: list[str] = []
    for place, run in enumerate(runs):
        for earlier in runs[:place]:
            if run.network != earlier.network:
                faults.append(f"{group}: {earlier.name} and {run.name} are different networks, not seeds of one")
            elif run.weights == earlier.weights:
                faults.append(f"{group}: {earlier.name} and {run.name} have the same weights: they are one seed")
    return faults


def _common_name(names: Sequence[str]) -> str:
    """Return the beginning that names of runs share, without the start of the seed's number."""
    first, last = min(names), max(names)
    length = next((place for place, letter in enumerate(first) if letter != last[place : place + 1]), len(first))
    return _SEED.sub("", first[:length]) or names[0]
