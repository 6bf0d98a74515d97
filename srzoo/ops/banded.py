"""Banded matrices applied along one axis of an image, for resampling and wide separable filters.

Each output depends on a few neighbouring inputs. The matrix (target, source) is cut into blocks of rows that keep only
the columns they use; one dense product per block is faster than a convolution with many taps.
"""

import itertools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


class BandedMatrix:
    """Matrix (target, source) that is zero outside a band around its diagonal.

    Args:
        index: source index of each weight, (target, taps); repeated indices add up.
        weight: (target, taps) float64.
        block_rows: outputs per block.
    """

    def __init__(self, index: Tensor, weight: Tensor, block_rows: int) -> None:
        self._blocks: list[tuple[int, int, Tensor]] = []
        for rows, values in zip(index.split(block_rows), weight.split(block_rows), strict=True):
            first, last = int(rows.min()), int(rows.max()) + 1
            # Borders fold several taps onto one source pixel: their weights are summed.
            block = torch.zeros(len(rows), last - first, dtype=torch.float64).scatter_add_(1, rows - first, values)
            self._blocks.append((first, last, block))
        self._converted: dict[tuple[torch.dtype, torch.device], list[tuple[int, int, Tensor]]] = {}

    def apply(self, image: Tensor, axis: int) -> Tensor:
        """Multiply along H (axis 0) or W (axis 1): (..., H, W) -> (..., target, W) or (..., H, target)."""
        blocks = self._blocks_like(image)
        if axis == 0:
            # (rows, seen) @ (..., seen, W) -> (..., rows, W)
            return torch.cat([block @ image[..., first:last, :] for first, last, block in blocks], -2)
        # (..., H, seen) @ (seen, rows) -> (..., H, rows)
        return torch.cat([image[..., first:last] @ block.T for first, last, block in blocks], -1)

    def apply_to_bands(self, bands: Iterable[Tensor]) -> Iterator[Tensor]:
        """Multiply along H an image that comes in bands (..., rows, W) from top to bottom; yield bands of the result.

        Only the rows that the next outputs need are kept.
        """
        incoming = iter(bands)
        kept = next(incoming)
        top = 0  # row of the image that `kept` begins with
        blocks = self._blocks_like(kept)
        # Mirrored borders of small images: a later block may use an earlier row.
        needed = list(itertools.accumulate((first for first, _, _ in reversed(blocks)), min))[::-1]
        ready: list[Tensor] = []
        for number, (first, last, block) in enumerate(blocks):
            while top + kept.shape[-2] < last:
                if ready:
                    yield torch.cat(ready, -2)
                    ready = []
                kept = kept[..., needed[number] - top :, :]
                top = needed[number]
                kept = torch.cat([kept, next(incoming)], -2)
            # (rows, seen) @ (..., seen, W) -> (..., rows, W)
            ready.append(block @ kept[..., first - top : last - top, :])
        yield torch.cat(ready, -2)

    @torch.inference_mode(False)  # cached tensors must also work in training
    def _blocks_like(self, image: Tensor) -> list[tuple[int, int, Tensor]]:
        """Return (first input, end of inputs, block) in the dtype and on the device of `image`."""
        key = (image.dtype, image.device)
        if key not in self._converted:
            self._converted[key] = [(first, last, block.to(image)) for first, last, block in self._blocks]
        return self._converted[key]
