"""Copies of the sources and environments without srzoo, for tests of where srzoo may lie and how it is installed."""

import shutil
import sys
import sysconfig
import venv
from pathlib import Path

from tests.support import ROOT

_FOLDERS = (".ci", "docs", "options", "scripts", "srzoo", "tests")
_FILES = (
    ".gitignore", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "requirements.txt", "setup.py",
    "datasets/README.md", "experiments/README.md",
)  # fmt: skip


def copy_sources(target: Path) -> Path:
    """Copy the files of a fresh clone to `target`, without git: the sources may have come as an archive."""
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
    for name in _FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def make_environment(folder: Path, checkout: Path | None = None) -> Path:
    """Make a virtual environment with the packages of this one, but with srzoo only if `checkout` is given.

    The packages get a path below `folder`, as if they were installed there.

    Returns:
        its interpreter.
    """
    venv.create(folder, symlinks=True)
    lines = []
    for number, entry in enumerate(_package_folders()):
        link = folder / "packages" / str(number)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(entry)
        lines.append(str(link))
    # Python reads .pth files in site-packages only: the one that makes srzoo importable here is not followed there.
    (site_packages(folder) / "packages.pth").write_text("\n".join([*lines, str(checkout or "")]) + "\n")
    return folder / "bin" / "python"


def site_packages(environment: Path) -> Path:
    """Return the folder that packages are installed into."""
    return next(environment.glob("lib/python*/site-packages"))


def _package_folders() -> list[Path]:
    """List the folders on this interpreter's path, except the standard library and checkouts of srzoo."""
    library = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    library |= {path / "lib-dynload" for path in library}
    folders = [Path(entry).resolve() for entry in sys.path if entry and Path(entry).is_dir()]
    checkouts = [path for path in folders if (path / "srzoo").is_dir() and (path / "setup.py").is_file()]
    return [path for path in folders if path not in library and path not in checkouts]
