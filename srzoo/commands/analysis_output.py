"""Files that the `srzoo analyze` commands write: pictures, numbers and arrays."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.analysis import source_of_weights

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import nn

_PICTURES = (".png", ".svg", ".pdf")


@dataclass
class Output:
    """Files of one analysis: pictures, numbers as JSON, arrays as .npz.

    Args:
        name: of the analysis.
        stem: path of the files without suffix.
        formats: of the pictures.
        written: files so far.
    """

    name: str
    stem: Path
    formats: list[str]
    written: list[Path] = field(default_factory=list)

    @classmethod
    def of(cls, arguments: Arguments, name: str) -> "Output":
        """Return the output that a command line names, before any work is done.

        Raises:
            ValueError: files exist and --overwrite is off, or the plotting library is missing.
        """
        from srzoo.analysis.figures import require_matplotlib
        from srzoo.engine.log import log_to

        log_to()
        require_matplotlib()
        out: Path = arguments.out
        formats = list(dict.fromkeys(["png", *arguments.format]))
        if out.suffix.lower() in (*_PICTURES, ".json", ".npz"):
            if out.suffix.lower() in _PICTURES:
                formats = list(dict.fromkeys([*formats, out.suffix.lower()[1:]]))
            out = out.with_suffix("")
        # Before the work, which may take long.
        for suffix in (*formats, "json", "npz"):
            path = out.with_name(f"{out.name}.{suffix}")
            if path.exists() and not arguments.overwrite:
                raise ValueError(f"{path} exists: choose another name with -o, or replace it with --overwrite")
        return cls(name, out, formats)

    def path(self, suffix: str, part: str = "") -> Path:
        """Return the name of one file; `part` names one of several pictures."""
        # Keys of images in sub-folders have slashes.
        part = re.sub(r"[^-.@+ 0-9A-Za-z_]", "_", part)
        return self.stem.with_name(f"{self.stem.name}{part and '_'}{part}.{suffix}")

    def picture(self, figure: "Figure", part: str = "") -> None:
        """Write a picture in all formats."""
        from srzoo.analysis.figures import write_figure

        for suffix in self.formats:
            self.written.append(self.path(suffix, part))
            write_figure(self.written[-1], figure)

    def arrays(self, arrays: "Mapping[str, np.ndarray]") -> None:
        """Write arrays as compressed .npz."""
        import numpy as np

        from srzoo.atomic import write_atomic

        self.written.append(self.path("npz"))
        write_atomic(self.written[-1], lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    def numbers(
        self, arguments: Arguments, net: "nn.Module", parameters: Mapping[str, object], **results: object
    ) -> None:
        """Write numbers as JSON, with the network, its weights and the parameters; log the files of the analysis."""
        from srzoo import __version__
        from srzoo.atomic import write_text
        from srzoo.checksum import checksum
        from srzoo.contract import identity_of
        from srzoo.engine.log import logger

        # The file's name alone: paths say nothing on another machine, and the checksum tells weights apart.
        weights = {"file": source_of_weights(arguments), "sha256": checksum(net.state_dict(), layout=False)}
        content = {
            "analysis": self.name,
            "srzoo": __version__,
            "network": identity_of(net).flat(),
            "weights": weights,
            "parameters": dict(parameters),
            **results,
        }
        self.written.append(self.path("json"))
        write_text(self.written[-1], json.dumps(_finite(content), indent=2) + "\n")
        logger.info("wrote " + ", ".join(str(path) for path in self.written))


def _finite(value: object) -> object:
    """Replace numbers that JSON cannot hold by null, and paths by their names."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value.name if isinstance(value, Path) else value
