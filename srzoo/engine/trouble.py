"""Errors of a training that its user can do something about, in words: memory, loader processes, lost ranks."""

import re

import torch

# Texts in errors of PyTorch -> cause and remedy. `%s` is the beginning of the error.
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
        "not enough memory (%s): raise train.accumulate (auto: found by trial), which keeps the total batch, or lower "
        "datasets.train.gt_size"
    ),
    r"got mixed torch\.Tensor and DTensor": (
        "a network reads weights of a block without calling the block, which parallel: fsdp cannot do (%s): use ddp"
    ),
    r"Connection (closed|reset) by peer|Broken pipe|Socket Timeout|Timed out waiting|NCCL (communicator|error)": (
        "another rank does not answer (%s): it has ended, or its machine is gone"
    ),
    r"does not have a deterministic implementation": (
        "an operation of this training has no deterministic form (%s): set deterministic: false, or leave it out"
    ),
    r"backend='\w+' raised|torch\._dynamo|inductor": (
        "PyTorch cannot compile the network (%s): set compile: false, which trains the same weights"
    ),
}


class TrainingError(ValueError):
    """A training that ended for a reason outside srzoo; the message says what to do."""


def explained(error: Exception, step: int) -> TrainingError | None:
    """Return an error that says what another one means for the user; None if that is not known.

    Args:
        error: raised during an update: of PyTorch, or of the pipe to a loader process.
        step: updates done before it.
    """
    if not isinstance(error, RuntimeError | ConnectionError | EOFError):
        return None
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError):
        text = f"out of memory: {text}"
    if isinstance(error, ConnectionError | EOFError):  # of the pipes between processes of this machine
        text = f"DataLoader worker process exited unexpectedly: {text or 'end of its pipe'}"
    for pattern, advice in _ADVICE.items():
        if re.search(pattern, text, re.IGNORECASE):
            first = " ".join(text.split())[:200]
            return TrainingError(f"update {step + 1}: {advice % first}. What was saved is intact: --resume auto")
    return None
