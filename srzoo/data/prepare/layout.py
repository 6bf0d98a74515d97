"""Layouts in which datasets are packed, and the one in which the option files look for them."""

import re
from collections.abc import Iterable
from pathlib import Path

from srzoo.catalogue import PublishedDataset
from srzoo.data.folders import search
from srzoo.images import EXTENSIONS, read_header

# NAMEx2 beside NAME: GT and LR in one folder.
_LR_NAME = re.compile(r"(.+)x([234])")
# Folders that other systems add to archives.
_CLUTTER = ("__macosx",)


def arranged(dataset: PublishedDataset, source: Path) -> dict[str, Path]:
    """Return target path below the dataset's folder -> file, for the images below `source`.

    Folders may be spelt as in any published packing, in a folder of the dataset's name or not; images alone are GT.

    Raises:
        ValueError: there is nothing of the dataset, or an image is damaged by its header.
    """
    root = _root(dataset, source)
    if "" in dataset.folders:
        files = {path.relative_to(root).as_posix(): path for path in _files(root) if _is_image(path)}
    else:
        files = {}
        below = {path.relative_to(root).as_posix().lower(): path for path in _folders(root)}
        for target, spellings in dataset.folders.items():
            found = next((below[name] for name in (target.lower(), *spellings) if name in below), None)
            if found is not None:
                images = (path for path in sorted(found.iterdir()) if path.is_file() and _is_image(path))
                files.update({f"{target}/{_file_name(target, path)}": path for path in images})
        if not any(name.startswith(f"{next(iter(dataset.folders))}/") for name in files):
            files |= _flat(dataset, root)
    if not files:
        raise ValueError(f"{source} holds no images of {dataset.name}; expected {dataset.layout}")
    damaged = list(_damaged(files.values()))
    if damaged:
        raise ValueError(
            f"{len(damaged)} file(s) of {dataset.name} are damaged, {damaged[0]} first: nothing was written"
        )
    return files


def _root(dataset: PublishedDataset, source: Path) -> Path:
    """Return the folder that holds the content: the one of the dataset's name, or below single folders."""
    names = {dataset.name.lower(), *dataset.other_names}
    root = source
    while True:
        folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not _is_clutter(path)]
        named = [path for path in folders if path.name.lower() in names]
        images = any(path.is_file() and _is_image(path) for path in root.iterdir())
        if named:
            root = named[0]
        elif "" in dataset.folders:  # single folders may be a part of the layout
            return root
        elif len(folders) == 1 and not images and not _is_known(dataset, folders[0].name):
            root = folders[0]
        else:
            return root


def _is_known(dataset: PublishedDataset, name: str) -> bool:
    """Return True if a folder's name is the spelling, or begins one, of a sub-folder of the dataset."""
    spellings = [spelling for target, others in dataset.folders.items() for spelling in (target.lower(), *others)]
    return any(spelling.split("/")[0] == name.lower() for spelling in spellings)


def _file_name(folder: str, path: Path) -> str:
    """Return the name of a file in its place: LR files are named NAMEx2, whatever the packing."""
    scale = folder.partition("LRbic")[2]  # x2
    return path.name if not scale or path.stem.endswith(scale) else f"{path.stem}{scale}{path.suffix}"


def _flat(dataset: PublishedDataset, root: Path) -> dict[str, Path]:
    """Return the images that lie in `root` itself: GT, and LR named NAMEx2, NAMEx3, NAMEx4 beside it."""
    files: dict[str, Path] = {}
    images = [path for path in sorted(root.iterdir()) if path.is_file() and _is_image(path)]
    stems = {path.stem for path in images}
    for path in images:
        lr = _LR_NAME.fullmatch(path.stem)
        folder = f"LRbicx{lr[2]}" if lr and lr[1] in stems else next(iter(dataset.folders))
        if folder in dataset.folders:
            files[f"{folder}/{path.name}"] = path
    return files


def _files(root: Path) -> list[Path]:
    return [image.path for image in search(root).images]


def _folders(root: Path) -> Iterable[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_dir() and not _is_clutter(path))


def _is_clutter(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in _CLUTTER


def _is_image(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in EXTENSIONS


def _damaged(files: Iterable[Path]) -> Iterable[Path]:
    for path in files:
        try:
            read_header(path)
        except (ValueError, OSError):
            yield path
