"""The pre-flight: everything that is wrong with the data, at once, before the first step."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch.utils.data import Dataset
from tqdm import tqdm

from srzoo.data.imageset import ImageSet
from srzoo.data.listing import Fault


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
    """The faults of all datasets by split name; training images that stand in an evaluation set are one.

    Args:
        datasets: split name -> dataset; names other than "train" are evaluation sets. Datasets of other kinds than
            :class:`ImageSet` (a user's own) are left to themselves.
        full: decode every file instead of reading names, headers and ends.
        allow_overlap: do not compare training with evaluation images.
        least_side: of evaluation images, what the metrics need [GT pixels].
        progress: show a bar.
    """
    faults: list[tuple[str, Fault]] = []
    sets = {split: dataset for split, dataset in datasets.items() if isinstance(dataset, ImageSet)}
    for split, dataset in sets.items():
        least = 1 if split == "train" else least_side
        for found in tqdm(
            dataset.check(full, least),
            f"checking {split}",
            len(dataset.pairs) + 1,
            disable=None if progress else True,
            leave=False,
            delay=1,
        ):
            faults += [(split, fault) for fault in found]
    if not faults and not allow_overlap and "train" in sets:
        faults += _overlap(sets)
    return faults


def _overlap(sets: Mapping[str, ImageSet]) -> list[tuple[str, Fault]]:
    """Training files with the content of an evaluation file; only files of equal size are read."""
    held_out: dict[int, list[tuple[str, Path]]] = {}
    for split, dataset in sets.items():
        if split != "train":
            for pair in dataset.pairs:
                held_out.setdefault(pair.gt.stat().st_size, []).append((split, pair.gt))
    hashes: dict[Path, str] = {}

    def content(path: Path) -> str:
        if path not in hashes:
            with path.open("rb") as file:
                hashes[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return hashes[path]

    return [
        ("train", Fault(pair.gt, f"stands also in {split}: {other}; remove it, or set data.allow_overlap: true"))
        for pair in sets["train"].pairs
        for split, other in held_out.get(pair.gt.stat().st_size, [])
        if content(pair.gt) == content(other)
    ]
