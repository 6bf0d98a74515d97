"""Errors of SR images: where they lie, at which frequencies and edges, and whether detail was invented or lost.

Images are compared in 8-bit levels, as they would be saved. Local quantities are means under a Gaussian window.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.analysis.detector import gradient_magnitude
from srzoo.metrics.psnr import psnr
from srzoo.ops.filter import gaussian_blur
from srzoo.ops.resize import imresize

# Window of local quantities: standard deviation, and side that holds it [SR pixels].
_SIGMA, _SIDE = 3.0, 19
# Side of the blocks whose local frequency is measured [SR pixels].
BLOCK = 16


@dataclass(frozen=True)
class ErrorMaps:
    """Errors of one SR image against its GT, maps (H, W) in 8-bit levels.

    Args:
        error: |sr - gt|, mean over colours.
        hallucination: local strength of the detail in SR that GT does not explain.
        omission: local strength of the detail in GT that SR lacks.
        psnr: over all colours and pixels [dB].
    """

    error: np.ndarray
    hallucination: np.ndarray
    omission: np.ndarray
    psnr: float


@dataclass(frozen=True)
class Classes:
    """Squared errors of pixels in classes of a local property, over a set of images.

    Args:
        edges: ends of the classes, (K + 1,).
        count: values per class, (K,).
        squared: sum of squared errors per class, (K,) [levels^2].
    """

    edges: np.ndarray
    count: np.ndarray
    squared: np.ndarray

    def __add__(self, other: "Classes") -> "Classes":
        return Classes(self.edges, self.count + other.count, self.squared + other.squared)

    @property
    def psnr(self) -> np.ndarray:
        """PSNR per class, (K,) [dB]; NaN for a class without pixels, infinite without errors."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return 10 * np.log10(255**2 * self.count / self.squared)


def levels(image: Tensor) -> Tensor:
    """Clip and round (B, C, H, W) in [0, 1] to 8-bit levels, float64 in [0, 255]."""
    return (image.double().clamp(0, 1) * 255).round()


def error_maps(sr: Tensor, gt: Tensor) -> ErrorMaps:
    """Return the error maps of an SR image: two images (1, C, H, W) in [0, 1].

    In each of three bands of detail h, and in a window around each pixel, that of SR is a multiple of that of GT and a
    rest: h_sr = a h_gt + r, a = <h_sr, h_gt> / <h_gt, h_gt>. The rest, whose strength is sqrt<r, r>, was invented;
    (1 - a) h_gt, a clipped to [0, 1], is missing. Strengths of the bands add up in squares.

    Raises:
        ValueError: the shapes differ.
    """
    if sr.shape != gt.shape:
        raise ValueError(f"expected two images of one shape, got {tuple(sr.shape)} and {tuple(gt.shape)}")
    sr, gt = levels(sr), levels(gt)
    invented, missing = torch.zeros_like(sr[:, :1]), torch.zeros_like(sr[:, :1])
    for detail_sr, detail_gt in zip(_bands(sr), _bands(gt), strict=True):
        shared, power_gt, power_sr = (
            gaussian_blur((first * second).sum(1, keepdim=True), _SIDE, _SIGMA)
            for first, second in ((detail_sr, detail_gt), (detail_gt, detail_gt), (detail_sr, detail_sr))
        )
        gain = shared / power_gt.clamp_min(1e-6)
        invented += (power_sr - gain * shared).clamp_min(0)
        missing += (1 - gain.clamp(0, 1)).square() * power_gt
    maps = torch.stack([(sr - gt).abs().mean(1)[0], invented[0, 0].sqrt(), missing[0, 0].sqrt()]).cpu().numpy()
    return ErrorMaps(maps[0], maps[1], maps[2], float(psnr(sr, gt)))


def _bands(image: Tensor) -> list[Tensor]:
    """Return three bands of detail: differences of blurs of standard deviations 0, 0.8, 1.6 and 3.2."""
    blurs = [image, *(gaussian_blur(image, 2 * round(3 * sigma) + 1, sigma) for sigma in (0.8, 1.6, 3.2))]
    return [finer - coarser for finer, coarser in pairwise(blurs)]


