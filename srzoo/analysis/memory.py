"""A bound for the memory of an analysis: the tensors that are alive at any moment."""

import weakref
from collections.abc import Mapping, Sequence

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryLimitError(ValueError):
    """An analysis would need more memory than it may take."""


class MemoryLimit(TorchDispatchMode):
    """Sum of the storages that operations allocate inside the ``with`` block, refused beyond a limit.

    Args:
        limit: of the storages that are alive together; None: only count them [bytes].

    Attributes:
        peak: most that was alive at any moment [bytes].
    """

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.limit = limit
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
        if self.limit is not None and self.now > self.limit:
            raise MemoryLimitError(
                f"one image needs more than the {self.limit / 2**20:.0f} MiB of --max-memory: allow more, or take a "
                "smaller crop"
            )

    def _free(self, key: int) -> None:
        self.now -= self._alive.pop(key, 0)


def batch_within(limit: int | None, peak: int, most: int) -> int:
    """Return how many images fit the limit if one takes `peak` bytes: from 1 to `most`."""
    return most if limit is None else max(1, min(most, limit // max(peak, 1)))
