"""Commands that get or make missing files, for the messages about them."""

import re
import shlex
from pathlib import Path

from srzoo.catalogue.datasets import DATASETS
from srzoo.catalogue.weights import WEIGHTS


def hint(path: Path) -> str:
    """Return the command that gets or makes a missing file or folder, as the end of a message; "" if none is known.

    Args:
        path: as the option files name them, such as datasets/Set5/GT or weights/IMDN_x2.pth, below any folder.
    """
    parts = path.parts
    places = [n for n, part in enumerate(parts[:-1]) if part in ("datasets", "weights")]
    if not places:
        return ""
    place = places[-1]
    root, name = Path(*parts[:place]), parts[place + 1]
    command = _making(root, name, path)
    if not command:
        published = DATASETS.get(name) if parts[place] == "datasets" else WEIGHTS.get(Path(name).stem)
        to = "" if root == Path() else f" --to {shlex.quote(str(root))}"
        command = f"srzoo data get {published.name}{to}" if published else ""
    return f"; to get it: {command}" if command else ""


def _making(root: Path, name: str, path: Path) -> str:
    """Return the command that makes a folder from images that are there; "" if they are not."""
    folder = root / "datasets" / name
    scale = re.fullmatch(r"LRbicx(\d)", path.name)
    if scale and (folder / "GT").is_dir():
        return f"srzoo data make-lr {shlex.quote(str(folder / 'GT'))} {shlex.quote(str(folder))} --scale {scale[1]}"
    whole = path.with_name("GT" if path.name == "sub" else path.name.removesuffix("_sub"))
    if path.name.endswith("sub") and whole.is_dir():
        return f"srzoo data subimages {shlex.quote(str(whole))} {shlex.quote(str(path))}"
    source = root / "datasets" / name.removesuffix("_degraded")
    if name.endswith("_degraded") and (source / "GT").is_dir():
        return f"srzoo data degrade {shlex.quote(str(source / 'GT'))} {shlex.quote(str(folder))}"
    if name.endswith("_degraded") and source.name in DATASETS:
        return f"srzoo data get {source.name}"
    return ""
