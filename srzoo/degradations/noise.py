"""Gaussian and Poisson noise, in colour or grey, of a random strength for each sample.

Wang et al., "Real-ESRGAN", ICCVW 2021, arXiv:2107.10833, section 3.1. Written from the paper; what it leaves open (the
number of Poisson levels) as in the published code.
"""

import math

import torch
from torch import Tensor

from srzoo.degradations.samples import Samples, Unit, check_range
from srzoo.ops.poisson import poisson
from srzoo.registry import DEGRADATIONS, Chance

# BT.601, as the published pipelines make an image grey.
_GREY = (0.299, 0.587, 0.114)


@DEGRADATIONS.register
class GaussianNoise:
    """Add Gaussian noise, independent for each pixel and channel or (grey) the same in all channels.

    Args:
        sigma_range: standard deviation [8-bit levels].
        grey_prob: probability of grey noise.
    """

    def __init__(self, *, sigma_range: tuple[float, float] = (1.0, 30.0), grey_prob: Chance = 0.4) -> None:
        check_range("sigma_range", sigma_range, 0)
        self.sigma_range, self.grey_prob = sigma_range, grey_prob

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        sigmas, grey = samples.draws.uniform(*self.sigma_range), samples.draws.chance(self.grey_prob)
        noisy = []
        for index, image in enumerate(images):
            source = torch.Generator(image.device).manual_seed(samples.field_seed(index))
            shape = (1, *image.shape[1:]) if grey[index] else image.shape
            noise = torch.randn(shape, generator=source, device=image.device, dtype=image.dtype)
            noise = noise.mul_(float(sigmas[index]) / 255)
            noisy.append((noise + image if grey[index] else noise.add_(image)).clamp_(0, 1))
        return noisy


@DEGRADATIONS.register
class PoissonNoise:
    """Add the noise of counting photons: an image of p levels counts Poisson(p * value) at each pixel.

    p is the number of different 8-bit values in the image, rounded up to a power of two, as in the published code.

    Args:
        scale_range: factor of the noise.
        grey_prob: probability of counting the grey image and adding its noise to all channels.
    """

    def __init__(self, *, scale_range: tuple[float, float] = (0.05, 3.0), grey_prob: Chance = 0.4) -> None:
        check_range("scale_range", scale_range, 0)
        self.scale_range, self.grey_prob = scale_range, grey_prob

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        scales, grey = samples.draws.uniform(*self.scale_range), samples.draws.chance(self.grey_prob)
        noisy = []
        for index, image in enumerate(images):
            levels = ((_grey(image) if grey[index] else image) * 255).round_().clamp_(0, 255)
            whole, scale = levels.int(), float(scales[index])
            distinct = int(torch.bincount(whole.flatten(), minlength=256).count_nonzero())
            peak = 2 ** math.ceil(math.log2(distinct))
            counts = poisson(whole, peak / 255, samples.field_seed(index))
            # What was counted less what was expected.
            noisy.append(image.add(counts, alpha=scale / peak).sub_(levels, alpha=scale / 255).clamp_(0, 1))
        return noisy


@DEGRADATIONS.register
class GaussianOrPoissonNoise:
    """One of the two, as the published pipelines choose.

    Args:
        gaussian_prob: probability of Gaussian noise.
        sigma_range: standard deviation of Gaussian noise [8-bit levels].
        poisson_range: factor of Poisson noise.
        grey_prob: probability of grey noise.
        per: choose for each sample, or once for the whole batch.
    """

    def __init__(
        self,
        *,
        gaussian_prob: Chance = 0.5,
        sigma_range: tuple[float, float] = (1.0, 30.0),
        poisson_range: tuple[float, float] = (0.05, 3.0),
        grey_prob: Chance = 0.4,
        per: Unit = "sample",
    ) -> None:
        check_range("poisson_range", poisson_range, 0)
        self.gaussian_prob = gaussian_prob
        self.per: Unit = per
        self.gaussian = GaussianNoise(sigma_range=sigma_range, grey_prob=grey_prob)
        self.poisson = PoissonNoise(scale_range=poisson_range, grey_prob=grey_prob)

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        is_gaussian = samples.draws_per(self.per).chance(self.gaussian_prob)
        noisy = list(images)
        for stage, chosen in ((self.gaussian, is_gaussian), (self.poisson, ~is_gaussian)):
            indices = chosen.nonzero()[0].tolist()
            for index, image in zip(indices, stage([images[i] for i in indices], samples.of(indices)), strict=True):
                noisy[index] = image
        return noisy


def _grey(image: Tensor) -> Tensor:
    weights = image.new_tensor(_GREY).view(3, 1, 1)
    return (image * weights).sum(0, keepdim=True)
