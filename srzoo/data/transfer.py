"""Batches on their way from the loader to the device."""

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor

from srzoo.batch import Batch
from srzoo.data.levels import FLIPS, finished


class DeviceBatches(Iterable[Batch]):
    """Batches of a loader, moved to a device and converted there to images in [0, 1].

    On a GPU the next batch is copied and converted on a separate stream while the network works on the current one.
    Objects that are no batches pass unchanged.

    Args:
        loader: of batches, of levels or of images.
        device: where they are used.
    """

    def __init__(self, loader: Iterable[object], device: torch.device) -> None:
        self.loader = loader
        self.device = device

    def __iter__(self) -> Iterator[Batch]:
        if self.device.type != "cuda":
            for batch in self.loader:
                yield self._moved(batch)
            return
        beside, waiting = torch.cuda.Stream(self.device), None
        for batch in self.loader:
            with torch.cuda.stream(beside):
                moved = self._moved(batch)
            if waiting is not None:
                yield waiting
            torch.cuda.current_stream(self.device).wait_stream(beside)
            waiting = self._used_here(moved)
        if waiting is not None:
            yield waiting

    def _moved(self, batch: object) -> Batch:
        if not isinstance(batch, dict):
            return cast(Batch, batch)
        # Flips steer the conversion from the main process. A user's dataset may have further entries.
        moved = {
            name: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) and name != FLIPS else value
            for name, value in batch.items()
        }
        return cast(Batch, finished(moved))

    def _used_here(self, batch: Batch) -> Batch:
        """Keep the memory of a batch from the other stream until the current one has used it."""
        for value in batch.values() if isinstance(batch, dict) else ():
            if isinstance(value, Tensor):
                value.record_stream(torch.cuda.current_stream(self.device))
        return batch
