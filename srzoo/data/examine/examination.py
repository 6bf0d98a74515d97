"""Examination of all datasets of an option file: sampling, workers, and findings in order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import Dataset

from srzoo.data.examine.depth import depth_findings
from srzoo.data.examine.duplicates import LikelyCopy, is_same, likely_copies, same_picture
from srzoo.data.examine.findings import CHECKS, SEVERITIES, Case, Check, Examination, Examined, Finding
from srzoo.data.examine.measure import Measurement, PairTask, measure
from srzoo.data.examine.verdicts import findings_of
from srzoo.data.imageset import ImageSet
from srzoo.data.listing import Fault, Pair
from srzoo.data.paired import PairedImages
from srzoo.data.parallel import num_workers, parallel
from srzoo.data.storage import read_image
from srzoo.keys import image_of
from srzoo.progress import shown

# Images of a dataset that are examined, unless all are.
SAMPLE = 64
# Pixels of an image, by which the number of workers is judged before the images are read.
_PIXELS = 10**6


def examine(
    datasets: Mapping[str, Dataset[object]],
    faults: Sequence[tuple[str, Fault]],
    *,
    sample: int | None = SAMPLE,
    checks: Collection[Check] = CHECKS,
    workers: int = 0,
    allow_overlap: bool = False,
) -> Examination:
    """Examine datasets and return the findings, the worst first.

    Args:
        datasets: "train", "val/NAME" or "test/NAME" -> dataset; only :class:`ImageSet` datasets are examined.
        faults: of the pre-flight, (dataset, fault).
        sample: number of images of each dataset whose pixels are examined, evenly chosen; None: all.
        checks: to make.
        workers: number of processes; 0: one per core.
        allow_overlap: training images in evaluation sets are notes.
    """
    sets = {label: dataset for label, dataset in datasets.items() if isinstance(dataset, ImageSet)}
    findings = [_unknown(label, dataset) for label, dataset in datasets.items() if label not in sets]
    examined: list[Examined] = []
    measured: dict[str, list[Measurement]] = {}
    for label, dataset in sets.items():
        kernel = dataset.lq_kernel if isinstance(dataset, PairedImages) else "other"
        measured[label] = _measured(label, dataset, kernel, sample, checks, workers)
        examined.append(Examined(label, len(dataset.pairs), len(measured[label])))
        if "depth" in checks:
            findings += depth_findings(label, dataset)
        findings += [one for one in findings_of(label, measured[label], kernel) if one.check in checks]
    if "duplicates" in checks and "train" in sets:
        known = {fault.file for _, fault in faults}
        findings += _duplicates(measured, sets["train"].max_pixels, workers, known, allow_overlap)
    findings += _preflight(faults, measured)
    findings.sort(key=lambda one: (SEVERITIES.index(one.severity), CHECKS.index(one.check)))
    return Examination(examined, findings)


def _unknown(label: str, dataset: Dataset[object]) -> Finding:
    problem = f"{type(dataset).__name__} is not examined: its files are not known"
    return Finding("note", "pre-flight", label, problem, "classes derived from ImageSet are examined", [], 0)


def _measured(
    label: str, dataset: ImageSet, kernel: str, sample: int | None, checks: Collection[Check], workers: int
) -> list[Measurement]:
    """Measure a sample of a dataset, in its order."""
    pairs = _sampled(dataset.pairs, sample)
    # A dataset that is converted to grey has no order of colours.
    own: list[Check] = [check for check in checks if check != "colours" or dataset.color == "rgb"]
    tasks = [PairTask(pair, dataset.scale, kernel, dataset.max_pixels, own) for pair in pairs]
    processes = num_workers(workers, len(tasks), len(tasks) * _PIXELS)
    results = shown(parallel(measure, tasks, processes), f"examining {label}", len(tasks), delay=1)
    found = {one.pair: one for one in results}  # results come in any order
    return [found[pair] for pair in pairs]


def _preflight(faults: Sequence[tuple[str, Fault]], measured: Mapping[str, Sequence[Measurement]]) -> list[Finding]:
    """Return the faults of the pre-flight, and files that could not be decoded, as one finding per dataset."""
    cases: dict[str, list[Case]] = {}
    for label, fault in faults:
        cases.setdefault(label, []).append(Case((fault.file,), fault.reason))
    known = {fault.file for _, fault in faults}
    for label, several in measured.items():
        for one in several:
            if one.unreadable is not None and one.unreadable.file not in known:
                cases.setdefault(label, []).append(Case((one.unreadable.file,), one.unreadable.reason))
    problem = "faults that stop a training or test"
    # Not a share of the images: files that belong to none, folders and options are at fault, too.
    return [Finding("fault", "pre-flight", label, problem, "", found, 0) for label, found in cases.items()]


def _sampled(pairs: Sequence[Pair], sample: int | None) -> Sequence[Pair]:
    """Return at most `sample` pairs, evenly chosen."""
    if sample is None or len(pairs) <= sample:
        return pairs
    return [pairs[number * len(pairs) // sample] for number in range(sample)]


@dataclass(frozen=True)
class _Comparison:
    """Two images whose detail is compared."""

    first: Path
    second: Path
    copy: LikelyCopy
    max_pixels: int


def _duplicates(
    measured: Mapping[str, Sequence[Measurement]],
    max_pixels: int,
    workers: int,
    known: Collection[Path],
    allow_overlap: bool,
) -> list[Finding]:
    """Report near-duplicates within training, and between training and evaluation sets."""
    images = [
        (label, one.pair, one.likeness)
        for label, several in measured.items()
        for one in several
        if one.likeness is not None and one.pair.main_file not in known
    ]
    comparisons = [
        _Comparison(images[copy.first][1].main_file, images[copy.second][1].main_file, copy, max_pixels)
        for copy in likely_copies([likeness for _, _, likeness in images])
        if "train" in (images[copy.first][0], images[copy.second][0])
        and not _of_one_image(images[copy.first][1], images[copy.second][1])
    ]
    processes = num_workers(workers, len(comparisons), 2 * len(comparisons) * _PIXELS)
    compared = shown(parallel(_compare, comparisons, processes), "comparing", len(comparisons), delay=1)
    cases: dict[str, list[Case]] = {}
    for comparison, correlation in sorted(compared, key=lambda result: result[0].copy):
        if not is_same(correlation):
            continue
        copy = comparison.copy
        # Training images come first: the other image's dataset is the one that shares them.
        label = next((images[i][0] for i in (copy.second, copy.first) if images[i][0] != "train"), "train")
        how = "mirrored, " * copy.mirrored
        text = f"{how}{copy.bits} of 128 bits differ, detail correlates {correlation:.2f}"
        values = {"mirrored": copy.mirrored, "bits": copy.bits, "correlation": round(correlation, 3)}
        cases.setdefault(label, []).append(Case((comparison.first, comparison.second), text, values))
    return [_duplicate_finding(label, found, len(images), allow_overlap) for label, found in cases.items()]


def _of_one_image(first: Pair, second: Pair) -> bool:
    """Return True for sub-images of one image, which overlap on purpose."""
    names = [image_of(pair.key) for pair in (first, second)]
    return names[0] == names[1] and first.key != names[0] != second.key


def _compare(comparison: _Comparison) -> tuple[_Comparison, float]:
    first, second = (read_image(path, comparison.max_pixels).rgb for path in (comparison.first, comparison.second))
    return comparison, same_picture(first, second, comparison.copy.mirrored)


def _duplicate_finding(label: str, cases: Sequence[Case], of: int, allow_overlap: bool) -> Finding:
    if label == "train":
        problem, advice = "near-duplicates within training", "keep one of each, or accept that it is seen more often"
        return Finding("warning", "duplicates", label, problem, advice, cases, of)
    problem = f"training images are also in {label}: compressed again, resized or mirrored"
    advice = "remove them from training, or set data.allow_overlap: true"
    return Finding("note" if allow_overlap else "fault", "duplicates", label, problem, advice, cases, of)
