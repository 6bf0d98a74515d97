"""The folder of one run: the place of each file, and the lock that keeps other trainings out."""

import contextlib
import fcntl
import importlib.metadata
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import srzoo
from srzoo import ranks
from srzoo.atomic import write_text
from srzoo.keys import file_of

# Packages whose version can change a number, recorded beside the code's commit and the options.
_PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "pydantic", "safetensors")


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
        """Keep other trainings out of this folder meanwhile; rank 0 holds the lock.

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
            raise ValueError(f"another process is training in {self.path}; give this run another name") from error

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
