"""Blur with a random kernel for each sample.

Wang et al., "Real-ESRGAN", ICCVW 2021, arXiv:2107.10833, sections 3.1 and 3.3. Written from the paper; the numbers are
the published defaults.
"""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from srzoo.degradations.samples import Samples, check_range, check_weights, in_groups
from srzoo.ops.blur_kernels import Shape, gaussian_kernels, sinc_kernels
from srzoo.ops.filter2d import choose_methods, filter2d
from srzoo.registry import DEGRADATIONS, Chance, NonNegativeFloat

Kind = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
SHAPES: dict[Kind, Shape] = {
    "iso": "gaussian",
    "aniso": "gaussian",
    "generalized_iso": "generalized",
    "generalized_aniso": "generalized",
    "plateau_iso": "plateau",
    "plateau_aniso": "plateau",
}
_PUBLISHED: dict[Kind, float] = {
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
        kinds: how likely each kind of Gaussian is among those that are not sinc; weights, so their sum is free.
        sinc_prob: probability of a sinc filter, which rings.
        kernel_range: smallest and largest side of a kernel; odd sides between are equally likely [pixels].
        sigma_range: standard deviation along each axis [pixels].
        generalized_range: exponent of generalised kernels, half of them between its low end and 1, half between 1 and
            its high end.
        plateau_range: exponent of plateau kernels, drawn in the same way.
        cutoff_range: cutoff of sinc filters; null: pi/5 (kernels under 13 pixels: pi/3) to pi, as published
            [radians per pixel].
    """

    def __init__(
        self,
        *,
        kinds: dict[Kind, NonNegativeFloat] = _PUBLISHED,
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
        return in_groups(
            images, lambda stack, indices: filter2d(stack, kernels[indices], methods[indices[0]]).clamp_(0, 1), methods
        )

    def kernels(self, samples: Samples) -> Tensor:
        """A kernel for each sample: (B, side, side) float64, side the largest of `kernel_range`."""
        draws, names = samples.draws, list(self.kinds)
        is_sinc = draws.chance(self.sinc_prob)
        kind = np.array(names)[draws.choice(list(self.kinds.values()))]
        low, high = self.kernel_range
        sides = 2 * draws.integers(low // 2, high // 2) + 1
        sigma = np.stack([draws.uniform(*self.sigma_range) for _ in range(2)], 1)
        theta = draws.uniform(-math.pi, math.pi)
        isotropic = np.char.endswith(kind, "_iso") | (kind == "iso")
        sigma[isotropic, 1] = sigma[isotropic, 0]
        # A beta is drawn for every sample, needed or not: the numbers after it stay where they are.
        below_one, place = draws.chance(0.5), draws.uniform()
        cutoffs = self._cutoffs(sides, draws.uniform())
        result = torch.empty(len(samples), high, high, dtype=torch.float64)
        for shape in ("gaussian", "generalized", "plateau"):
            chosen = ~is_sinc & (np.array([SHAPES[name] for name in kind]) == shape)
            if chosen.any():
                least, most = self.beta_ranges.get(shape, (1.0, 1.0))
                beta = np.where(below_one, least + (1 - least) * place, 1 + (most - 1) * place)
                of = [torch.from_numpy(part[chosen]) for part in (sigma, theta, beta, sides)]
                result[chosen] = gaussian_kernels(high, of[0], of[1], of[2], shape, support=of[3])
        if is_sinc.any():
            parts = (torch.from_numpy(part[is_sinc]) for part in (cutoffs, sides))
            result[is_sinc] = sinc_kernels(high, *parts)
        return result

    def _cutoffs(self, sides: np.ndarray, place: np.ndarray) -> np.ndarray:
        if self.cutoff_range is not None:
            least, most = self.cutoff_range
        else:
            least, most = np.where(sides < 13, math.pi / 3, math.pi / 5), math.pi
        return least + (most - least) * place
