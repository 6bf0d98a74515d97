"""Files to upscale: from files, folders and patterns on a command line."""

import glob
import os
from dataclasses import dataclass, field
from pathlib import Path

from srzoo.data.folders import search
from srzoo.data.listing import Fault


@dataclass(frozen=True)
class InputFile:
    """A file to upscale.

    Args:
        path: the file.
        name: its name in an output folder, with suffix: the path below the folder, or below the first folder of a
            pattern that has no wildcard, that it was found in.
        named: it was named itself, not found in a folder.
    """

    path: Path
    name: Path
    named: bool = True


@dataclass
class Inputs:
    """Files to upscale, and files in their folders that are left out, each with its reason."""

    files: list[InputFile] = field(default_factory=list)
    left_out: list[Fault] = field(default_factory=list)


def gather(words: list[str], *, recursive: bool = False, without: Path | None = None) -> Inputs:
    """Find the files that the words of a command line mean, each once, in the order of the words.

    Args:
        words: files, folders (their images, sorted), or patterns with ``*``, ``?``, ``[...]`` and ``**``; a name that
            exists is no pattern.
        recursive: images in sub-folders too.
        without: a folder whose content is left out, such as that of the outputs.

    Raises:
        FileNotFoundError: a file does not exist, a folder holds no image, or nothing fits a pattern.
    """
    inputs = Inputs()
    for word in words:
        for path, name in _matches(word):
            if not path.is_dir():
                inputs.files.append(InputFile(path, name))
                continue
            # The folders found by a pattern keep their place in the tree.
            above = name if glob.has_magic(word) and not os.path.lexists(word) else Path()
            listing = _searched(path, recursive, without)
            inputs.files += [
                InputFile(image.path, above / image.path.relative_to(path), named=False) for image in listing[0]
            ]
            inputs.left_out += listing[1]
    # A file may be named twice, directly and through its folder: the first time counts.
    unique = {_place(file.path): file for file in reversed(inputs.files)}
    inputs.files = [file for file in inputs.files if unique[_place(file.path)] is file]
    return inputs


def _matches(word: str) -> list[tuple[Path, Path]]:
    """Return the paths that a word means, each with its name in an output folder."""
    if os.path.lexists(word):
        path = Path(word)
        return [(path, Path(path.resolve().name if path.name in ("", "..") else path.name))]
    if not glob.has_magic(word):
        raise FileNotFoundError(f"{word} does not exist")
    # The folders before the first wildcard.
    parts = Path(word).parts
    count = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:count])
    found = [Path(name) for name in sorted(glob.glob(word, recursive=True))]  # noqa: PTH207  # any bytes, and "./"
    if not found:
        raise FileNotFoundError(f"no file fits the pattern {word}")
    return [(path, path.relative_to(root)) for path in found if path != root]


def _searched(folder: Path, recursive: bool, without: Path | None) -> tuple[list[InputFile], list[Fault]]:
    listing = search(folder, recursive, without)
    return [InputFile(image.path, image.path) for image in listing.images], listing.left_out


def _place(path: Path) -> Path:
    """Return the real folder of a file, with its name; links to files are not followed."""
    return path.parent.resolve() / path.name
