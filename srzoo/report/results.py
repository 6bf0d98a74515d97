"""Results of networks, read from the files that `srzoo test` and validation write."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from srzoo.analysis.scored import SetScores
from srzoo.report.result_paths import ResultPaths, find_results, split_word
from srzoo.report.run_options import (
    TrainingFacts,
    dataset_options,
    datasets_in,
    metric_direction,
    options_of,
    training_facts,
)


@dataclass(frozen=True, eq=False)
class Result:
    """Scores of one network, with one set of weights, on one or more datasets.

    Args:
        name: of the run's folder, or of the file if it lies in no run's folder.
        run: folder of the run; None: the file lies elsewhere.
        files: that were read.
        sets: dataset -> scores.
        network: type, scale and options of the network.
        weights: SHA-256 of the weights' file; None: the network has none.
        options: of the test, or of the training whose validation it is; empty: unknown.
        training: seed and options under which the weights were trained, if that run's folder is found.
        notes: about files that were left out.
        group: name under which runs were given together as the seeds of one network.
    """

    name: str
    run: Path | None
    files: tuple[Path, ...]
    sets: Mapping[str, SetScores]
    network: Mapping[str, object]
    weights: str | None
    options: Mapping[str, object]
    training: TrainingFacts | None
    notes: tuple[str, ...] = ()
    group: str | None = None

    @property
    def seed(self) -> int | None:
        """Seed of the training; None: unknown."""
        return None if self.training is None else self.training.seed

    @property
    def step(self) -> int | None:
        """Updates that the network had seen when validation scored it on the first dataset; None: it was a test."""
        return next(iter(self.sets.values())).step


def read_results(words: Sequence[str | Path]) -> list[Result]:
    """Read results by the words of a command line.

    A word is a result file, or the folder of a run: all files of its ``results/``, each of which is the newest on its
    dataset. Files of one run are one result. NAME=RUN gives a run another name; NAME=RUN,RUN,... also says that these
    runs are the seeds of one network (their `group`).

    Raises:
        ValueError: there are no results, or files are missing, damaged or of another kind; all faults are listed.
    """
    return read_groups([split_word(str(word)) for word in words])


def read_groups(groups: Sequence[tuple[str | None, Sequence[Path]]]) -> list[Result]:
    """Read results by (name, paths): the runs at these paths are the seeds of a network of this name.

    Runs with the name None are results for themselves, under the names of their folders.

    Raises:
        ValueError: as for :func:`read_results`.
    """
    faults: list[str] = []
    results: list[Result] = []
    for paths in find_results(groups, faults):
        try:
            results.append(read_result(paths))
        except ValueError as error:
            faults += str(error).splitlines()
    if faults:
        raise ValueError(f"{len(faults)} fault(s) in the results:\n" + "\n".join(f"  {fault}" for fault in faults))
    return _with_different_names(results)


def read_result(paths: ResultPaths) -> Result:
    """Read the result files of one run.

    Raises:
        ValueError: a file is damaged or no result file, or the files are of several networks; one line for each fault.
    """
    faults: list[str] = []
    read: dict[Path, dict[str, object]] = {}
    for file in paths.files:
        try:
            read[file] = _content(file)
        except ValueError as error:
            faults.append(f"{file}: {error}")
    run = paths.run
    read, notes = _without_validation(read)
    sets: dict[str, SetScores] = {}
    first = next(iter(read.values()), {})
    for file, content in read.items():
        try:
            dataset, scores = str(content["dataset"]), _set_scores(content, run)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            faults.append(f"{file}: not a complete result file of `srzoo test`: {reason}; test the network again")
            continue
        if dataset in sets:
            faults.append(f"{file}: a second file with scores on {dataset}; name the one to compare")
        elif _identity(content) != _identity(first):
            faults.append(
                f"{file}: the scores on {dataset} are of another network or other weights than those on "
                f"{first['dataset']}; test again, or name the files to compare"
            )
        sets[dataset] = scores
    if faults:
        raise ValueError("\n".join(faults))
    options = options_of(run, first.get("step") is None)
    # In the order of the option file, as papers list them; files come by name.
    listed = [name for split in ("test", "val") for name in datasets_in(options, split)]
    weights = _mapping(first.get("weights") or {})
    return Result(
        name=paths.files[0].stem if run is None else run.name,
        run=run,
        files=tuple(read),
        sets={name: sets[name] for name in [*(name for name in listed if name in sets), *sets]},
        network=_mapping(first["network"]),
        weights=None if "sha256" not in weights else str(weights["sha256"]),
        options=options,
        training=training_facts(run, Path(str(weights["path"])) if "path" in weights else None),
        notes=notes,
        group=paths.group,
    )


def _without_validation(
    read: dict[Path, dict[str, object]],
) -> tuple[dict[Path, dict[str, object]], tuple[str, ...]]:
    """Leave scores of validation out of a run whose test had other weights, such as the best ones; say so."""
    tested = {file: content for file, content in read.items() if content.get("step") is None}
    validated = {file: content for file, content in read.items() if file not in tested}
    alike = all(_identity(content) == _identity(other) for content in tested.values() for other in validated.values())
    if alike:
        return read, ()
    names = ", ".join(str(content["dataset"]) for content in validated.values())
    return tested, (f"validation on {names} is left out: the test had other weights",)


def _content(file: Path) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        ValueError: it is none.
    """
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text)
    except OSError as error:
        raise ValueError(f"it cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        empty = "it is empty" if not file.stat().st_size else f"it is no JSON ({error!s:.80})"
        raise ValueError(f"{empty}: the run was perhaps stopped; test the network again") from error
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise ValueError("it is not a result file of `srzoo test`: it has no list of images")
    return content


def _identity(content: Mapping[str, object]) -> object:
    weights = content.get("weights")
    return content.get("network"), weights.get("sha256") if isinstance(weights, dict) else weights


def _set_scores(content: Mapping[str, object], run: Path | None) -> SetScores:
    """Return the scores of a result file.

    Raises:
        KeyError, TypeError, ValueError: a part is missing, or of another kind.
    """
    images = [_mapping(image) for image in _list(content["images"])]
    if not images:
        raise ValueError("it has no images")
    keys = tuple(str(image["key"]) for image in images)
    if doubled := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"several images have the name {', '.join(doubled[:4])}")
    metrics = [name for name in images[0] if name != "key"]
    if not metrics:
        raise ValueError("its images have no scores: the dataset has no GT")
    protocols = {name: dict(_mapping(facts)) for name, facts in _mapping(content["protocols"]).items()}
    step = content.get("step")
    step = None if step is None else int(str(step))
    options = options_of(run, step is None)
    for metric in metrics:
        protocols[metric].setdefault("higher_is_better", metric_direction(options, metric))
    data = content["data_sha256"]
    return SetScores(
        keys=keys,
        values={metric: np.array([_number(image[metric], metric) for image in images]) for metric in metrics},
        protocols={metric: protocols[metric] for metric in metrics},
        inference=_mapping(content["inference"]),
        data_sha256=None if data is None else str(data),
        scale=int(str(_mapping(content["network"])["scale"])),
        data=dataset_options(options, str(content["dataset"]), "test" if step is None else "val"),
        step=step,
        machine={"device": content.get("device", "unknown"), "codecs": content.get("codecs", "unknown")},
    )


def _number(value: object, metric: str) -> float:
    """Return a score; JSON has no infinity, which is text there."""
    number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    if math.isnan(number):
        raise ValueError(f"a score of {metric} is {value!r:.40}, expected a number")
    return number


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"expected names and values, got {value!r:.40}")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r:.40}")
    return value


def _with_different_names(results: list[Result]) -> list[Result]:
    """Put the names of parent folders before names that occur twice, as many as tell them apart.

    Raises:
        ValueError: one result is given twice.
    """
    named, depth = results, 1
    while doubled := {name for name, count in Counter(each.name for each in named).items() if count > 1}:
        depth += 1
        longer = [_name(each, depth) if each.name in doubled else each.name for each in named]
        if longer == [each.name for each in named]:
            raise ValueError(f"{', '.join(sorted(doubled))} is given twice, under two names")
        named = [replace(each, name=name) for each, name in zip(named, longer, strict=True)]
    return named


def _name(result: Result, depth: int) -> str:
    """Return the last parts of the path of a run, or of the file of a result outside a run."""
    path = result.files[0].with_suffix("") if result.run is None else result.run
    return str(Path(*path.absolute().parts[-depth:]))
