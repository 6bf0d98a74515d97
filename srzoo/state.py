"""Training states on disk: everything that a resumed run needs, readable with ``torch.load(weights_only=True)``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from srzoo.batch import StateDict
from srzoo.tensor_files import CheckpointError, read_torch, write_torch


class TrainingState(TypedDict):
    """Content of a .state file.

    Args:
        model: state of the recipe: networks, moving averages, optimisers.
        data: state of the pool of degraded pairs.
        step: updates done; schedules, data and random numbers are functions of it.
        options: the resolved options.
    """

    model: StateDict
    data: StateDict
    step: int
    options: str


def save_state(path: Path, state: TrainingState | Mapping[str, object]) -> None:
    """Write a training state: nested mappings and lists of tensors, numbers and text."""
    write_torch(path, state)


def load_state(path: Path) -> TrainingState:
    """Read a training state, tensors on the CPU.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not a training state of srzoo.
    """
    state = read_torch(path)
    if not state.keys() >= TrainingState.__required_keys__:
        raise CheckpointError(f"{path} is not a training state of srzoo; for weights alone use path.pretrain_network_g")
    return cast(TrainingState, dict(state))
