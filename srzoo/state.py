"""Training states on disk: everything that a resumed run needs, readable with ``torch.load(weights_only=True)``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from srzoo.tensor_files import CheckpointError, read_torch, write_torch

# Entries of every training state.
ENTRIES = frozenset({"model", "data", "step", "options"})


def save_state(path: Path, state: Mapping[str, object]) -> None:
    """Write a training state: nested mappings and lists of tensors, numbers and text."""
    write_torch(path, state)


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state, tensors on the CPU.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not a training state of srzoo.
    """
    state = read_torch(path)
    if not state.keys() >= ENTRIES:
        raise CheckpointError(f"{path} is not a training state of srzoo; for weights alone use path.pretrain_network_g")
    return dict(state)
