"""Image folders: which files are images, and which GT and LQ belong together."""

from collections import Counter
from functools import partial
from pathlib import Path

from srzoo.catalogue import hint
from srzoo.data.listing import Fault, ImageFile, ImageListing, Mapped, Pair, PairListing
from srzoo.data.storage import ImageStore, open_store
from srzoo.data.storage.folder import files_below
from srzoo.images import EXTENSIONS


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
        return ImageListing(Mapped(range(len(store.names)), partial(_stored_image, store)), [], [])
    if folder.is_file():
        raise FileNotFoundError(f"expected an image folder, but {folder} is a file")
    if not folder.is_dir():
        raise FileNotFoundError(
            f"image folder {folder} does not exist (relative paths start at path.root, or the working directory)"
            f"{hint(folder)}"
        )
    files, left_out = files_below(folder, recursive, without)
    if not files:
        others = f"; it holds {summary(left_out)}" if left_out else ""
        raise FileNotFoundError(f"image folder {folder} holds no image (known: {', '.join(EXTENSIONS)}{others})")
    images = [ImageFile(key, path) for key, path in zip(unique_keys(files, folder), files, strict=True)]
    return ImageListing(images, [], left_out)


def _stored_image(store: ImageStore, index: int) -> ImageFile:
    name = store.names[index]
    return ImageFile(store.key(name), store.root / name, *store.listed(name))


def summary(left_out: list[Fault]) -> str:
    """Count files by reason, such as "3 .txt, 1 hidden"."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(file.reason for file in left_out).most_common())


def key_of(path: Path, folder: Path) -> str:
    """Return an image's name in results: its path below `folder` without suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def unique_keys(files: list[Path], folder: Path) -> list[str]:
    """Return the keys of files; those that differ by their suffixes alone, such as a.png and a.jpg, keep them."""
    keys = [key_of(path, folder) for path in files]
    counts = Counter(keys)
    return [
        key if counts[key] == 1 else path.relative_to(folder).as_posix() for key, path in zip(keys, files, strict=True)
    ]


def stem_in_template(stem: str, template: str) -> str | None:
    """Return the part of `stem` at the place of {} in `template`; None if `stem` has another form."""
    before, _, after = template.partition("{}")
    fits = stem.startswith(before) and stem.endswith(after) and len(stem) > len(before) + len(after)
    return stem[len(before) : len(stem) - len(after)] if fits else None


def match_folders(gt: ImageListing, gt_template: str, lq_folder: Path, lq_template: str) -> PairListing:
    """Pair GT and LQ files of one name, {} in both templates, in the same sub-folder.

    Faults are GT images without exactly one partner, and LQ files without GT ("extra"). GT files of another form than
    `gt_template` are left out: RealSR keeps GT and LQ in one folder.
    """
    # A key has several files where only their suffixes differ, such as a.png and a.jpg.
    unmatched: dict[str, list[Path]] = {}
    found = search(lq_folder)
    for file in found.images:
        unmatched.setdefault(key_of(file.path, lq_folder), []).append(file.path)
    pairs: list[Pair] = []
    faults, left_out = list(gt.faults), [*gt.left_out, *found.left_out]
    for image in gt.images:
        name = stem_in_template(image.path.stem, gt_template)
        if name is None:
            left_out.append(Fault(image.path, f"not named {gt_template}"))
            continue
        parent = image.key.rpartition("/")[0]
        wanted = f"{parent}/{lq_template.replace('{}', name)}".lstrip("/")
        partners = unmatched.pop(wanted, [])
        if len(partners) == 1:
            pairs.append(Pair(image.key, image.path, partners[0], image.size, image.listed))
        elif partners:
            faults.append(Fault(image.path, f"has {len(partners)} partners: {', '.join(p.name for p in partners)}"))
        else:
            templates = f"lq_template {lq_template!r}"
            templates += f", gt_template {gt_template!r}" if gt_template != "{}" else ""
            faults.append(Fault(image.path, f"has no partner {wanted}.* in {lq_folder} ({templates})"))
    # In a folder of both, GT files are no spare LQ files, and LQ files are not left out.
    used = {path for pair in pairs for path in (pair.gt, pair.lq)}
    spare = [path for paths in unmatched.values() for path in paths if path not in used]
    faults += [Fault(path, "extra: no GT image belongs to it") for path in spare]
    return PairListing(pairs, faults, [file for file in dict.fromkeys(left_out) if file.file not in used])
