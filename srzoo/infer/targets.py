"""Names of the files that upscaled images are written to."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from srzoo.images import FORMATS
from srzoo.infer.gather import InputFile


@dataclass(frozen=True)
class Naming:
    """Rule for the names of outputs.

    Args:
        out: folder to write to, or the file itself for a single input; None: beside each input.
        is_file: `out` is that file.
        kind: format, a key of ``srzoo.images.FORMATS``.
        suffix: text between the name of an input and the suffix of its output; None: ``_x2`` (the magnification)
            beside the inputs, nothing in another folder.
        magnification: as names have it: 2 for ``_x2``.
    """

    out: Path | None
    is_file: bool
    kind: str
    suffix: str | None
    magnification: float

    def targets(self, files: Sequence[InputFile]) -> list[Path]:
        """Return the output of each input.

        ``a.jpg`` and ``a.png`` become ``a.png``, except where both are inputs: then the whole names of both are kept,
        ``a.jpg.png`` and ``a.png.png``.

        Raises:
            ValueError: two inputs would have one output, or an output would replace an input.
        """
        targets = [self.out] if self.is_file and self.out is not None else self._distinct(files)
        _refuse_shared(files, targets)
        _refuse_inputs(files, targets)
        return targets

    def without_outputs(self, files: Sequence[InputFile]) -> tuple[list[InputFile], list[Path]]:
        """Separate the files found in folders that are outputs of others among `files`: an earlier run left them."""
        if self.is_file:
            return list(files), []
        sources = dict(zip(self._distinct(files), files, strict=True))
        outputs = [file for file in files if not file.named and sources.get(file.path, file) is not file]
        return [file for file in files if file not in outputs], [file.path for file in outputs]

    def _distinct(self, files: Sequence[InputFile]) -> list[Path]:
        """Return targets, with the input's whole name where several inputs would have one; repeated until none has."""
        whole = [False] * len(files)
        while True:
            targets = [self._target(file, keep) for file, keep in zip(files, whole, strict=True)]
            counts = Counter(targets)
            shared = [counts[target] > 1 for target in targets]
            if all(keep for keep, twice in zip(whole, shared, strict=True) if twice):
                return targets
            whole = [keep or twice for keep, twice in zip(whole, shared, strict=True)]

    def _target(self, file: InputFile, whole: bool) -> Path:
        folder = file.path.parent if self.out is None else self.out / file.name.parent
        suffix = self.suffix
        if suffix is None:
            suffix = f"_x{self.magnification:g}" if self.out is None else ""
        return folder / ((file.path.name if whole else file.path.stem) + suffix + FORMATS[self.kind].suffixes[0])


def _refuse_shared(files: Sequence[InputFile], targets: Sequence[Path]) -> None:
    first: dict[Path, InputFile] = {}
    for file, target in zip(files, targets, strict=True):
        if target in first:
            raise ValueError(
                f"{first[target].path} and {file.path} would both be written to {target}: upscale them one after the "
                "other, into different folders"
            )
        first[target] = file


def _refuse_inputs(files: Sequence[InputFile], targets: Sequence[Path]) -> None:
    """Raise ValueError if an output is an input, under whatever name."""
    inputs = {identity: file.path for file in files if (identity := _identity(file.path)) is not None}
    for target in targets:
        identity = _identity(target)
        if identity is not None and (replaced := inputs.get(identity)) is not None:
            raise ValueError(
                f"{replaced} is an input, and would be replaced by an output: choose another folder with -o, or add "
                "to the names of outputs with --suffix _x2"
            )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file; None if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116  # as everywhere here, links are followed
    except OSError:
        return None
    return status.st_dev, status.st_ino
