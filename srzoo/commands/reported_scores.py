"""Tables and curves of a report: mean scores, comparisons, scores of each image, losses."""

import dataclasses
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.analysis.comparison import compare, compare_all_pairs
from srzoo.analysis.ranking import ranking
from srzoo.commands.reported_pictures import ScoredTogether, score_word
from srzoo.commands.reported_runs import ReportedRun, run_folders, unique_names, words_of
from srzoo.report.compared import DIFFERENCES_HEAD, Compared, difference_rows
from srzoo.report.compared_notes import Looks
from srzoo.report.curves import Panel
from srzoo.report.markup import element, joined
from srzoo.report.page import ScoreTable
from srzoo.report.run_options import metric_direction, options_of
from srzoo.report.scores import MARGIN, with_margin
from srzoo.report.scrub import text_without_paths

if TYPE_CHECKING:
    from srzoo.analysis.scored import Method
    from srzoo.engine.log_reader import Course, TrainingLog
    from srzoo.report.seeds import Gathered

# Marks of the table of mean scores, as notes call them.
_LOOKS = Looks(best="bold", second="underlined")


def reported_runs(words: Sequence[Path]) -> list[ReportedRun]:
    """Read the runs that a command line names, in its order.

    Raises:
        ValueError: folders without runs, or damaged results.
    """
    from srzoo.engine.log_reader import read_log
    from srzoo.report.results import read_results

    folders = run_folders(words)
    scored = [folder for folder in folders if any((folder / "results").rglob("*.json"))]
    results = {each.run.resolve(): each for each in read_results(scored) if each.run is not None} if scored else {}
    runs: list[ReportedRun] = []
    for name, folder in zip(unique_names(folders), folders, strict=True):
        result = results.get(folder.resolve())
        # One name for a run in all tables.
        result = None if result is None else dataclasses.replace(result, name=name)
        runs.append(ReportedRun(name, folder, result, read_log(folder / "train.log")))
    return runs


def tested_again(runs: Sequence[ReportedRun]) -> dict[str, str]:
    """Return the trainings whose last weights a test among the runs has scored, and that test.

    Scores of their validation are left out, as networks would be compared with themselves.
    """
    doubled: dict[str, str] = {}
    results = {run.name: run.result for run in runs if run.result is not None}
    for name, validation in results.items():
        for other, test in results.items():
            same = validation.weights is not None and validation.weights == test.weights
            if same and validation.step is not None and test.step is None:
                doubled[name] = other
    return doubled


def named_after_tests(runs: Sequence[ReportedRun], tested: Mapping[str, str]) -> list[ReportedRun]:
    """Return the runs without scores of trainings that a test scores again; in a study both have one folder name.

    The test then has that name, and the training "NAME (training)".
    """
    names: dict[str, str] = {}
    for name, alike in _by_folder_name(runs).items():
        tests = [run for run in alike if run.result is not None and run.result.step is None]
        trainings = [run for run in alike if run not in tests]
        if len(tests) == len(trainings) == 1 and _tests_weights_of(tests[0], name):
            names |= {trainings[0].name: f"{name} (training)", tests[0].name: name}
    renamed: list[ReportedRun] = []
    for run in runs:
        name = names.get(run.name, run.name)
        known = None if run.name in tested or run.result is None else dataclasses.replace(run.result, name=name)
        renamed.append(dataclasses.replace(run, name=name, result=known))
    return renamed


def _by_folder_name(runs: Sequence[ReportedRun]) -> dict[str, list[ReportedRun]]:
    groups: dict[str, list[ReportedRun]] = {}
    for run in runs:
        groups.setdefault(run.folder.resolve().name, []).append(run)
    return groups


def _tests_weights_of(test: ReportedRun, training: str) -> bool:
    """Return True if the weights of a test lie in the folder of that name, as NAME/models/FILE."""
    paths = test.result.options.get("path") if test.result is not None else None
    weights = paths.get("pretrain_network_g") if isinstance(paths, Mapping) else None
    return isinstance(weights, str) and Path(weights).parent.parent.name == training


def summaries_of(runs: Sequence[ReportedRun], groups: Sequence[ScoredTogether]) -> list[ScoreTable]:
    """Return the table of mean scores, and that of comparisons with the first network.

    Seeds of one training are one network. Networks that were not scored alike are not compared, and the table's note
    says why.
    """
    from srzoo.report.seeds import gather

    results = [run.result for run in runs if run.result is not None]
    if not results:
        return []
    gathered = gather(results)
    command = test_command([run for run in runs if run.result is not None])
    if len(gathered.methods) < 2:
        return [_means(gathered, groups, None, command)]
    try:
        comparison, pairs = compare(gathered.methods[0], gathered.methods[1:]), compare_all_pairs(gathered.methods)
    except ValueError as error:
        means = _means(gathered, groups, None, command)
        reason = f"Not compared: {text_without_paths(str(error))}"
        return [dataclasses.replace(means, notes=[*means.notes, reason])]
    compared = Compared(gathered.methods, comparison, pairs, costs={}, remarks=gathered.notes)
    return [
        _means(gathered, groups, compared, command),
        ScoreTable(
            f"Compared with {comparison.baseline}",
            DIFFERENCES_HEAD,
            difference_rows(comparison, _LOOKS.approximate),
            [text_without_paths(note) for note in compared.notes(_LOOKS)],
            shlex.join(["srzoo", "compare", *words_of(run.folder for run in runs if run.result is not None)]),
        ),
    ]


