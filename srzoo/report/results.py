"""Results of networks, read from the files that `srzoo test` and validation write."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from srzoo.analysis.scored import SetScores
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
    group: str | None = None

    @property
    def seed(self) -> int | None:
        """Seed of the training; None: unknown."""
        return None if self.training is None else self.training.seed

    @property
    def step(self) -> int | None:
        """Updates that the network had seen when training scored it; None: it was tested afterwards."""
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
    runs: dict[tuple[str | None, Path], list[Path]] = {}
    for group, path in ((group, path) for group, paths in groups for path in paths):
        try:
            for file in _files(path):
                listed = runs.setdefault((group, _folder_of(file)), [])
                listed += [file] * (file not in listed)
        except ValueError as error:
            faults.append(str(error))
    results: list[Result] = []
    for (group, _), files in runs.items():
        try:
            results.append(replace(read_result(files), group=group))
        except ValueError as error:
            faults += str(error).splitlines()
    if faults:
        raise ValueError(f"{len(faults)} fault(s) in the results:\n" + "\n".join(f"  {fault}" for fault in faults))
    return _with_different_names(results)


def split_word(word: str) -> tuple[str | None, list[Path]]:
    """Split NAME=RUN,RUN,... into the name and the paths; a path that exists is taken as it is."""
    name, equals, rest = word.partition("=")
    if not equals or not name or Path(word).exists():
        return None, [Path(word)]
    return name, [Path(rest)] if Path(rest).exists() else [Path(part) for part in rest.split(",") if part]


def _files(path: Path) -> list[Path]:
    """List the result files that a path names.

    Raises:
        ValueError: there are none.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist; expected a result file (.json) or the folder of a run")
    if path.is_file():
        return [path]
    folder = path if path.name == "results" else path / "results"
    files = sorted(folder.rglob("*.json"))
    if files:
        return files
    inside = sorted(each.parent.name for each in path.glob("*/results") if each.is_dir())
    if inside:
        raise ValueError(f"{path} holds {len(inside)} runs ({', '.join(inside[:4])}, ...): name them, such as {path}/*")
    raise ValueError(f"{path} holds no results: there is no file {folder}/*.json; score the network with `srzoo test`")


def _folder_of(file: Path) -> Path:
    """Return the ``results`` folder that a file lies in, or the file itself if it lies in none."""
    # Datasets whose names have slashes lie in sub-folders.
    return next((parent for parent in file.absolute().parents if parent.name == "results"), file.absolute())


def read_result(files: Sequence[Path]) -> Result:
    """Read the result files of one run.

    Raises:
        ValueError: a file is damaged or no result file, or the files are of several networks; one line for each fault.
    """
    faults: list[str] = []
    read: dict[Path, dict[str, object]] = {}
    for file in files:
        try:
            read[file] = _content(file)
        except ValueError as error:
            faults.append(f"{file}: {error}")
    folder = _folder_of(files[0])
    run = folder.parent if folder.name == "results" else None
    sets: dict[str, SetScores] = {}
    for file, content in read.items():
        try:
            sets[str(content["dataset"])] = _set_scores(content, run)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
            faults.append(f"{file}: not a complete result file of `srzoo test`: {reason}; test the network again")
    first, *others = read.values() or [{}]
    for content in others:
        if _identity(content) != _identity(first):
            faults.append(
                f"{folder}: {first['dataset']} and {content['dataset']} were scored with other networks or weights; "
                "test again, or name the files to compare"
            )
    if faults:
        raise ValueError("\n".join(faults))
    options = options_of(run, first.get("step") is None)
    # In the order of the option file, as papers list them; files come by name.
    listed = [name for split in ("test", "val") for name in datasets_in(options, split)]
    weights = _mapping(first.get("weights") or {})
    return Result(
        name=files[0].stem if run is None else run.name,
        run=run,
        files=tuple(files),
        sets={name: sets[name] for name in [*(name for name in listed if name in sets), *sets]},
        network=_mapping(first["network"]),
        weights=None if "sha256" not in weights else str(weights["sha256"]),
        options=options,
        training=training_facts(run, Path(str(weights["path"])) if "path" in weights else None),
    )


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
    return "/".join(path.absolute().parts[-depth:])
