"""Memory of a network per pixel, memory that is free, and errors that mean too little of it."""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED", "bad_alloc")
_CGROUP = Path("/sys/fs/cgroup")


def is_out_of_memory(error: Exception) -> bool:
    """Return True if an error means that an allocation failed, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # PyTorch's CPU allocator and the libraries of NVIDIA raise RuntimeError.
    return isinstance(error, RuntimeError) and any(message in str(error) for message in _MESSAGES)


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
    with _Storages() as storages:
        compute()
    return storages.peak


class _Storages(TorchDispatchMode):
    """Sum of the storages that operations allocate inside the ``with`` block, while they are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # PyTorch's signature
        del types
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            self._count(tensor)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.alive:
            return
        self.alive[key] = storage.nbytes()
        self.now += self.alive[key]
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.now -= self.alive.pop(key, 0)


def _tensors(result: object) -> Iterator[Tensor]:
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, list | tuple):
        for item in result:
            yield from _tensors(item)
