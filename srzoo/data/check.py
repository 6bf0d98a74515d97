"""The pre-flight: all faults of the data, reported together before the first step."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.data import Dataset

from srzoo.data.imageset import ImageSet
from srzoo.data.listing import Fault
from srzoo.data.storage import content_hashes, num_bytes
from srzoo.progress import shown


class DataError(ValueError):
    """Faults of the data, one line each: split, file, reason."""

    def __init__(self, faults: Sequence[tuple[str, Fault]]) -> None:
        lines = [f"  {split}: {fault.file}: {fault.reason}" for split, fault in faults]
        super().__init__(f"{len(lines)} fault(s) in the data:\n" + "\n".join(lines))


def check_datasets(
    datasets: Mapping[str, Dataset[object]],
    *,
    full: bool,
    allow_overlap: bool,
    least_side: int = 1,
    progress: bool = True,
) -> list[tuple[str, Fault]]:
    """Return the faults of all datasets as (split, fault); a training image in an evaluation set is one of them.

    Args:
        datasets: split name -> dataset; names other than "train" are evaluation sets. Only :class:`ImageSet` datasets
            are checked.
        full: decode every file instead of reading names, headers and file ends.
        allow_overlap: skip the comparison of training and evaluation images.
        least_side: smallest side of evaluation images that the metrics accept [GT pixels].
        progress: show how many images are done.
    """
    faults: list[tuple[str, Fault]] = []
    sets = {split: dataset for split, dataset in datasets.items() if isinstance(dataset, ImageSet)}
    for split, dataset in sets.items():
        least = 1 if split == "train" else least_side
        checks = dataset.check(full, least)
        if progress:
            # The listing itself is checked first.
            checks = shown(checks, f"checking {split}", len(dataset.pairs) + 1, delay=1)
        for found in checks:
            faults += [(split, fault) for fault in found]
    # Hashing needs readable files, so it waits until there are no other faults.
    if not faults and not allow_overlap and "train" in sets:
        faults += _find_overlap(sets)
    return faults


def _find_overlap(sets: Mapping[str, ImageSet]) -> list[tuple[str, Fault]]:
    """Report training files with the content of an evaluation file; only files of equal size are read."""
    held_out: dict[int, list[tuple[str, Path]]] = {}
    for split, dataset in sets.items():
        if split != "train":
            for pair in dataset.pairs:
                held_out.setdefault(num_bytes(pair.main_file), []).append((split, pair.main_file))
    suspects = [
        (file, split, other)
        for file in (pair.main_file for pair in sets["train"].pairs)
        for split, other in held_out.get(num_bytes(file), [])
    ]
    hashes = content_hashes(path for file, _, other in suspects for path in (file, other))
    return [
        ("train", Fault(file, f"is also in {split}: {other}; remove it, or set data.allow_overlap: true"))
        for file, split, other in suspects
        if hashes[file] == hashes[other]
    ]
