"""Memory that computations take, memory that is free, and errors that mean too little of it."""

import contextlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory", "alloc_failed", "bad_alloc")
_CGROUP = Path("/sys/fs/cgroup")


def is_out_of_memory(error: Exception) -> bool:
    """Return True if an error means that an allocation failed, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # PyTorch's CPU allocator and the libraries of NVIDIA raise RuntimeError.
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _MESSAGES)


def free_memory(device: torch.device) -> int:
    """Return how many bytes a computation on a device can still take."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    limits = [left for left in (_available_ram(), _left_in_container()) if left is not None]
    return min(limits, default=4 * 2**30)


def free_cache(device: torch.device) -> None:
    """Give memory that PyTorch keeps for later back to a GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _available_ram() -> int | None:
    """Return the kernel's estimate of memory for new programs; None where there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _left_in_container() -> int | None:
    """Return the memory left under the limit of a control group; None without one."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        counts = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        # Cached files are given up for programs.
        return limit - used + int(counts["inactive_file"])
    return None


def peak_memory(compute: Callable[[], Tensor], device: torch.device) -> int:
    """Run a computation and return the most bytes that its tensors took at any moment."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        compute()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with AllocatedStorages() as storages:
        compute()
    return storages.peak


class AllocatedStorages(TorchDispatchMode):
    """Sum of the storages that operations allocate inside the ``with`` block, while they are alive.

    Attributes:
        now: alive at this moment [bytes].
        peak: most that was alive at any moment [bytes].
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(
        self,
        func: object,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        del types
        result = func(*args, **(kwargs or {}))  # pyright: ignore[reportCallIssue]
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        # Views share the storage of the tensor that they show: it counts once.
        key = storage._cdata
        if key in self._alive:
            return
        self._alive[key] = storage.nbytes()
        self.now += self._alive[key]
        self.peak = max(self.peak, self.now)
        # A storage is freed as soon as the last tensor in it is gone.
        weakref.finalize(storage, self._free, key)
        self.check()

    def check(self) -> None:
        """React to a storage that has just been added; here, not at all."""

    def _free(self, key: int) -> None:
        self.now -= self._alive.pop(key, 0)
