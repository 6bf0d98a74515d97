"""JPEG compression with a random quality for each sample."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from srzoo.degradations.samples import Samples, apply_in_stacks, check_range
from srzoo.images import jpeg_decoded
from srzoo.ops.jpeg import Table, jpeg
from srzoo.registry import DEGRADATIONS


@DEGRADATIONS.register
class JPEG:
    """Compress and decompress each image.

    Args:
        quality_range: libjpeg's quality.
        codec: simulation runs on the images' device and differs from a real codec in its simpler chroma upsampling;
            exact is libjpeg itself, on the CPU, with 8-bit copies of the images and integer qualities.
        table: quantisation tables of the simulation: standard, or BasicSR's, whose luminance table is transposed.
    """

    def __init__(
        self,
        *,
        quality_range: tuple[float, float] = (30.0, 95.0),
        codec: Literal["simulation", "exact"] = "simulation",
        table: Table = "standard",
    ) -> None:
        check_range("quality_range", quality_range, 1, 100)
        if codec == "exact" and table != "standard":
            raise ValueError("table: codec: exact has standard tables only; use codec: simulation, or remove table")
        self.quality_range, self.codec = quality_range, codec
        self.table: Table = table

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        quality = samples.random.uniform(*self.quality_range)
        if self.codec == "exact":
            return [_by_codec(image, round(value)) for image, value in zip(images, quality.tolist(), strict=True)]
        qualities = torch.from_numpy(quality).to(images[0])
        return apply_in_stacks(images, lambda stack, indices: self._simulated(stack, qualities[indices]))

    def _simulated(self, stack: Tensor, qualities: Tensor) -> Tensor:
        # A grey image has no chroma: its luma comes back in all three channels.
        rgb = stack.expand(-1, 3, -1, -1)  # (n, 3, H, W)
        return jpeg(rgb, qualities, table=self.table)[:, : stack.shape[1]]


def _by_codec(image: Tensor, quality: int) -> Tensor:
    levels = (image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()  # (H, W, C)
    decoded = jpeg_decoded(np.ascontiguousarray(levels), quality)
    return torch.from_numpy(decoded).to(image.device).permute(2, 0, 1).to(image.dtype) / 255  # (C, H, W)
