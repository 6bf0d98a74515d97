"""Image folders: which files are images, and which GT and LQ belong together."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from srzoo.catalogue import hint
from srzoo.data.listing import Fault, ImageFile, ImageListing, Mapped, NamedImages, Pair, PairListing
from srzoo.data.names import stems_of, without_suffix
from srzoo.data.shared import SharedArray, first_places, hashes_of, repeated
from srzoo.data.storage import ImageStore, open_store
from srzoo.data.storage.folder import names_below
from srzoo.images import EXTENSIONS


class FolderImages(NamedImages):
    """Images of a folder. Those that differ by their suffixes alone, a.png and a.jpg, keep them in their keys."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(folder, names)
        self._with_suffix = SharedArray(repeated(hashes_of(stems_of(names), len(names))))

    def key(self, index: int, name: str) -> str:
        return name if self._with_suffix.array[index] else without_suffix(name)


class StoredImages(NamedImages):
    """Images of a pack or database."""

    def __init__(self, store: ImageStore) -> None:
        super().__init__(store.root, store.names)
        self._store = store

    def __reduce__(self) -> tuple[type["StoredImages"], tuple[ImageStore]]:
        return StoredImages, (self._store,)  # a process that is spawned opens the store, not a copy of its names

    def key(self, index: int, name: str) -> str:
        del index
        return self._store.key(name)

    def listed(self, index: int, name: str) -> tuple[tuple[int, int] | None, str]:
        del index
        return self._store.listed(name)


def search(folder: Path, recursive: bool = True, without: Path | None = None) -> ImageListing:
    """Return all images of a folder or store, sorted, and the files left out; linked folders are followed.

    Files whose suffixes are not those of images and hidden files are left out.

    Args:
        folder: to search.
        recursive: search sub-folders too; else they are left out.
        without: a folder that is left out.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
        ValueError: a store that is unfinished or damaged.
    """
    store = open_store(folder)
    if store is not None:
        return ImageListing(StoredImages(store), [], [])
    if folder.is_file():
        raise FileNotFoundError(f"expected an image folder, but {folder} is a file")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"image folder {folder} does not exist (relative paths start at path.root, or the working directory)"
            f"{hint(folder)}"
        )
    names, left_out = names_below(folder, recursive, without)
    if not names:
        others = f"; it holds {summary(left_out)}" if left_out else ""
        raise FileNotFoundError(f"image folder {folder} holds no image (known: {', '.join(EXTENSIONS)}{others})")
    return ImageListing(FolderImages(folder, names), [], left_out)


def summary(left_out: list[Fault]) -> str:
    """Count files by reason, such as "3 .txt, 1 hidden"."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(file.reason for file in left_out).most_common())


def key_of(path: Path, folder: Path) -> str:
    """Return an image's name in results: its path below `folder` without suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def stem_in_template(stem: str, template: str) -> str | None:
    """Return the part of `stem` at the place of {} in `template`; None if `stem` has another form."""
    before, _, after = template.partition("{}")
    fits = stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after)
    return stem[len(before) : len(stem) - len(after)] if fits else None


