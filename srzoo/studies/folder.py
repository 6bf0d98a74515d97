"""The folder of a study: the place of each file, and what has been done."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from srzoo.atomic import write_text
from srzoo.chain import weights_after
from srzoo.engine.run_folder import RunFolder
from srzoo.options import Options, Study, StudyRun

# Options that may differ when a study continues, because no weights depend on them. Unlike a single training, a study
# does not take other initial weights (path.pretrain_network_g, network_g.init): it would compare unlike trainings.
_FREE = ("logger.", "val.", "datasets.val", "datasets.test", "data.", "train.total_iter", "train.max_time")
_FREE += ("train.accumulate", "parallel", "path.experiments", "path.root")
_FREE_ENDS = (".num_workers", ".cache")
_SPEED = re.compile(r" ([0-9.]+) steps/s ")


@dataclass(frozen=True)
class StudyFolder:
    """experiments/<study>/: a run folder for each training, and those of their tests below ``test/``."""

    path: Path

    def options_of(self, run: StudyRun) -> Path:
        """Return the option file that a training is started with."""
        return self.path / "options" / f"{run.name}.yml"

    def test_options_of(self, run: StudyRun) -> Path:
        """Return the option file that a training is tested with."""
        return self.path / "options" / f"{run.name}_test.yml"

    def log_of(self, run: StudyRun) -> Path:
        """Return the file with everything that a training and its test print."""
        return self.path / "log" / f"{run.name}.log"

    def test_of(self, run: StudyRun) -> RunFolder:
        """Return the run folder of the test of a training."""
        return RunFolder(self.path / "test" / run.name)

    def scored(self, run: StudyRun) -> tuple[RunFolder, list[str]]:
        """Return the run folder that holds the scores of a training, and the names of its datasets."""
        if run.test is not None:
            return self.test_of(run), list(run.test.options.datasets.test)
        options = run.training.options
        return RunFolder(options.run_folder), list(options.datasets.val)

    def is_trained(self, run: StudyRun) -> bool:
        """Return True if a training has made all updates, and scored them on its validation sets."""
        options = run.training.options
        folder = RunFolder(options.run_folder)
        files = [folder.results_of(name) for name in options.datasets.val]
        return weights_after(options).is_file() and all(_step_of(file) == _total(options) for file in files)

    def is_tested(self, run: StudyRun) -> bool:
        """Return True if the weights of a training have been scored with the test's options of today."""
        if run.test is None:
            return True
        folder, names = self.scored(run)
        record = folder.path / "options_test.yml"
        # The record is written after the last result.
        return (
            record.is_file()
            and all(folder.results_of(name).is_file() for name in names)
            and _without_places(record.read_text()) == _without_places(run.test.text)
        )

    def is_done(self, run: StudyRun) -> bool:
        """Return True if nothing is left to do for a training and its test."""
        return self.is_trained(run) and self.is_tested(run)

    @property
    def table(self) -> Path:
        """Tables of the study."""
        return self.path / "results.md"

    @property
    def numbers(self) -> Path:
        """Numbers of the tables."""
        return self.path / "results.json"

    def write_plan(self, study: Study) -> None:
        """Write study.json, which says which run belongs to which variant and seed, and the option file of each run."""
        for run in study.runs:
            write_text(self.options_of(run), run.training.text)
            if run.test is not None:
                write_text(self.test_options_of(run), run.test.text)
        trained = {variant.name: variant.same_as or variant.name for variant in study.variants}
        plan = {
            "study": study.name,
            "baseline": study.variants[0].name,
            "seeds": list(study.seeds),
            "variants": {
                variant.name: {
                    "settings": dict(variant.settings),
                    "same_as": variant.same_as or None,
                    "runs": [run.name for run in study.runs if run.variant == trained[variant.name]],
                }
                for variant in study.variants
            },
            "tested": study.runs[0].test is not None,
        }
        write_text(self.path / "study.json", json.dumps(plan, indent=2) + "\n")

    def speed_of(self, run: StudyRun) -> float | None:
        """Return the speed that a training has logged last [updates/s]; None: it has not yet."""
        file = run.training.options.run_folder / "train.log"
        speeds = _SPEED.findall(file.read_text(errors="replace")) if file.is_file() else []
        return float(speeds[-1]) if speeds and float(speeds[-1]) > 0 else None

    def updates_left(self, run: StudyRun) -> int:
        """Return the updates that a training has to make, counted from its newest state."""
        options = run.training.options
        steps = [step for step in RunFolder(options.run_folder).saved_steps() if step <= _total(options)]
        return _total(options) - max(steps, default=0)


def remaining_hours(folder: StudyFolder, runs: Sequence[StudyRun]) -> tuple[float, int] | None:
    """Estimate the time that trainings take one after the other, tests and validation left out.

    Args:
        folder: of the study.
        runs: all trainings of the study.

    Returns:
        (hours, number of trainings whose speed was measured); the others are taken to be as fast as their mean. None if
        no training has logged its speed.
    """
    speeds = {run.name: folder.speed_of(run) for run in runs}
    measured = [speed for speed in speeds.values() if speed is not None]
    if not measured:
        return None
    seconds_each = sum(1 / speed for speed in measured) / len(measured)
    seconds = sum(folder.updates_left(run) / (speeds[run.name] or 1 / seconds_each) for run in runs)
    return seconds / 3600, len(measured)


def changed_options(study: Study) -> list[str]:
    """List the options under which an earlier start of the study began a training, and that are others now."""
    lines = []
    for run in study.runs:
        record = run.training.options.run_folder / "options.yml"
        if not record.is_file():
            continue
        then, now = (_flat(yaml.safe_load(text)) for text in (record.read_text(), run.training.text))
        for key in sorted(then.keys() | now.keys()):
            if then.get(key) != now.get(key) and not key.startswith(_FREE) and not key.endswith(_FREE_ENDS):
                lines.append(f"{run.name}: {key}: {then.get(key)!r} then, {now.get(key)!r} now")
    return lines


def _flat(tree: object, prefix: str = "") -> dict[str, object]:
    """Return nested options by dotted path."""
    if not isinstance(tree, dict):
        return {prefix.rstrip("."): tree}
    return {key: value for name, item in tree.items() for key, value in _flat(item, f"{prefix}{name}.").items()}


def _total(options: Options) -> int:
    assert options.train is not None
    return options.train.total_iter


def _step_of(file: Path) -> object:
    try:
        results = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return results.get("step") if isinstance(results, dict) else None


def _without_places(text: str) -> object:
    """Return options without the folders of the study, which may have moved."""
    options = yaml.safe_load(text)
    weights = options["path"].pop("pretrain_network_g")
    del options["path"]["experiments"]
    return options, Path(weights).name
