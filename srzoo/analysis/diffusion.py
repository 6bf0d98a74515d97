"""The spread of a saliency map: diffusion index, and density for a heat map.

Gu & Dong, "Interpreting Super-Resolution Networks with Local Attribution Maps", CVPR 2021, arXiv:2011.11036.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DiffusionIndex:
    """Diffusion index of a saliency map, with the size that it belongs to: larger maps have smaller indices.

    Args:
        value: (1 - Gini coefficient) * 100; NaN if the map is 0 everywhere.
        height: of the map [LQ pixels].
        width: of the map [LQ pixels].
    """

    value: float
    height: int
    width: int

    def __sub__(self, other: "DiffusionIndex") -> float:
        """Return the difference of two indices.

        Raises:
            ValueError: they belong to maps of different sizes.
        """
        self.require_size(other.height, other.width)
        return self.value - other.value

    def __lt__(self, other: "DiffusionIndex") -> bool:
        return self - other < 0

    def require_size(self, height: int, width: int) -> None:
        """Check that an index of a map of this size can be compared with this one.

        Raises:
            ValueError: it cannot.
        """
        if (self.height, self.width) != (height, width):
            raise ValueError(
                f"diffusion indices of {self.height}x{self.width} and {height}x{width} pixels cannot be compared: the "
                "index depends on the size of the image; take crops of one size"
            )


def density(saliency: np.ndarray) -> np.ndarray:
    """Return the heat map: a Gaussian kernel density of pixel positions weighted by the saliency, (h, w), maximum 1.

    Scott's rule with the effective number of points, factor neff^(-1/6), and the weighted covariance, as scipy's
    ``gaussian_kde``. On a grid the density is a convolution, here by Fourier transforms.
    """
    height, width = saliency.shape
    total = saliency.sum()
    if not total:
        return np.zeros_like(saliency)
    weights = saliency / total
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns.ravel(), rows.ravel()]).astype(np.float64)  # (2, h * w), x before y
    centred = places - (places * weights.ravel()).sum(1, keepdims=True)
    concentration = np.square(weights).sum()  # 1 / neff
    covariance = (weights.ravel() * centred) @ centred.T / max(1 - concentration, 1e-12)  # unbiased, (2, 2)
    covariance = covariance * concentration ** (1 / 3)
    # One pixel, or pixels in a line, have no extent across: a tenth of a pixel is taken instead.
    if np.linalg.eigvalsh(covariance)[0] < 1e-6:
        covariance = covariance + 0.01 * np.eye(2)
    inverse = np.linalg.inv(covariance)
    down, right = np.mgrid[1 - height : height, 1 - width : width]
    exponent = inverse[0, 0] * right**2 + 2 * inverse[0, 1] * right * down + inverse[1, 1] * down**2
    kernel = np.exp(-exponent / 2)  # (2h - 1, 2w - 1)
    # Linear convolution: transforms of 3h - 2 by 3w - 2 pixels do not wrap around.
    shape = (3 * height - 2, 3 * width - 2)
    spectrum = np.fft.rfft2(weights, shape) * np.fft.rfft2(kernel, shape)
    heat = np.fft.irfft2(spectrum, shape)[height - 1 : 2 * height - 1, width - 1 : 2 * width - 1]
    heat = np.maximum(heat, 0)
    return heat / heat.max()


def diffusion_index(saliency: np.ndarray) -> DiffusionIndex:
    """Return (1 - G) * 100 of a saliency map (h, w), with the Gini coefficient G.

    G = sum_i (2i - n - 1) a_i / (n sum_i a_i) over the sorted values a = map + 1e-7, i = 1..n.
    """
    height, width = saliency.shape
    if not saliency.any():
        return DiffusionIndex(float("nan"), height, width)
    ascending = np.sort(saliency.astype(np.float64).ravel() + 1e-7)
    count = ascending.size
    ranks = 2 * np.arange(1, count + 1) - count - 1
    gini = (ranks * ascending).sum() / (count * ascending.sum())
    return DiffusionIndex(float((1 - gini) * 100), height, width)