def match_folders(gt: ImageListing, gt_template: str, lq_folder: Path, lq_template: str) -> PairListing:
    """Pair GT and LQ files of one name, {} in both templates, in the same sub-folder.

    Faults are GT images without exactly one partner, and LQ files without GT ("extra"). GT files of another form than
    `gt_template` are left out: RealSR keeps GT and LQ in one folder. Names are compared by their hashes, which takes a
    tenth of the memory that a table of names would take.
    """
    found = search(lq_folder)
    gt_names, lq_names = _names(gt.images), _names(found.images)
    wanted, fits = _wanted(gt_names, gt_template, lq_template)
    present = hashes_of(stems_of(lq_names), len(lq_names))
    left_out = [*gt.left_out, *found.left_out]
    sequence, asked = np.argsort(present, kind="stable"), np.argsort(wanted)
    ascending = present[sequence]
    if fits.all() and np.array_equal(wanted[asked], ascending) and (ascending[1:] > ascending[:-1]).all():
        # Each name has one partner, as those of a million pairs have: there is nothing to search.
        partner = np.empty_like(sequence)
        partner[asked] = sequence
        pairs = _matched_pairs(gt, np.arange(len(partner)), found, partner)
        return PairListing(pairs, list(gt.faults), list(dict.fromkeys(left_out)))
    first, last = (np.searchsorted(present, wanted, side, sorter=sequence) for side in ("left", "right"))
    # A key has several files where only their suffixes differ, such as a.png and a.jpg.
    places = first_places(wanted)
    partners = np.where(fits & (places == np.arange(len(wanted))), last - first, 0)
    matched = np.flatnonzero(partners == 1)
    matching = sequence[first[matched]]
    faults = list(gt.faults)
    for row in np.flatnonzero(fits & (partners != 1)):
        image, others = gt.images[int(row)], sequence[first[row] : last[row]]
        if places[row] != row and len(others):
            twin = gt.images[int(places[row])].path
            faults.append(Fault(image.path, f"{twin.name} has the same partner under these templates: rename one"))
            continue
        several = [found.images[int(index)].path.name for index in others]
        faults.append(_unpaired(image, several, gt_template, lq_folder, lq_template))
    # In a folder of both, GT files are no spare LQ files, and LQ files are not left out.
    spare, unfit = np.flatnonzero(~np.isin(present, wanted[fits])), np.flatnonzero(~fits)
    if len(spare) or len(unfit):
        gt_paths, lq_paths = _path_hashes(gt.images), _path_hashes(found.images)
        spare = spare[~np.isin(lq_paths[spare], gt_paths[matched])]
        unfit = unfit[~np.isin(gt_paths[unfit], lq_paths[matching])]
    faults += [Fault(found.images[int(index)].path, "extra: no GT image belongs to it") for index in spare]
    left_out += [Fault(gt.images[int(row)].path, f"not named {gt_template}") for row in unfit]
    return PairListing(_matched_pairs(gt, matched, found, matching), faults, list(dict.fromkeys(left_out)))


def _wanted(names: Sequence[str], gt_template: str, lq_template: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of the key of LQ for each name of GT, (N,) int64, and (N,) bool: the name fits its template."""
    fits = np.ones(len(names), bool)
    if gt_template == "{}" and lq_template.startswith("{}"):
        end = lq_template.removeprefix("{}")
        return hashes_of((stem + end for stem in stems_of(names)), len(names)), fits

    def keys() -> Iterator[str]:
        for row, name in enumerate(names):
            parent, slash, file = name.rpartition("/")
            stem = stem_in_template(without_suffix(file), gt_template)
            fits[row] = stem is not None
            yield "" if stem is None else f"{parent}{slash}{lq_template.replace('{}', stem)}"

    return hashes_of(keys(), len(names)), fits


def _names(images: Sequence[ImageFile]) -> Sequence[str]:
    """Return the names of images below their folder."""
    if isinstance(images, NamedImages):
        return images.names
    return [f"{image.key.rpartition('/')[0]}/{image.path.name}".lstrip("/") for image in images]


def _path_hashes(images: Sequence[ImageFile]) -> np.ndarray:
    if isinstance(images, NamedImages):
        before = os.fspath(images.folder / "x")[:-1]
        return hashes_of((before + name for name in images.names), len(images))
    return hashes_of((os.fspath(image.path) for image in images), len(images))


def _unpaired(image: ImageFile, partners: list[str], gt_template: str, lq_folder: Path, lq_template: str) -> Fault:
    if partners:
        return Fault(image.path, f"has {len(partners)} partners: {', '.join(partners)}")
    parent, name = image.key.rpartition("/")[0], stem_in_template(image.path.stem, gt_template)
    wanted = f"{parent}/{lq_template.replace('{}', name or '')}".lstrip("/")
    templates = f"lq_template {lq_template!r}"
    templates += f", gt_template {gt_template!r}" if gt_template != "{}" else ""
    return Fault(image.path, f"has no partner {wanted}.* in {lq_folder} ({templates})")


def _matched_pairs(gt: ImageListing, gt_rows: np.ndarray, lq: ImageListing, lq_rows: np.ndarray) -> Sequence[Pair]:
    rows = SharedArray(gt_rows.astype(np.int32)), SharedArray(lq_rows.astype(np.int32))
    return Mapped(range(len(gt_rows)), partial(_matched_pair, gt.images, rows[0], lq.images, rows[1]))


def _matched_pair(
    gt: Sequence[ImageFile], gt_rows: SharedArray, lq: Sequence[ImageFile], lq_rows: SharedArray, index: int
) -> Pair:
    image = gt[int(gt_rows.array[index])]
    return Pair(image.key, image.path, lq[int(lq_rows.array[index])].path, image.size, image.listed)
