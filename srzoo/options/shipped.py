"""Finding option files, those that come with srzoo included.

In a checkout they lie in options/ at its top. An installed wheel has them inside the package (setup.py copies them), so
that options/train/imdn/IMDN_x2.yml is a name for the same file everywhere.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
# The wheel's folder first: in site-packages, a neighbour named options would belong to another package.
_FOLDERS = (_PACKAGE / "option_files", _PACKAGE.parent / "options")


def find_option_file(name: str | Path, folder: Path | None = None) -> Path:
    """Return the option file of this name, or the one that comes with srzoo if there is none.

    A user's own file wins: a name that begins with ``options/`` means a file of srzoo only where `folder` has no such
    file. A name that is neither is returned as it is, so that the reader reports the place where it was expected.

    Args:
        name: path of the file, relative to `folder` unless absolute.
        folder: where to look first; None: the working directory.
    """
    file = (folder or Path()) / name
    return file if file.is_file() else _shipped(Path(name)) or file


def _shipped(name: Path) -> Path | None:
    """Return the file that comes with srzoo under a name such as options/train/imdn/IMDN_x2.yml."""
    if name.parts[:1] != ("options",) or ".." in name.parts:
        return None
    files = (folder.joinpath(*name.parts[1:]) for folder in _FOLDERS)
    return next((file for file in files if file.is_file()), None)
