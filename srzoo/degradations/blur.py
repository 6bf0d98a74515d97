"""Blur with a random kernel for each sample.

Wang et al., "Real-ESRGAN", ICCVW 2021, arXiv:2107.10833, sections 3.1 and 3.3. Written from the paper; default options
are the published ones.
"""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from srzoo.degradations.samples import Samples, apply_in_stacks, check_range, check_weights
from srzoo.ops.blur_kernels import Shape, gaussian_kernels, sinc_kernels
from srzoo.ops.filter2d import choose_methods, filter2d
from srzoo.registry import DEGRADATIONS, Chance, NonNegativeFloat

KernelType = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
SHAPES: dict[KernelType, Shape] = {
    "iso": "gaussian",
    "aniso": "gaussian",
    "generalized_iso": "generalized",
    "generalized_aniso": "generalized",
    "plateau_iso": "plateau",
    "plateau_aniso": "plateau",
}
_PUBLISHED_KINDS: dict[KernelType, float] = {
    "iso": 0.45,
    "aniso": 0.25,
    "generalized_iso": 0.12,
    "generalized_aniso": 0.03,
    "plateau_iso": 0.12,
    "plateau_aniso": 0.03,
}


@DEGRADATIONS.register
class Blur:
    """Correlate each image with a kernel drawn for it; the border is mirrored.

    Args:
        kinds: weight of each type of Gaussian kernel among kernels that are not sinc; weights need not sum to 1.
        sinc_prob: probability of a sinc filter, which causes ringing.
        kernel_range: smallest and largest side of a kernel; odd sides between them are equally likely [pixels].
        sigma_range: standard deviation along each axis [pixels].
        generalized_range: exponent of generalised kernels; half are drawn between the low end and 1, half between 1
            and the high end.
        plateau_range: exponent of plateau kernels, drawn in the same way.
        cutoff_range: cutoff of sinc filters; null: pi/5 (kernels under 13 pixels: pi/3) to pi, as published
            [radians per pixel].
    """

    def __init__(
        self,
        *,
        kinds: dict[KernelType, NonNegativeFloat] = _PUBLISHED_KINDS,
        sinc_prob: Chance = 0.1,
        kernel_range: tuple[int, int] = (7, 21),
        sigma_range: tuple[float, float] = (0.2, 3.0),
        generalized_range: tuple[float, float] = (0.5, 4.0),
        plateau_range: tuple[float, float] = (1.0, 2.0),
        cutoff_range: tuple[float, float] | None = None,
    ) -> None:
        check_range("kernel_range", kernel_range, 1)
        if any(side % 2 == 0 for side in kernel_range):
            raise ValueError(f"kernel_range: sides of kernels are odd, got {list(kernel_range)}")
        check_range("sigma_range", sigma_range, 1e-3)
        for name, (low, high) in (("generalized_range", generalized_range), ("plateau_range", plateau_range)):
            if not 0 < low <= 1 <= high:
                raise ValueError(f"{name}: expected 0 < low <= 1 <= high, got {low:g} and {high:g}")
        check_range("cutoff_range", cutoff_range or (1, 1), 1e-3, 3.1416)
        check_weights("kinds", list(kinds.values()))
        self.kinds, self.sinc_prob = kinds, sinc_prob
        self.kernel_range, self.sigma_range, self.cutoff_range = kernel_range, sigma_range, cutoff_range
        self.beta_ranges = {"generalized": generalized_range, "plateau": plateau_range}

    def __call__(self, images: list[Tensor], samples: Samples) -> list[Tensor]:
        kernels = self.kernels(samples)
        methods = choose_methods(kernels, images[0].device)
        return apply_in_stacks(
            images, lambda stack, indices: filter2d(stack, kernels[indices], methods[indices[0]]).clamp_(0, 1), methods
        )

    def kernels(self, samples: Samples) -> Tensor:
        """Draw a kernel for each sample: (B, side, side) float64, side the largest of `kernel_range`."""
        random = samples.random
        # Every number is drawn for every sample, needed or not, so that later ones do not depend on earlier choices.
        is_sinc = random.chance(self.sinc_prob)
        types = np.array(list(self.kinds))[random.choice(list(self.kinds.values()))]  # (B,)
        smallest, largest = self.kernel_range
        sides = 2 * random.integers(smallest // 2, largest // 2) + 1
        sigma = np.stack([random.uniform(*self.sigma_range) for _ in range(2)], 1)  # (B, 2)
        theta = random.uniform(-math.pi, math.pi)
        isotropic = np.char.endswith(types, "_iso") | (types == "iso")
        sigma[isotropic, 1] = sigma[isotropic, 0]
        beta_below_one, beta_fraction = random.chance(0.5), random.uniform()
        cutoffs = self._cutoffs(sides, random.uniform())
        kernels = torch.empty(len(samples), largest, largest, dtype=torch.float64)
        for shape in ("gaussian", "generalized", "plateau"):
            chosen = ~is_sinc & (np.array([SHAPES[name] for name in types]) == shape)
            if chosen.any():
                low, high = self.beta_ranges.get(shape, (1.0, 1.0))
                beta = np.where(beta_below_one, low + (1 - low) * beta_fraction, 1 + (high - 1) * beta_fraction)
                of = [torch.from_numpy(values[chosen]) for values in (sigma, theta, beta, sides)]
                kernels[chosen] = gaussian_kernels(largest, of[0], of[1], of[2], shape, support=of[3])
        if is_sinc.any():
            of = [torch.from_numpy(values[is_sinc]) for values in (cutoffs, sides)]
            kernels[is_sinc] = sinc_kernels(largest, of[0], support=of[1])
        return kernels

    def _cutoffs(self, sides: np.ndarray, fraction: np.ndarray) -> np.ndarray:
        if self.cutoff_range is not None:
            low, high = self.cutoff_range
        else:
            # As published: small kernels begin at a higher cutoff.
            low, high = np.where(sides < 13, math.pi / 3, math.pi / 5), math.pi
        return low + (high - low) * fraction
