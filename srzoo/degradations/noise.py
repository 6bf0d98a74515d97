"""Gaussian and Poisson noise, colour or grey, with a random strength for each sample.

Wang et al., "Real-ESRGAN", ICCVW 2021, arXiv:2107.10833, section 3.1. Written from the paper; the number of Poisson
levels, which it leaves open, is that of the published code.
"""

import math

import torch
from torch import Tensor

from srzoo.degradations.samples import Samples, Unit, check_range
from srzoo.ops.poisson import poisson
from srzoo.registry import DEGRADATIONS, Chance

# Weights of R, G and B in BT.601 luma, the grey image of the published code.
_GREY = (0.299, 0.587, 0.114)


@DEGRADATIONS.register
class GaussianNoise:
    """Additive Gaussian noise, independent for each pixel and channel, or (grey) equal in all channels.

    Args:
        sigma_range: standard deviation [8-bit levels].
        grey_prob: probability of grey noise.
    """

    def __init__(self, *, sigma_range: tuple[float, float] = (1.0, 30.0), grey_prob: Chance = 0.4) -> None:
        check_range("sigma_range", sigma_range, 0)
        self.sigma_range, self.grey_prob = sigma_range, grey_prob

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        sigmas, is_grey = samples.random.uniform(*self.sigma_range), samples.random.chance(self.grey_prob)
        noisy = []
        for index, image in enumerate(images):
            generator = torch.Generator(image.device).manual_seed(samples.noise_seed(index))
            shape = (1, *image.shape[1:]) if is_grey[index] else image.shape
            noise = torch.randn(shape, generator=generator, device=image.device, dtype=image.dtype)
            noise = noise.mul_(float(sigmas[index]) / 255)  # 8-bit levels -> [0, 1]
            # Colour noise has the image's shape, so the sum can be in place; grey noise is broadcast.
            noisy.append((noise + image if is_grey[index] else noise.add_(image)).clamp_(0, 1))
        return noisy


@DEGRADATIONS.register
class PoissonNoise:
    """Photon shot noise: at each pixel of value v a count is drawn from Poisson(p * v), with p as the brightest count.

    p is the number of different 8-bit values in the image, rounded up to a power of two, as in the published code.

    Args:
        scale_range: factor of the noise, count / p - v.
        grey_prob: probability of counting in the grey image and adding its noise to all channels.
    """

    def __init__(self, *, scale_range: tuple[float, float] = (0.05, 3.0), grey_prob: Chance = 0.4) -> None:
        check_range("scale_range", scale_range, 0)
        self.scale_range, self.grey_prob = scale_range, grey_prob

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        scales, is_grey = samples.random.uniform(*self.scale_range), samples.random.chance(self.grey_prob)
        noisy = []
        for index, image in enumerate(images):
            levels = ((_grey(image) if is_grey[index] else image) * 255).round_().clamp_(0, 255)
            rates, scale = levels.int(), float(scales[index])
            num_values = int(torch.bincount(rates.flatten(), minlength=256).count_nonzero())
            peak = 2 ** math.ceil(math.log2(num_values))
            counts = poisson(rates, peak / 255, samples.noise_seed(index))
            # Noise is the count less its expectation, both scaled to [0, 1].
            noisy.append(image.add(counts, alpha=scale / peak).sub_(levels, alpha=scale / 255).clamp_(0, 1))
        return noisy


@DEGRADATIONS.register
class GaussianOrPoissonNoise:
    """Gaussian or Poisson noise, chosen at random.

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
        is_gaussian = samples.random_per(self.per).chance(self.gaussian_prob)
        noisy = list(images)
        for stage, chosen in ((self.gaussian, is_gaussian), (self.poisson, ~is_gaussian)):
            indices = chosen.nonzero()[0].tolist()
            for index, image in zip(indices, stage([images[i] for i in indices], samples.select(indices)), strict=True):
                noisy[index] = image
        return noisy


def _grey(image: Tensor) -> Tensor:
    """Return the luma (1, H, W) of an RGB image (3, H, W)."""
    weights = image.new_tensor(_GREY).view(3, 1, 1)
    return (image * weights).sum(0, keepdim=True)
