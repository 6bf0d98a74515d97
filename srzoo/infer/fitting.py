"""The largest tile that fits into memory: measured before, halved when memory runs out nevertheless."""

import logging
import threading
from collections.abc import Callable

import torch
from torch import Tensor

from srzoo.infer.memory import free_cache, free_memory, is_out_of_memory, peak_memory

logger = logging.getLogger("srzoo")

# Side of the images that are tried whole without measuring, and of the image that is measured.
_TRIED, _PROBE = 256, 96
# Part of the free memory that a tile may take: measurements on a CPU miss temporaries inside operations.
_SHARE = 0.5
# Tiles beyond this are not faster on a CPU [bytes].
_MOST_ON_CPU = 4 * 2**30


class FittingTile:
    """Choice of a tile by the memory of a network; safe to use from several threads.

    Args:
        overlap: margin around each tile [LQ pixels].
        multiple: tiles are multiples of this [LQ pixels].
        num_in_ch: colour channels of the network's input.
    """

    def __init__(self, *, overlap: int, multiple: int, num_in_ch: int) -> None:
        self.overlap, self.multiple, self.num_in_ch = overlap, multiple, num_in_ch
        self.limit: int | None = None  # largest tile, once memory has run out
        self._bytes_per_pixel: float | None = None
        self._lock = threading.Lock()

    def largest(self, height: int, width: int, device: torch.device, net: Callable[[Tensor], Tensor]) -> int:
        """Return the side of the largest tile of an image that fits; that of the whole image if it does.

        Args:
            height, width: of the image.
            device: that computes.
            net: measured on a small image when it is first needed.
        """
        whole = tile = max(height, width)
        if height * width > _TRIED**2:
            room = _SHARE * free_memory(device)
            pixels = (min(room, _MOST_ON_CPU) if device.type == "cpu" else room) / self._measured(device, net)
            if height * width > pixels:
                tile = min(tile, int(pixels**0.5) - 2 * self.overlap)
        if self.limit is not None:
            tile = min(tile, self.limit)
        return tile if tile == whole else max(tile // self.multiple, 1) * self.multiple

    def _measured(self, device: torch.device, net: Callable[[Tensor], Tensor]) -> float:
        """Return the memory that the network takes [bytes per LQ pixel]."""
        with self._lock:
            if self._bytes_per_pixel is None:
                side = _PROBE + -_PROBE % self.multiple
                probe = torch.full((1, self.num_in_ch, side, side), 0.5, device=device)
                self._bytes_per_pixel = max(peak_memory(lambda: net(probe), device) / side**2, 1)
            return self._bytes_per_pixel

    def exceeded_by(self, tile: Tensor) -> bool:
        """Return True if a tile with its margins is known to be too large."""
        # Self-ensemble lengthens tiles by less than `multiple`.
        return self.limit is not None and max(tile.shape[-2:]) - 2 * self.overlap >= self.limit + self.multiple

    def attempt(self, compute: Callable[[], Tensor], device: torch.device) -> Tensor | Exception:
        """Return the result of a computation, or the error that says that memory ran out."""
        try:
            return compute()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failure = error.with_traceback(None)  # the traceback would keep the tensors of the failed pass
        free_cache(device)
        return failure

    def halve(self, side: int, failure: Exception) -> int:
        """Halve the tiles from now on, and return their side, after one with this side did not fit.

        Args:
            side: of the tile, without its margins.
            failure: raised if tiles cannot be smaller.
        """
        half = side // 2 // self.multiple * self.multiple
        if half < self.multiple:
            raise failure
        with self._lock:
            self.limit = half if self.limit is None else min(self.limit, half)
        logger.warning(f"memory ran out in tiles of {side} pixels: tiles of {half} are used from now on")
        return self.limit
