"""Options recorded in the folder of a run, as far as they decide scores and trainings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

# Options that change no weight: a training under others is the same training.
_FREE = ("name", "seed", "path.root", "path.experiments", "logger.", "val.", "datasets.val", "datasets.test", "data.")
_FREE_ENDS = (".num_workers", ".cache")


@dataclass(frozen=True)
class TrainingFacts:
    """Seed and options of a training.

    Args:
        seed: of the training.
        options: dotted path -> value of every option that decides the training, the seed excepted.
        weights: name of the weights' file in the run's folder, without suffix: "net_g_5000" or "best".
    """

    seed: int
    options: Mapping[str, object]
    weights: str


def options_of(run: Path | None, tested: bool) -> Mapping[str, object]:
    """Return the options of a run: those of its test, or else of its training; empty if they are not recorded."""
    return {} if run is None else _read(run / ("options_test.yml" if tested else "options.yml"))


def training_facts(run: Path | None, weights: Path | None) -> TrainingFacts | None:
    """Return the facts of the training that weights come from; None if its folder is not found.

    Args:
        run: folder of the run that scored them.
        weights: path of the weights' file, RUN/models/NAME.safetensors.
    """
    if weights is None:
        return None
    folder = weights.parent.parent
    if not (folder / "options.yml").is_file():
        # The experiments may have moved since: look beside the run that scored them, and at that run itself.
        near = [] if run is None else [run.parent / folder.name, run]
        folder = next((each for each in near if (each / "models" / weights.name).is_file()), folder)
    options = _read(folder / "options.yml")
    seed = options.get("seed")
    if not options.get("train") or not isinstance(seed, int):
        return None
    decisive = {
        key: value for key, value in _flat(options) if not key.startswith(_FREE) and not key.endswith(_FREE_ENDS)
    }
    return TrainingFacts(seed, decisive, weights.stem)


def dataset_options(options: Mapping[str, object], dataset: str, split: str) -> Mapping[str, object]:
    """Return the options of a dataset of a split, "val" or "test"; empty: unknown."""
    return _at(_at(_at(options, "datasets"), split), dataset)


def datasets_in(options: Mapping[str, object], split: str) -> list[str]:
    """Return the names of the datasets of a split, in the order of the option file."""
    return list(_at(_at(options, "datasets"), split))


def metric_direction(options: Mapping[str, object], metric: str) -> bool:
    """Return False if lower scores of a metric are better, by the plugin that the options name."""
    from srzoo.registry import METRICS

    kind = _at(_at(_at(options, "val"), "metrics"), metric).get("type")
    # Metrics of plugins are known only while their file is loaded.
    return not isinstance(kind, str) or kind not in METRICS or getattr(METRICS[kind], "higher_is_better", True)


def _at(tree: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = tree.get(key)
    return value if isinstance(value, dict) else {}


def _read(file: Path) -> Mapping[str, object]:
    """Read recorded options; empty if there are none, or they are damaged."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _flat(tree: object, prefix: str = "") -> list[tuple[str, object]]:
    """Return nested options by dotted path; lists count as values."""
    if not isinstance(tree, dict):
        return [(prefix.removesuffix("."), tree)]
    return [pair for key, value in tree.items() for pair in _flat(value, f"{prefix}{key}.")]
