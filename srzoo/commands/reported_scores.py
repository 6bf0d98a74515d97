"""Tables and curves of a report: mean scores, comparisons, scores of each image, losses."""

import dataclasses
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.analysis.comparison import Comparison, compare
from srzoo.commands.reported_pictures import ScoredTogether, score_word
from srzoo.commands.reported_runs import ReportedRun, run_folders, unique_names, words_of
from srzoo.report.curves import Panel
from srzoo.report.page import ScoreTable
from srzoo.report.scrub import text_without_paths

if TYPE_CHECKING:
    from srzoo.analysis.scored import Method
    from srzoo.engine.log_reader import Course, TrainingLog
    from srzoo.report.seeds import Gathered


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
    tables = [_means(gathered, runs, groups)]
    if len(gathered.methods) < 2:
        return tables
    try:
        comparison = compare(gathered.methods[0], gathered.methods[1:])
    except ValueError as error:
        reason = text_without_paths(str(error))
        return [dataclasses.replace(tables[0], notes=[*tables[0].notes, f"Not compared: {reason}"])]
    return [*tables, _differences(comparison, runs)]


def _means(gathered: "Gathered", runs: Sequence[ReportedRun], groups: Sequence[ScoredTogether]) -> ScoreTable:
    head, rows = ["network"], [[method.name] for method in gathered.methods]
    for group in groups:
        names = {run.name for run in group.runs}
        for metric in group.metrics:
            protocol = group.scores.protocols.get(metric, {}).get("name", metric)
            head.append(f"{group.title} {metric} ({protocol})")
            for method, row in zip(gathered.methods, rows, strict=True):
                scored = names.issuperset(method.seeds) and group.dataset in method.datasets
                row.append(_mean(method, group.dataset, metric) if scored else "-")
    notes = [text_without_paths(note) for note in gathered.notes]
    if any(len(method.seeds) > 1 for method in gathered.methods):
        notes.append("Behind ± is the standard deviation over seeds.")
    return ScoreTable("Mean scores", head, rows, notes, test_command([run for run in runs if run.result is not None]))


def _mean(method: "Method", dataset: str, metric: str) -> str:
    if metric not in method.metrics(dataset):
        return "-"
    means = method.seed_means(dataset, metric)
    word = score_word(float(means.mean()), 4)
    return word if len(means) == 1 else f"{word} ± {means.std(ddof=1):.4f} ({len(means)} seeds)"


def _differences(comparison: Comparison, runs: Sequence[ReportedRun]) -> ScoreTable:
    head = ["network", "dataset", "metric", "difference", "95 % interval", "p (Wilcoxon, Holm)", "images", "verdict"]
    rows = []
    for row in comparison.rows:
        interval = "-" if row.interval is None else f"[{row.interval.low:+.4f}, {row.interval.high:+.4f}]"
        measure = f"{row.metric} ({row.protocol})"
        rows.append([row.candidate, row.dataset, measure, f"{row.difference:+.4f}", interval, f"{row.p_holm:.4f}",
                     str(row.n), row.verdict])  # fmt: skip
    notes = [f"p values are adjusted for {comparison.family}."]
    few = {(row.dataset, row.n): row.smallest_p for row in comparison.rows if row.smallest_p >= 0.05}
    notes += [f"{n} images of {dataset} cannot give a p value below {p:.4f}." for (dataset, n), p in few.items()]
    notes += [text_without_paths(note) for note in comparison.notes]
    command = shlex.join(["srzoo", "compare", *words_of(run.folder for run in runs if run.result is not None)])
    return ScoreTable(f"Differences from {comparison.baseline}", head, rows, notes, command)


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
    """Return the direction of a metric; one without results yet is taken as PSNR is."""
    scores = run.result.sets.get(dataset) if run.result is not None else None
    return True if scores is None else scores.higher_is_better(metric)
