"""Stages on values alone: sharpening, clipping, rounding."""

from torch import Tensor

from srzoo.degradations.samples import Samples, apply_in_stacks
from srzoo.ops.sharpen import usm_sharpen
from srzoo.registry import DEGRADATIONS, NonNegativeFloat, PositiveInt


@DEGRADATIONS.register
class USM:
    """Unsharp masking, with which Real-ESRGAN sharpens GT before degrading it (arXiv:2107.10833, section 4.1).

    Args:
        radius: side of the Gaussian kernel; even sides grow by 1 [pixels].
        weight: strength.
        threshold: smallest difference that counts as detail [8-bit levels].
    """

    def __init__(
        self, *, radius: PositiveInt = 50, weight: NonNegativeFloat = 0.5, threshold: NonNegativeFloat = 10.0
    ) -> None:
        self.radius, self.weight, self.threshold = radius, weight, threshold

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        del samples
        return apply_in_stacks(
            images,
            lambda stack, _: usm_sharpen(stack, radius=self.radius, weight=self.weight, threshold=self.threshold),
        )


@DEGRADATIONS.register
class Clip:
    """Clipping to [0, 1], for use after a custom stage that leaves this range."""

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        del samples
        return [image.clamp(0, 1) for image in images]


@DEGRADATIONS.register
class Round:
    """Clipping to [0, 1] and rounding to 8-bit levels, as in an image file."""

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        del samples
        return [(image * 255).round().clamp(0, 255) / 255 for image in images]
