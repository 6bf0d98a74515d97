"""Conditions under which scores came about: two scores can be compared only if these are the same."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from srzoo.analysis.scored import SetScores

# Ways to apply a network that change its scores; a comparison across them must be asked for. The merged form and the
# padding to a network's multiple belong to the network, and do not change its scores.
APPLICATION = ("tile_rule", "tile", "ensemble", "precision")
# Facts about a metric that older result files do not have.
_NEWER = ("metric", "higher_is_better")
# Options of a dataset that change no image of an evaluation.
_WITHOUT_EFFECT = ("cache", "num_workers", "gt_size", "use_hflip", "use_rot")
# Options that name files, for which their checksum speaks.
_NAMES = ("gt", "lq", "gt_template", "lq_template", "meta_info", "pairs")


@dataclass(frozen=True)
class Differences:
    """Conditions that differ.

    Args:
        faults: differences that forbid a comparison, each with what to do.
        accepted: differences in the application of networks that the caller accepts.
        notes: differences that matter little.
    """

    faults: list[str]
    accepted: list[str]
    notes: list[str]


def differences(
    scored: Mapping[str, Mapping[str, SetScores]],
    datasets: Iterable[str],
    metrics: Collection[str],
    allow: Collection[str] = (),
) -> Differences:
    """Find all differences between the conditions of runs.

    Args:
        scored: name of the run -> dataset -> scores.
        datasets: to look at.
        metrics: to look at.
        allow: facts of :data:`APPLICATION` that may differ.

    Raises:
        ValueError: `allow` has another fact.
    """
    if unknown := [fact for fact in allow if fact not in APPLICATION]:
        raise ValueError(f"only {', '.join(APPLICATION)} may be allowed to differ, got {', '.join(unknown)}")
    found = Differences([], [], [])
    for dataset in datasets:
        runs = {name: sets[dataset] for name, sets in scored.items() if dataset in sets}
        found.faults.extend(_data_faults(dataset, runs))
        for metric in metrics:
            found.faults.extend(_protocol_faults(dataset, metric, runs))
        for fact in APPLICATION:
            line = _unlike({name: _applied(fact, each.inference) for name, each in runs.items()})
            if line and fact in allow:
                found.accepted.append(f"{dataset}: {fact}: {line}")
            elif line:
                found.faults.append(
                    f"{dataset}: {fact}: {line}; test all networks alike (val.{fact}), or accept the "
                    f"difference with --allow {fact}"
                )
        for fact in _keys(each.machine for each in runs.values()):
            if line := _unlike({name: each.machine.get(fact, "unknown") for name, each in runs.items()}):
                found.notes.append(f"{dataset}: {fact}: {line}; the last digits may differ")
    return found


def _protocol_faults(dataset: str, metric: str, runs: Mapping[str, SetScores]) -> list[str]:
    """List the differences between the protocols of a metric, crops of the images included."""
    protocols = {name: each.protocols[metric] for name, each in runs.items() if metric in each.values}
    faults: list[str] = []
    for fact in _keys(protocols.values()):
        known = {name: facts for name, facts in protocols.items() if fact in facts or fact not in _NEWER}
        if line := _unlike({name: facts.get(fact, "unknown") for name, facts in known.items()}):
            # Both crops belong to the dataset, everything else to the metric.
            place = (
                f"{fact} of datasets.test.{dataset}" if fact in ("modcrop", "lq_multiple") else f"val.metrics.{metric}"
            )
            faults.append(f"{dataset} {metric}: {fact}: {line}; test all networks with one {place}")
    return faults


def _data_faults(dataset: str, runs: Mapping[str, SetScores]) -> list[str]:
    """List the differences between the images that runs were scored on."""
    faults: list[str] = []
    if line := _unlike({name: each.scale for name, each in runs.items()}):
        faults.append(f"{dataset}: scale: {line}; compare networks of one magnification")
    checksums = {name: (each.data_sha256 or "unknown")[:12] for name, each in runs.items()}
    if line := _unlike({name: _images(each.keys) for name, each in runs.items()}):
        faults.append(f"{dataset}: images: {line}; test all networks on the same images")
    elif line := _unlike(checksums):
        faults.append(f"{dataset}: checksum of the images: {line}; test all networks on the same files")
    ignored = _WITHOUT_EFFECT + (() if "unknown" in checksums.values() else _NAMES)
    known = {name: each.data for name, each in runs.items() if each.data}
    for option in _keys(known.values()):
        line = _unlike({name: data.get(option, "unknown") for name, data in known.items()})
        if line and option not in ignored:
            faults.append(f"{dataset}: option {option} of the dataset: {line}; test all networks on the same dataset")
    return faults


def _images(keys: Sequence[str]) -> str:
    """Return a text that tells lists of images apart, in whatever order they are."""
    ordered = sorted(keys)
    if len(ordered) <= 6:
        return f"{len(ordered)} ({', '.join(ordered)})"
    digest = hashlib.sha256("\n".join(ordered).encode(errors="backslashreplace")).hexdigest()
    return f"{len(ordered)} ({', '.join(ordered[:3])}, ..., {ordered[-1]}; list {digest[:8]})"


def _applied(fact: str, inference: Mapping[str, object]) -> object:
    value = inference.get(fact, "unknown")
    if fact != "tile" or value == "unknown":
        return value
    # The overlap says nothing of images that were whole.
    whole = value in (None, "auto: whole images")
    return "whole images" if whole else f"{value} with overlap {inference.get('tile_overlap', 'unknown')}"


def _keys(mappings: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _unlike(values: Mapping[str, object]) -> str:
    """Return "VALUE in A, B; OTHER in C", or "" if all values are equal."""
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(_text(value), []).append(name)
    return "; ".join(f"{value} in {', '.join(names)}" for value, names in groups.items()) if len(groups) > 1 else ""


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_text(item) for item in value)}]"
    return "none" if value is None else str(value)
