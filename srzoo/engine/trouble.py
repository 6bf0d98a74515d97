"""Errors of a training that its user can do something about, in words: memory, loader processes, lost ranks."""

import re

import torch

# Texts in errors of PyTorch -> cause and remedy. `%s` is the error's first line.
_ADVICE = {
    r"No space left on device.*shm|shm.*No space left|unable to (open|allocate) shared memory|Bus error": (
        "a loader process ran out of shared memory (%s): start the container with more (docker run --shm-size=8g, or "
        "--ipc=host), or set datasets.train.num_workers=0"
    ),
    r"DataLoader worker .* (killed by signal|exited unexpectedly)": (
        "a loader process has ended (%s); the system may have ended it for lack of memory: lower "
        "datasets.train.num_workers, or set it to 0 to see its own error"
    ),
    r"out of memory|can't allocate memory|std::bad_alloc": (
        "not enough memory (%s): raise train.accumulate, which keeps the total batch, or lower datasets.train.gt_size"
    ),
    r"Connection (closed|reset) by peer|Broken pipe|Socket Timeout|Timed out waiting|NCCL (communicator|error)": (
        "another rank does not answer (%s): it has ended, or its machine is gone"
    ),
}


class TrainingError(ValueError):
    """A training that ended for a reason outside srzoo; the message says what to do."""


def explained(error: RuntimeError, step: int) -> TrainingError | None:
    """Return what an error of PyTorch means for the user; None if it is not known.

    Args:
        error: raised during an update.
        step: updates done before it.
    """
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError):
        text = f"out of memory: {text}"
    for pattern, advice in _ADVICE.items():
        if re.search(pattern, text, re.IGNORECASE):
            first = text.strip().splitlines()[0][:200]
            return TrainingError(f"update {step + 1}: {advice % first}. The newest state is intact: --resume auto")
    return None
