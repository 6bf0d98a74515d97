"""Places of result files: in the folders of runs, or anywhere."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ResultPaths:
    """Result files of one run.

    Args:
        run: folder of the run; None: a single file elsewhere.
        files: one for each dataset.
        group: name that the run was given, alone or with others.
    """

    run: Path | None
    files: tuple[Path, ...]
    group: str | None


def split_word(word: str) -> tuple[str | None, list[Path]]:
    """Split NAME=RUN,RUN,... into the name and the paths; a path that exists is taken as it is."""
    name, equals, rest = word.partition("=")
    if not equals or not name or Path(word).exists():
        return None, [Path(word)]
    whole = [Path(rest)] if rest and Path(rest).exists() else []
    return name, whole or [Path(part) for part in rest.split(",") if part]


def find_results(groups: Sequence[tuple[str | None, Sequence[Path]]], faults: list[str]) -> list[ResultPaths]:
    """Find the result files of each run, in the order in which runs are named; a file counts once.

    Args:
        groups: (name or None, paths of files and run folders).
        faults: paths without results are appended to it.
    """
    # Name and the run's folder, or the file elsewhere -> absolute path -> path as it was named.
    found: dict[tuple[str | None, Path], dict[Path, Path]] = {}
    runs: set[Path] = set()
    for group, paths in groups:
        if not paths:
            faults.append(f"{group}= names no run; expected NAME=RUN or NAME=RUN,RUN,...")
        for path in paths:
            try:
                listed = _listed(path)
            except ValueError as error:
                faults.append(str(error))
                continue
            for run, file in listed:
                runs.update([run] if run is not None else [])
                found.setdefault((group, run or file.absolute()), {}).setdefault(file.absolute(), file)
    return [
        ResultPaths(place if place in runs else None, tuple(files.values()), group)
        for (group, place), files in found.items()
    ]


def _listed(path: Path) -> list[tuple[Path | None, Path]]:
    """List the result files that a path names, each with the folder of its run.

    Raises:
        ValueError: there are none.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist; expected a result file (.json) or the folder of a run")
    if path.is_file():
        return [(_run_of(path), path)]
    folder = path if path.name == "results" else path / "results"
    if files := sorted(folder.rglob("*.json")):
        return [(folder.absolute().parent, file) for file in files]
    inside = sorted(each.parent.name for each in path.glob("*/results") if each.is_dir())
    if inside:
        listed = ", ".join(inside[:4] + ["..."] * (len(inside) > 4))
        raise ValueError(f"{path} holds runs ({listed}): name them, such as {path}/*")
    raise ValueError(f"{path} holds no results: there is no file {folder}/*.json; score the network with `srzoo test`")


def _run_of(file: Path) -> Path | None:
    """Return the folder of the run that wrote a file to RUN/results/DATASET.json; None: it lies elsewhere."""
    # Datasets whose names have slashes lie in sub-folders.
    folder = next((parent for parent in file.absolute().parents if parent.name == "results"), None)
    if folder is None:
        return None
    try:
        dataset = json.loads(file.read_text(encoding="utf-8"))["dataset"]
    except (OSError, ValueError, RecursionError, TypeError, LookupError):
        return None  # the reader of its scores says what is wrong
    # A folder of copies may be called results, too.
    return folder.parent if file.absolute() == folder / f"{dataset}.json" else None
