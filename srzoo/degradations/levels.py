"""What happens to values alone: sharpening, clipping, rounding."""

from torch import Tensor

from srzoo.degradations.samples import Samples, in_groups
from srzoo.ops.sharpen import usm_sharpen
from srzoo.registry import DEGRADATIONS, NonNegativeFloat, PositiveInt


@DEGRADATIONS.register
class USM:
    """Sharpen by unsharp masking, as Real-ESRGAN does before it degrades (arXiv:2107.10833, section 4.1).

    Args:
        radius: side of the Gaussian, made odd [pixels].
        weight: strength.
        threshold: smallest difference that counts as detail [8-bit levels].
    """

    def __init__(
        self, *, radius: PositiveInt = 50, weight: NonNegativeFloat = 0.5, threshold: NonNegativeFloat = 10.0
    ) -> None:
        self.radius, self.weight, self.threshold = radius, weight, threshold

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        del samples
        return in_groups(
            images,
            lambda stack, _: usm_sharpen(stack, radius=self.radius, weight=self.weight, threshold=self.threshold),
        )


@DEGRADATIONS.register
class Clip:
    """Values into [0, 1], for a stage of your own that leaves it."""

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        del samples
        return [image.clamp(0, 1) for image in images]


@DEGRADATIONS.register
class Round:
    """Values into [0, 1] and to 8-bit levels, as an image file would have them."""

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        del samples
        return [(image * 255).round().clamp(0, 255) / 255 for image in images]
