"""Linear maps along one axis of images whose outputs each see a few inputs: resampling, wide separable filters.

The matrix (target, source) is cut into blocks of rows, each with the few columns that it sees; a pass is one matrix
product per block, which is faster than a convolution with many taps.
"""

import torch
from torch import Tensor


class Banded:
    """A matrix of which only a band around the diagonal is not zero.

    Args:
        index: source of each weight (target, taps); a source may come more than once.
        weight: (target, taps) float64.
        length: outputs per block.
    """

    def __init__(self, index: Tensor, weight: Tensor, length: int) -> None:
        self._blocks: list[tuple[int, int, Tensor]] = []
        for rows, values in zip(index.split(length), weight.split(length), strict=True):
            first, last = int(rows.min()), int(rows.max()) + 1
            matrix = torch.zeros(len(rows), last - first, dtype=torch.float64).scatter_add_(1, rows - first, values)
            self._blocks.append((first, last, matrix))
        self._moved: dict[tuple[torch.dtype, torch.device], list[tuple[int, int, Tensor]]] = {}

    def along(self, image: Tensor, axis: int) -> Tensor:
        """The map over (..., H, W): axis 0 changes H, axis 1 changes W."""
        if axis == 0:
            return torch.cat([matrix @ image[..., first:last, :] for first, last, matrix in self._like(image)], -2)
        return torch.cat([image[..., first:last] @ matrix.T for first, last, matrix in self._like(image)], -1)

    @torch.inference_mode(False)  # what is kept must serve training too
    def _like(self, image: Tensor) -> list[tuple[int, int, Tensor]]:
        """(first input, last input, matrix) of each block in the type and on the device of `image`."""
        key = (image.dtype, image.device)
        if key not in self._moved:
            self._moved[key] = [(first, last, matrix.to(image)) for first, last, matrix in self._blocks]
        return self._moved[key]
