"""Runs that a report is about: their folders, scores, training logs and records."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.report.provenance import RunRecord
from srzoo.report.scrub import command_without_paths, short_path, text_without_paths, without_paths

if TYPE_CHECKING:
    from srzoo.engine.log_reader import TrainingLog
    from srzoo.report.results import Result

# Files by which a folder is known as that of a run.
_MARKS = ("options.yml", "options_test.yml", "train.log", "results")

# Files of a dataset that the page lists.
_MOST_NAMES = 200


@dataclass(frozen=True, eq=False)
class ReportedRun:
    """One run of a report.

    Args:
        name: unique in the report.
        folder: of the run.
        result: its scores; None: it has none yet.
        log: course of its training, empty for a test.
    """

    name: str
    folder: Path
    result: "Result | None"
    log: "TrainingLog"

    @property
    def options_file(self) -> Path:
        """Options under which the scores came about: those of the test, if there was one."""
        test = self.folder / "options_test.yml"
        return test if test.is_file() else self.folder / "options.yml"


def run_folders(words: Iterable[Path]) -> list[Path]:
    """Return the folders of runs that a command line names; a study or a chain is a folder of several.

    Raises:
        ValueError: folders that are not there or hold no run; all of them are listed.
    """
    folders: list[Path] = []
    faults: list[str] = []
    for word in words:
        if not word.is_dir():
            faults.append(f"{word} is no folder: name the folder of a run, such as experiments/NAME")
            continue
        found = [word] if _is_run(word) else _runs_below(word)
        if not found:
            faults.append(f"{word} holds no run: expected one of {', '.join(_MARKS)} in it or in a folder below it")
        folders += found
    if faults:
        raise ValueError("\n".join(faults))
    return list({folder.resolve(): folder for folder in folders}.values())


def _is_run(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _MARKS)


def _runs_below(folder: Path) -> list[Path]:
    """Return the runs in the folders below one, down to the first run on each way."""
    found: list[Path] = []
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        found += [child] if _is_run(child) else _runs_below(child)
    return found


def unique_names(folders: Sequence[Path]) -> list[str]:
    """Return the names of folders, with as many folders above them as it takes to tell them apart."""
    paths = [folder.resolve() for folder in folders]
    names = [path.name for path in paths]
    depth = 1
    while len(set(names)) < len(names):
        depth += 1
        doubled = {name for name, count in Counter(names).items() if count > 1}
        names = [
            "/".join(path.parts[-depth:]) if name in doubled else name
            for path, name in zip(paths, names, strict=True)
        ]  # fmt: skip
    return names


def record_of(run: ReportedRun) -> RunRecord:
    """Return the provenance of a run, without paths of the machine.

    Raises:
        ValueError: a record is damaged.
    """
    facts: list[tuple[str, str]] = []
    commands: list[str] = []
    for suffix, kind in (("", "training"), ("_test", "test")):
        provenance = _json(run.folder / f"provenance{suffix}.json")
        if not provenance:
            continue
        commands.append(command_without_paths(str(provenance.get("command", ""))))
        packages = provenance.get("packages")
        versions = {"srzoo": provenance.get("srzoo"), "python": provenance.get("python")}
        versions |= packages if isinstance(packages, Mapping) else {}
        facts.append((f"commit ({kind})", str(provenance.get("git_commit", "unknown"))))
        facts.append((f"versions ({kind})", ", ".join(f"{name} {version}" for name, version in versions.items())))
    facts += _facts_of_result(run)
    texts: dict[str, str] = {}
    for file in sorted(run.folder.glob("options*.yml")):
        texts[f"Options: {file.name}"] = _options_text(file)
    for file in sorted(run.folder.glob("manifest*.json")):
        content = without_paths(_shortened(_json(file)))
        texts[f"Data and weights: {file.name}"] = json.dumps(content, indent=1, ensure_ascii=False)
    return RunRecord(run.name, [(fact, text_without_paths(value)) for fact, value in facts], commands,
                     _protocols(run), texts)  # fmt: skip


def _shortened(value: object) -> object:
    """Return nested names and values with the first ones of long lists only: a manifest may name a million files."""
    if not isinstance(value, Mapping):
        return value
    kept = {key: _shortened(item) for key, item in list(value.items())[:_MOST_NAMES]}
    left = len(value) - len(kept)
    return kept if not left else kept | {"...": f"{left:,} more"}


def _facts_of_result(run: ReportedRun) -> list[tuple[str, str]]:
    """List network, weights, inference and data of the scores."""
    if run.result is None:
        return []
    network = ", ".join(f"{option} {value}" for option, value in run.result.network.items())
    facts = [("network", network), ("weights", f"sha256 {run.result.weights}" if run.result.weights else "none")]
    for dataset, scores in run.result.sets.items():
        if scores.data_sha256:
            facts.append((f"images of {dataset}", f"sha256 {scores.data_sha256}"))
    for dataset, scores in run.result.sets.items():
        applied = {**scores.inference, **scores.machine}
        words = ", ".join(f"{fact} {_plain(value)}" for fact, value in applied.items())
        facts.append((f"applied to {dataset}", words))
    return facts


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key} {item}" for key, item in value.items())
    return "none" if value is None else str(value)


def _protocols(run: ReportedRun) -> dict[str, Mapping[str, object]]:
    if run.result is None:
        return {}
    return {
        f"{dataset} {metric}": settings
        for dataset, scores in run.result.sets.items()
        for metric, settings in scores.protocols.items()
    }


def _options_text(file: Path) -> str:
    """Return the options in a file without paths of the machine."""
    import yaml

    text = file.read_text(encoding="utf-8")
    try:
        options = yaml.safe_load(text)
    except yaml.YAMLError:
        return text_without_paths(text)
    return yaml.safe_dump(without_paths(options), sort_keys=False, allow_unicode=True, width=100)


def _json(file: Path) -> Mapping[str, object]:
    """Return the content of a JSON file; a file that does not exist is empty.

    Raises:
        ValueError: it holds no JSON object.
    """
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} holds no JSON ({error}): remove it, or run the training or test again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected a JSON object, got {type(content).__name__}")
    return content


def words_of(paths: Iterable[Path]) -> list[str]:
    """Return paths as words of a command line that names no folder of the machine."""
    return [short_path(str(path)) for path in paths]
