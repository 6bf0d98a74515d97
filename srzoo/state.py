"""Training states on disk: everything that a resumed run needs, readable with ``torch.load(weights_only=True)``."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from torch import Tensor

from srzoo.batch import StateDict
from srzoo.tensor_files import CHECKSUM, CheckpointError, non_finite, read_torch, write_torch

logger = logging.getLogger("srzoo")


class TrainingState(TypedDict):
    """Content of a .state file.

    Args:
        model: state of the recipe: networks, moving averages, optimisers.
        data: state of the pool of degraded pairs.
        step: updates done; schedules, data and random numbers are functions of it.
        options: the resolved options.
        inputs: files that decide the training, by option (engine/inputs.py); older states have none.
        accumulate: micro-batches per update; older states have none.
        srzoo_sha256: checksum over all other entries; older states have none.
    """

    model: StateDict
    data: StateDict
    step: int
    options: str
    inputs: NotRequired[dict[str, str]]
    accumulate: NotRequired[int]
    srzoo_sha256: NotRequired[str]


def save_state(path: Path, state: TrainingState | Mapping[str, object]) -> None:
    """Write a training state: nested mappings and lists of tensors, numbers and text.

    Raises:
        ValueError: a weight of a network is NaN or infinite. Nothing is written.
    """
    if fault := _non_finite_weights(state):
        raise ValueError(f"{path} was not written, because of values that are not finite: {fault}")
    write_torch(path, state)


def load_state(path: Path) -> TrainingState:
    """Read a training state, tensors on the CPU.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: not a training state of srzoo, a damaged one, or a weight in it is NaN or infinite.
    """
    state = read_torch(path)
    if not state.keys() >= TrainingState.__required_keys__:
        raise CheckpointError(f"{path} is not a training state of srzoo; for weights alone use path.pretrain_network_g")
    if fault := _non_finite_weights(state):
        raise CheckpointError(f"{path}: values that are not finite: {fault}; resume from an earlier state")
    if CHECKSUM not in state:
        logger.info("%s has no checksum, as it was written by an earlier srzoo: damage in it would go unnoticed", path)
    return cast(TrainingState, dict(state))


def _non_finite_weights(state: Mapping[str, object]) -> str:
    """Describe the first network of a training state with a value that is not finite; "" if there is none."""
    model = state.get("model")
    for name, entry in model.items() if isinstance(model, Mapping) else ():
        if isinstance(entry, Mapping) and str(name).startswith("net_"):
            tensors = {f"{name}.{key}": value for key, value in entry.items() if isinstance(value, Tensor)}
            if fault := non_finite(tensors):
                return fault
    return ""


def num_bytes(value: object) -> int:
    """Return the size of all tensors in nested mappings and lists [bytes]."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return sum(map(num_bytes, items))
