"""A bound for the memory of an analysis: the tensors that are alive at any moment."""

from srzoo.infer.memory import AllocatedStorages


class MemoryLimitError(ValueError):
    """An analysis would need more memory than it may take."""


class MemoryLimit(AllocatedStorages):
    """Sum of the storages that operations allocate inside the ``with`` block, refused beyond a limit.

    Args:
        limit: of the storages that are alive together; None: only count them [bytes].
    """

    def __init__(self, limit: int | None = None) -> None:
        super().__init__()
        self.limit = limit

    def check(self) -> None:
        if self.limit is not None and self.now > self.limit:
            raise MemoryLimitError(
                f"one image needs more than the {self.limit / 2**20:.0f} MiB of --max-memory: allow more, or take a "
                "smaller crop"
            )


def batch_within(limit: int | None, peak: int, most: int) -> int:
    """Return how many images fit the limit if one takes `peak` bytes: from 1 to `most`."""
    return most if limit is None else max(1, min(most, limit // max(peak, 1)))
