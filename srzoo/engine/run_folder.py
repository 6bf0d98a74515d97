"""The folder of one run: the place of each file, and the lock that keeps other trainings out."""

import contextlib
import errno
import fcntl
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import srzoo
from srzoo import ranks
from srzoo.atomic import remove_leftovers, write_text
from srzoo.engine.log import logger
from srzoo.keys import file_of

# Packages whose version can change a number, recorded beside the code's commit and the options.
_PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "pydantic", "safetensors")

# Answers of file systems that have no locks: some network and cluster file systems, as they are mounted.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)

# Lock files that this process holds open. A lock of flock(2) ends when the last copy of its file is closed, and forked
# children, such as loader workers, get a copy: unless it is closed there, the lock outlives a killed training by the
# seconds that its workers need to notice, and an immediate restart is refused. (Programs started by exec, as a fork
# server is, get none: Python's files are not inheritable.) Locks of lockf(3) are not inherited at all, but end as soon
# as the process closes any other copy of the file, and do not keep two trainings of one process apart.
_held: list[TextIO] = []


def _close_in_child() -> None:
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


@dataclass(frozen=True)
class RunFolder:
    """experiments/<name>/ with fixed places for all files of a run."""

    path: Path

    @property
    def models(self) -> Path:
        """Weights to publish."""
        return self.path / "models"

    @property
    def states(self) -> Path:
        """Training states to resume from."""
        return self.path / "states"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def visualization(self) -> Path:
        """Output images."""
        return self.path / "visualization"

    @property
    def results(self) -> Path:
        """Scores of each dataset."""
        return self.path / "results"

    @property
    def manifest(self) -> Path:
        """Files that the training uses, with their checksums."""
        return self.path / "manifest.json"

    @property
    def test_manifest(self) -> Path:
        """Files that a test uses, with their checksums."""
        return self.path / "manifest_test.json"

    @property
    def aside(self) -> Path:
        """Files of updates after the state that a run went back to."""
        return self.path / "set_aside"

    def state_of(self, step: int) -> Path:
        """Return the file of the training state after `step` updates."""
        return self.states / f"{step}.state"

    def weights_of(self, step: int) -> Path:
        """Return the file of the weights after `step` updates."""
        return self.models / f"net_g_{step}.safetensors"

    def discriminator_of(self, step: int) -> Path:
        """Return the file of the discriminator's weights after `step` updates."""
        return self.models / f"net_d_{step}.safetensors"

    @property
    def best(self) -> Path:
        """Return the file of the weights with the best score so far."""
        return self.models / "best.safetensors"

    def results_of(self, dataset: str) -> Path:
        """Return the file of the scores on one dataset."""
        return file_of(self.results, dataset, ".json")

    def saved_steps(self) -> list[int]:
        """Return the steps of the training states in the folder, in order."""
        return sorted(int(path.stem) for path in self.states.glob("*.state") if path.stem.isdigit())

    def used(self) -> bool:
        """Return True if a run has written here."""
        return self.path.is_dir() and any(self.path.iterdir())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainings out of this folder meanwhile, and remove files that a killed one left unfinished.

        Rank 0 holds the lock. A file system without locks is logged.

        Raises:
            ValueError: another training runs here.
        """
        if ranks.rank() == 0:
            self.path.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            ranks.on_main(lambda: self._lock(stack))
            yield

    def _lock(self, stack: contextlib.ExitStack) -> None:
        file = stack.enter_context((self.path / "running.lock").open("w"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system releases it when the process ends
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise ValueError(f"another process is training in {self.path}; give this run another name") from error
            logger.warning(
                f"the file system of {self.path} has no locks ({error.strerror}): make sure yourself that no other "
                "training writes to this folder"
            )
            return  # another training may be writing here: its unfinished files stay
        _held.append(file)
        stack.callback(_held.remove, file)
        for folder in (self.path, self.models, self.states, self.results):
            for leftover in remove_leftovers(folder):
                logger.info(f"removed {leftover}, which a run that was killed had not finished")

    def record(self, resolved_options: str, suffix: str = "") -> None:
        """Write the resolved options, the command line, the versions and the git commit.

        Args:
            resolved_options: the option file with inheritance, overrides and defaults written out.
            suffix: of the files' names, so that a test or a resumed run leaves the first record as it is.
        """
        write_text(self.path / f"options{suffix}.yml", resolved_options)
        provenance = {
            "command": shlex.join([sys.executable, *sys.argv]),
            "srzoo": srzoo.__version__,
            "git_commit": git_commit(),
            "python": platform.python_version(),
            "packages": {name: package_version(name) for name in _PACKAGES},
        }
        write_text(self.path / f"provenance{suffix}.json", json.dumps(provenance, indent=2) + "\n")


def package_version(name: str) -> str:
    """Return the installed version of a package, or "not installed"."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def git_commit() -> str:
    """Return the commit of srzoo's checkout, with "-dirty" if files differ, or "unknown" outside a checkout."""
    root = Path(srzoo.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return "unknown"
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
