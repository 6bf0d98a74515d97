"""Published datasets, from their public address or from a local mirror, put where the option files look for them."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from srzoo.catalogue import DATASETS, Archive, PublishedDataset
from srzoo.data.prepare.archives import SUFFIXES, contents, unpack
from srzoo.data.prepare.download import download
from srzoo.data.prepare.layout import arranged
from srzoo.data.prepare.lists import pair_list, templates_of
from srzoo.images import EXTENSIONS
from srzoo.progress import shown


@dataclass(frozen=True)
class Place:
    """Where to look and where to put.

    Args:
        to: folder of ``datasets/`` and ``weights/``.
        mirror: folder with local copies; None: public addresses.
        dry_run: report the files to write, and write nothing.
    """

    to: Path
    mirror: Path | None = None
    dry_run: bool = False

    @property
    def work(self) -> Path:
        """Folder of partial downloads, and of datasets that are not whole yet; on the file system of the result."""
        return self.to / "datasets" / ".get"


def get_dataset(dataset: PublishedDataset, place: Place) -> list[str]:
    """Fetch a dataset and return a report in lines; each of its sub-folders appears whole or not at all.

    Sub-folders that hold images already are left alone.

    Raises:
        FileNotFoundError: the mirror has no such dataset, or there is no public address.
        ValueError: an archive that is damaged or differs from the published one, or has no images of the dataset.
        OSError: no network, or a full disk.
    """
    target = place.to / "datasets" / dataset.name
    missing = [name for name in dataset.folders if not _images(target / name)]
    main = next(iter(dataset.folders))
    if not missing or (main not in missing and place.mirror is None):
        return [f"{dataset.name}: {target} is there already, left alone{_remarks(dataset, target)}"]
    sources = [] if place.mirror is None else _sources_in(place.mirror, dataset)
    shutil.rmtree(place.work / dataset.name, ignore_errors=True)  # of a run that was killed
    try:
        if dataset.parts and not sources:
            return _join(dataset, place)
        if place.mirror is not None and not sources:
            if main not in missing:
                return [f"{dataset.name}: {target} is there already, left alone{_remarks(dataset, target)}"]
            raise FileNotFoundError(
                f"{dataset.name}: {place.mirror} holds no folder {dataset.name} and no {dataset.name}.zip or .tar.gz"
            )
        if place.mirror is None and not dataset.archives:
            raise FileNotFoundError(
                f"{dataset.name} has no public address for programs: get it from {dataset.page} (licence: "
                f"{dataset.licence}) and put it into {target}: {dataset.layout}; --from takes a folder or archive of it"
            )
        if place.dry_run:
            return _announce(dataset, sources, missing, place)
        files = _arrange(
            dataset, sources or [_downloaded(archive, dataset, place) for archive in dataset.archives], place
        )
        return [
            _install(dataset, {name: path for name, path in files.items() if _folder(name, dataset) in missing}, place)
        ]
    finally:
        shutil.rmtree(place.work / dataset.name, ignore_errors=True)


def discard_archives(place: Place) -> None:
    """Remove downloaded archives of datasets that are in place: one archive may hold several datasets."""
    for dataset in DATASETS.values():
        if _images(place.to / "datasets" / dataset.name / next(iter(dataset.folders))):
            for archive in dataset.archives:
                (place.work / Path(urlparse(archive.url).path).name).unlink(missing_ok=True)
    if place.work.is_dir() and not any(place.work.iterdir()):
        place.work.rmdir()


def _folder(name: str, dataset: PublishedDataset) -> str:
    """Return the sub-folder of a dataset that a file belongs to."""
    return "" if "" in dataset.folders else name.rpartition("/")[0]


def _announce(dataset: PublishedDataset, sources: Sequence[Path], missing: Sequence[str], place: Place) -> list[str]:
    """Describe the files that a run would write."""
    target = place.to / "datasets" / dataset.name
    lines = []
    for archive in () if sources else dataset.archives:
        lines.append(f"{dataset.name}: would download {archive.url}, about {archive.megabytes} MB, to {target}")
    for source in sources:
        if source.is_file():
            count, size = contents(source)
        else:
            files = [path for name, path in arranged(dataset, source).items() if _folder(name, dataset) in missing]
            count, size = len(files), sum(path.stat().st_size for path in files)
        lines.append(f"{dataset.name}: would write {count} files of {source} to {target}, {size:,} bytes")
    return lines


def _downloaded(archive: Archive, dataset: PublishedDataset, place: Place) -> Path:
    """Return an archive, downloaded unless an earlier call has done so."""
    file = place.work / Path(urlparse(archive.url).path).name
    if not file.is_file():
        try:
            download(archive.url, file, "md5", archive.md5)
        except OSError as error:
            raise OSError(f"{dataset.name}: {error}; the dataset is described at {dataset.page}") from error
    return file


def _sources_in(mirror: Path, dataset: PublishedDataset) -> list[Path]:
    """Return the folder or the archives of a dataset in a mirror, whatever the case of their names.

    Raises:
        FileNotFoundError: there is no such mirror.
    """
    if not mirror.is_dir():
        raise FileNotFoundError(f"--from: {mirror} is no folder")
    names = [name + suffix for name in (dataset.name.lower(), *dataset.other_names) for suffix in ("", *SUFFIXES)]
    published = [Path(urlparse(archive.url).path).name.lower() for archive in dataset.archives]
    # Folders that the published archives unpack to: DIV2K_train_HR.
    parts = [s for spellings in dataset.folders.values() for s in spellings if s.startswith(dataset.name.lower())]
    for folder in (mirror, *(mirror / name for name in ("datasets", "data", "benchmark"))):
        entries = {path.name.lower(): path for path in sorted(folder.iterdir())} if folder.is_dir() else {}
        usable = {n: p for n, p in entries.items() if (p.is_file() if n.endswith(SUFFIXES) else p.is_dir())}
        for wanted in (names, published, [part.split("/")[0] for part in parts]):
            found = [usable[name] for name in dict.fromkeys(wanted) if name in usable]
            if found:
                # One folder or archive of the dataset's name is enough; the others are parts of it.
                return found[:1] if wanted is names else found if wanted is published else [folder]
    return []


def _arrange(dataset: PublishedDataset, sources: Iterable[Path], place: Place) -> dict[str, Path]:
    """Return target path -> file for the images of folders and archives, which are unpacked beside the target."""
    files: dict[str, Path] = {}
    for number, source in enumerate(sources):
        folder = source
        if source.is_file():
            folder = place.work / dataset.name / f"unpacked{number}"
            unpack(source, folder)
        files |= arranged(dataset, folder)
    return files


def _install(dataset: PublishedDataset, files: Mapping[str, Path], place: Place) -> str:
    """Copy images into place, by way of a folder beside it."""
    target = place.to / "datasets" / dataset.name
    if not files:
        return f"{dataset.name}: {target} is there already, left alone{_remarks(dataset, target)}"
    size = sum(path.stat().st_size for path in files.values())
    staged = place.work / dataset.name / "whole"
    staged.mkdir(parents=True)
    free = shutil.disk_usage(staged).free
    if size > free:
        raise OSError(f"{place.to} has {free:,} bytes free, {dataset.name} needs {size:,}")
    for name, path in shown(files.items(), f"writing {dataset.name}", len(files), unit="file", delay=1):
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, staged / name)
    _move(staged, target)
    lists = _write_lists(dataset, target)
    return f"{dataset.name}: wrote {len(files)} files to {target}{lists}{_remarks(dataset, target)}"


def _move(staged: Path, target: Path) -> None:
    """Move the sub-folders of a folder to their place; each appears at once."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
        return
    for path in sorted(staged.iterdir()):
        path.replace(target / path.name)  # an empty folder is replaced