def _means(
    gathered: "Gathered", groups: Sequence[ScoredTogether], compared: Compared | None, command: str
) -> ScoreTable:
    """Return the mean scores, marked as far as they were compared."""
    head, rows = ["network"], [[method.name] for method in gathered.methods]
    for group in groups:
        names = {run.name for run in group.runs}
        for metric in group.metrics:
            head.append(f"{group.title} {metric} ({group.protocol(metric)})")
            for method, row in zip(gathered.methods, rows, strict=True):
                scored = names.issuperset(method.seeds) and group.dataset in method.datasets
                word = _mean(method, group.dataset, metric) if scored else "-"
                row.append(word if compared is None else _marked(word, compared, method.name, group.dataset, metric))
    # The notes below the comparisons hold these too.
    notes = [text_without_paths(note) for note in gathered.notes] if compared is None else []
    if compared is None and any(len(method.seeds) > 1 for method in gathered.methods):
        notes.append(MARGIN)
    return ScoreTable("Mean scores", head, rows, notes, command)


def _mean(method: "Method", dataset: str, metric: str) -> str:
    if metric not in method.metrics(dataset):
        return "-"
    spread = method.over_seeds(dataset, metric)
    return with_margin(score_word(spread.mean, 4), spread)


def _marked(word: str, compared: Compared, name: str, dataset: str, metric: str) -> str:
    """Return a score in bold if it is the best, underlined if the second, with a star if it is not the baseline's."""
    found = ranking(compared.methods, compared.pairs, dataset, metric)
    mark = "best" if name == found.best else "second" if name == found.second else None
    star = any(
        row.distinguishable
        for row in compared.comparison.rows
        if (row.dataset, row.metric, row.candidate) == (dataset, metric, name)
    )
    shown = word if mark is None else element("span", word, class_=mark)
    return joined(shown, _LOOKS.star * star)


def per_image_table(group: ScoredTogether) -> ScoreTable:
    """Return the scores of each image by all runs of a group."""
    columns: list[tuple[str, Mapping[str, float]]] = []
    for metric in group.metrics:
        for run in group.runs:
            scores = group.scores_of(run)
            if metric in scores.values:
                values = zip(scores.keys, map(float, scores.values[metric]), strict=True)
                columns.append((f"{run.name} {metric}", dict(values)))
    rows = [[key, *(_exact(column.get(key)) for _, column in columns)] for key in group.scores.keys]
    head = ["image", *(name for name, _ in columns)]
    return ScoreTable(group.title, head, rows, (), test_command(group.runs))


def _exact(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return score_word(value, 4)


def test_command(runs: Sequence[ReportedRun]) -> str:
    """Return the command that computes the scores of runs again: tests, or else trainings with their validation."""
    files = [run.options_file for run in runs]
    tested = [file for file in files if file.name == "options_test.yml"]
    if tested:
        return shlex.join(["srzoo", "test", "-opt", *words_of(tested), "--overwrite"])
    return "; ".join(shlex.join(["srzoo", "train", "-opt", *words_of([file])]) for file in files)


def panels_of(runs: Sequence[ReportedRun], command: str) -> list[Panel]:
    """Return the curves of all trainings: losses by term, scores by dataset and metric, the learning rate."""
    panels: list[Panel] = []
    for term in dict.fromkeys(term for run in runs for term in run.log.losses):
        curves = _curves(runs, lambda log, term=term: log.losses.get(term, {}))
        panels.append(Panel(f"loss: {term}", curves, None, command))
    for measure in dict.fromkeys(measure for run in runs for measure in run.log.scores):
        curves = _curves(runs, lambda log, measure=measure: log.scores.get(measure, {}))
        higher = all(_higher_is_better(run, *measure) for run in runs)
        panels.append(Panel(f"{measure[1]} on {measure[0]}", curves, higher, command))
    curves = _curves(runs, lambda log: log.lr)
    return [*panels, Panel("learning rate", curves, None, command)] if curves else panels


def _curves(runs: Sequence[ReportedRun], of: "Callable[[TrainingLog], Course]") -> "dict[str, Course]":
    return {run.name: course for run in runs if (course := of(run.log))}


def _higher_is_better(run: ReportedRun, dataset: str, metric: str) -> bool:
    """Return the direction of a metric, from its results or else from the options of the training."""
    scores = run.result.sets.get(dataset) if run.result is not None else None
    if scores is not None and metric in scores.values:
        return scores.higher_is_better(metric)
    return metric_direction(options_of(run.folder, tested=False), metric)