def edge_classes(sr: Tensor, gt: Tensor, edges: np.ndarray) -> Classes:
    """Sum squared errors by the strength of edges: pixels in classes of the gradient magnitude of GT.

    Args:
        sr: (1, C, H, W) in [0, 1].
        gt: the same shape.
        edges: ends of the classes [levels per pixel].
    """
    sr, gt = levels(sr), levels(gt)
    strength = gradient_magnitude(gt.mean(1, keepdim=True))[0, 0]  # (H - 1, W - 1)
    squared = (sr - gt).square().mean(1)[0, :-1, :-1]
    return _classes(strength, squared, edges)


def frequency_classes(sr: Tensor, gt: Tensor, edges: np.ndarray) -> Classes:
    """Sum squared errors by local frequency: blocks in classes of the spectral centroid of GT.

    The centroid of a block is the mean radial frequency of its spectrum under a Hann window, weighted by power, without
    the constant part. Arguments as :func:`edge_classes`; the ends are in cycles per pixel, from 0 to 0.71.
    """
    sr, gt = levels(sr), levels(gt)
    grey = gt.mean(1, keepdim=True)
    squared = F.avg_pool2d((sr - gt).square().mean(1, keepdim=True), BLOCK)[0, 0]  # (rows, columns) of blocks
    blocks = grey[0, 0].unfold(0, BLOCK, BLOCK).unfold(1, BLOCK, BLOCK)  # (rows, columns, BLOCK, BLOCK)
    window = torch.hann_window(BLOCK, periodic=False, dtype=grey.dtype, device=grey.device)
    centred = (blocks - blocks.mean((2, 3), keepdim=True)) * window[:, None] * window
    power = torch.fft.fft2(centred).abs().square()
    power[..., 0, 0] = 0  # the window brings back a little of the mean
    frequency = torch.fft.fftfreq(BLOCK, dtype=grey.dtype, device=grey.device)
    radius = (frequency[:, None].square() + frequency.square()).sqrt()
    # A constant block has no frequency: it goes to the lowest class.
    centroid = (power * radius).sum((2, 3)) / power.sum((2, 3)).clamp_min(1e-12)
    return _classes(centroid, squared, edges)


def _classes(values: Tensor, squared: Tensor, edges: np.ndarray) -> Classes:
    """Sort pixels or blocks into classes; values beyond the ends belong to the first and last class."""
    num_classes = len(edges) - 1
    places = np.clip(np.searchsorted(edges, values.cpu().numpy().ravel(), side="right") - 1, 0, num_classes - 1)
    count = np.bincount(places, minlength=num_classes)
    return Classes(edges, count, np.bincount(places, weights=squared.cpu().numpy().ravel(), minlength=num_classes))


def consistency(sr: Tensor, lq: Tensor) -> tuple[float, np.ndarray]:
    """Reduce an SR image bicubically and compare it with LQ: PSNR in dB, and |difference|, (h, w) [levels].

    An SR image that invents or loses nothing at the resolution of LQ gives LQ back, if LQ was made bicubically: 8-bit
    rounding alone leaves about 59 dB.

    Args:
        sr: (1, C, H, W) in [0, 1].
        lq: (1, C, h, w) in [0, 1].
    """
    back = levels(imresize(sr.double().clamp(0, 1), size=(lq.shape[-2], lq.shape[-1])))
    target = levels(lq)
    return float(psnr(back, target)), (back - target).abs().mean(1)[0].cpu().numpy()


def worst_and_best_crops(error: np.ndarray, side: int, count: int) -> list[tuple[int, int, float]]:
    """Return crops of an image on a grid from the worst to the best: (top, left, RMS error), `count` from each end.

    Args:
        error: |sr - gt|, (H, W) [levels].
        side: of a crop [SR pixels].
        count: of crops from each end; an image with fewer crops gives all of them.
    """
    rows, columns = (max(1, length // side) for length in error.shape)
    crops = []
    for row in range(rows):
        for column in range(columns):
            part = error[row * side : (row + 1) * side, column * side : (column + 1) * side]
            crops.append((row * side, column * side, float(np.sqrt(np.square(part).mean()))))
    crops.sort(key=lambda crop: -crop[2])
    return crops if len(crops) <= 2 * count else crops[:count] + crops[-count:]
