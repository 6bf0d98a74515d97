"""Scalars and images for TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from srzoo import ranks
from srzoo.ops.resize import imresize

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter as EventWriter


# White pixels between images beside each other.
_GAP = 4


class Board:
    """TensorBoard event files; nothing is written when switched off or on ranks other than 0.

    Args:
        folder: of the event files.
        enabled: False: write nothing, and do not import TensorBoard.
        purge_step: first step of this start; what an earlier start wrote from there on is hidden.
    """

    def __init__(self, folder: Path, enabled: bool, purge_step: int) -> None:
        self._writer: EventWriter | None = None
        if enabled and ranks.rank() == 0:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ValueError(
                    "TensorBoard is not installed: pip install tensorboard, or set logger.use_tb_logger: false"
                ) from error
            self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    @property
    def is_on(self) -> bool:
        """True if anything is written."""
        return self._writer is not None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by name."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def image(self, name: str, image: Tensor, step: int) -> None:
        """Write an image (3, H, W) in [0, 1]; values outside are clipped."""
        if self._writer is not None:
            self._writer.add_image(name, image.clamp(0, 1).float().cpu(), step)

    def close(self) -> None:
        """Write everything that is still in memory."""
        if self._writer is not None:
            self._writer.close()


def side_by_side(lq: Tensor, sr: Tensor, gt: Tensor | None) -> Tensor:
    """Lay LQ, its bicubic enlargement, SR and (if there is one) GT beside each other, at one size, with gaps.

    Args:
        lq: (C, h, w) in [0, 1].
        sr: (C, scale*h, scale*w).
        gt: the same size as `sr`.

    Returns:
        (C, scale*h, 4 * scale*w + 3 gaps), on the CPU.
    """
    scale = sr.shape[-1] // lq.shape[-1]
    squares = lq.repeat_interleave(scale, -2).repeat_interleave(scale, -1)  # (C, scale*h, scale*w)
    images = [squares, imresize(lq.float(), scale), sr] + ([] if gt is None else [gt])
    white = torch.ones(*sr.shape[:-1], _GAP)
    parts = [part for image in images for part in (white, image.detach().float().cpu())]
    return torch.cat(parts[1:], -1)