def _join(dataset: PublishedDataset, place: Place) -> list[str]:
    """Make a dataset of others, fetched first; images are hard links where the file system has them."""
    parts = [DATASETS[name] for name in dataset.parts]
    lines = [line for part in parts for line in get_dataset(part, place)]
    target = place.to / "datasets" / dataset.name
    if place.dry_run:
        return [*lines, f"{dataset.name}: would join {' and '.join(dataset.parts)} in {target}"]
    staged = place.work / dataset.name / "whole" / next(iter(dataset.folders))
    staged.mkdir(parents=True)
    for part in parts:
        for path in _images(place.to / "datasets" / part.name / next(iter(part.folders))):
            try:
                (staged / path.name).hardlink_to(path)
            except FileExistsError as error:
                raise ValueError(f"{dataset.name}: two images are named {path.name}") from error
            except OSError:  # another file system, or one without links
                shutil.copyfile(path, staged / path.name)
    count = len(_images(staged))
    _move(staged.parent, target)
    return [*lines, f"{dataset.name}: joined {count} images in {target}{_remarks(dataset, target)}"]


def _write_lists(dataset: PublishedDataset, target: Path) -> str:
    """Write the lists of pairs that the option files name, where there are pairs, and return their names."""
    written = []
    for part in ("Train", "Test"):
        for scale in (2, 3, 4):
            folder, only = (target, f"*{part}/*") if dataset.name == "RealSR" else (target / f"{part}_x{scale}", "*")
            file = target / f"{part.lower()}_x{scale}.txt"
            if dataset.name not in ("RealSR", "DRealSR") or not folder.is_dir() or file.exists():
                continue
            templates = templates_of(dataset.name.lower(), scale)
            lines = pair_list(folder, None, templates, scale=scale, only=only, relative_to=target).lines
            if lines:
                file.write_text("".join(f"{line}\n" for line in lines))
                written.append(f"{file.name} ({len(lines)} pairs)")
    return f" and the lists {', '.join(written)}" if written else ""


def _images(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*")) if folder.is_dir() else []
    return [path for path in files if path.suffix.lower() in EXTENSIONS and path.is_file()]


def _remarks(dataset: PublishedDataset, target: Path) -> str:
    """Return remarks on a dataset in its place: another number of images than published, no LR files."""
    main = target / next(iter(dataset.folders))
    count = len(_images(main))
    remarks = f"\n  WARNING: {main} has {count} images, published are {dataset.count}" * bool(
        dataset.count and count != dataset.count
    )
    scales = [
        scale for scale in "234" if f"LRbicx{scale}" in dataset.folders and not _images(target / f"LRbicx{scale}")
    ]
    if scales:
        remarks += (
            f"\n  no LR files at x{', x'.join(scales)}: srzoo data make-lr {main} {target} --scale {','.join(scales)}"
        )
    return remarks
