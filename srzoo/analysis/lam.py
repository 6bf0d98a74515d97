"""Local attribution maps: the input pixels that a window of the SR image is made of.

Gu & Dong, "Interpreting Super-Resolution Networks with Local Attribution Maps", CVPR 2021, arXiv:2011.11036, written
from the paper; sums and paths as in the authors' program, so that values are equal. Deviations: flat places of the
output have the subgradient 0 (theirs is NaN), and the window is checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srzoo.analysis.detector import gradient_magnitude
from srzoo.analysis.diffusion import DiffusionIndex, density, diffusion_index
from srzoo.analysis.layers import frozen
from srzoo.analysis.memory import MemoryLimit, batch_within
from srzoo.contract import contract_of, identity_of
from srzoo.ops.pad import mirror_pad
from srzoo.progress import shown

PathKind = Literal["gaussian_blur", "gaussian_linear", "linear"]
# Side of the blur kernels, as published [pixels].
_KERNEL = 9
# Pixels of a batch: on a CPU features should stay in the cache, a GPU needs enough work.
_BATCH_PIXELS = {"cpu": 2**14, "gpu": 2**18}
# Points that change no pixel by more than this share of the largest change add nothing that float32 could hold.
_NEGLIGIBLE = 1e-7


@dataclass(frozen=True)
class Window:
    """A square of the SR image.

    Args:
        top: first row [SR pixels].
        left: first column [SR pixels].
        size: side [SR pixels].
    """

    top: int
    left: int
    size: int

    def require_inside(self, height: int, width: int) -> None:
        """Check that the window lies in an SR image, with a neighbour below and to the right for its gradient.

        Raises:
            ValueError: it does not.
        """
        last = min(height - self.top, width - self.left)
        if min(self.top, self.left) < 0 or self.size < 1 or self.size > last or last < 2:
            raise ValueError(
                f"the window {self.top},{self.left},{self.size} (row, column, side) does not lie in the SR image of "
                f"{height}x{width} pixels (height x width)"
            )


@dataclass(frozen=True)
class LocalAttribution:
    """Attribution of a window of the SR image to the pixels of the LQ image.

    Args:
        attribution: (C, h, w) float64; its sum approximates `objective - objective_baseline`.
        saliency: |sum of the attribution over colours| / maximum, (h, w) float64 in [0, 1]; 0 where all is flat.
        heat: density of the saliency / maximum, (h, w) float64 in [0, 1].
        diffusion_index: of the saliency.
        objective: sum of the gradient magnitude of the SR image in the window.
        objective_baseline: the same for the start of the path.
        sr: SR image, (C, H, W).
        evaluated: points of the path at which the network ran.
    """

    attribution: np.ndarray
    saliency: np.ndarray
    heat: np.ndarray
    diffusion_index: DiffusionIndex
    objective: float
    objective_baseline: float
    sr: Tensor
    evaluated: int


def local_attribution(
    net: nn.Module,
    lq: Tensor,
    window: Window,
    *,
    path: PathKind = "gaussian_blur",
    sigma: float = 1.2,
    fold: int = 50,
    batch: int | None = None,
    max_memory: int | None = None,
) -> LocalAttribution:
    """Attribute the edges in a window of the SR image to the pixels of the LQ image, by gradients along a path.

    Args:
        net: the network, in evaluation mode; its parameters do not need gradients.
        lq: (1, C, h, w) in [0, 1].
        window: of the SR image.
        path: gaussian_blur: from a blurred to the sharp image through smaller and smaller blurs; gaussian_linear:
            straight from the blurred image; linear: straight from black.
        sigma: standard deviation of the first blur [LQ pixels].
        fold: points of the path.
        batch: most points in one call of the network; None: by the size of the image, 4 of 64 x 64 on a CPU.
        max_memory: bound for the tensors alive at any moment [bytes].

    Raises:
        ValueError: the window does not lie in the SR image, or arguments out of range.
        MemoryLimitError: one point needs more memory.
    """
    if fold < 2 or sigma <= 0:
        raise ValueError(f"expected sigma > 0 and at least 2 points (fold), got {sigma:g} and {fold}")
    scale = identity_of(net).scale
    height, width = (scale * side for side in lq.shape[-2:])
    window.require_inside(height, width)
    with torch.no_grad(), MemoryLimit(max_memory):
        sr = net(lq)
        baseline = _baseline(lq, path, sigma)
        objective, objective_baseline = (_objective(image, window) for image in (sr, net(baseline)))
    rows, columns = _seen_by(net, lq, window, scale)
    inside = Window(window.top - scale * rows.start, window.left - scale * columns.start, window.size)
    points, steps = (images[..., rows, columns] for images in path_of(lq, path, sigma, fold))
    largest = steps.abs().amax((1, 2, 3))  # (fold,)
    used = [point for point in range(fold) if largest[point] > _NEGLIGIBLE * largest.max()]
    pixels = points.shape[-2] * points.shape[-1]
    most = batch or max(1, _BATCH_PIXELS["cpu" if lq.device.type == "cpu" else "gpu"] // pixels)
    total = lq.new_zeros(lq.shape[1:], dtype=torch.float64)
    with frozen(net):
        for chosen in _batches(net, used, points, inside, most, max_memory):
            gradient = _input_gradient(net, points[chosen], inside)
            total[:, rows, columns] += (gradient.double() * steps[chosen]).sum(0)
    attribution = (total / fold).cpu().numpy()
    saliency = np.abs(attribution.sum(0))
    saliency = saliency / (saliency.max() or 1.0)
    index, heat = diffusion_index(saliency), density(saliency)
    return LocalAttribution(attribution, saliency, heat, index, objective, objective_baseline, sr[0], len(used))


def _batches(
    net: nn.Module, used: list[int], points: Tensor, window: Window, most: int, max_memory: int | None
) -> Iterator[list[int]]:
    """Yield the points to compute together: as many as fit the memory, by a measurement of one."""
    size = most
    if max_memory is not None and used:
        with MemoryLimit(max_memory) as memory:
            _input_gradient(net, points[used[:1]], window)
        size = batch_within(max_memory, memory.peak, most)
    batches = [used[start : start + size] for start in range(0, len(used), size)]
    yield from shown(batches, "lam", unit="batch", delay=1.0)


def _input_gradient(net: nn.Module, images: Tensor, window: Window) -> Tensor:
    """Return the gradient of the objective with respect to each image: (N, C, h, w) -> same."""
    with torch.enable_grad():
        dtype = next(net.parameters(), torch.empty(0)).dtype
        images = images.detach().to(dtype).requires_grad_()
        magnitude = gradient_magnitude(net(images))[
            ..., window.top : window.top + window.size, window.left : window.left + window.size
        ]
        return torch.autograd.grad(magnitude.sum(), images)[0]


def _objective(sr: Tensor, window: Window) -> float:
    rows, columns = slice(window.top, window.top + window.size), slice(window.left, window.left + window.size)
    return float(gradient_magnitude(sr)[..., rows, columns].double().sum())


def _seen_by(net: nn.Module, lq: Tensor, window: Window, scale: int) -> tuple[slice, slice]:
    """Return the rows and columns of the LQ image that the window can see; everything else has attribution 0.

    Cuts lie on multiples of the network's `multiple_of`, so that padding and partitions inside it are the same.
    """
    contract = contract_of(net)
    spans: list[slice] = []
    for first, side in ((window.top, lq.shape[-2]), (window.left, lq.shape[-1])):
        if contract.receptive_radius is None:
            spans.append(slice(0, side))
            continue
        # One more SR pixel for the forward difference.
        start = max(0, first // scale - contract.receptive_radius)
        stop = (first + window.size) // scale + 1 + contract.receptive_radius
        multiple = contract.multiple_of
        stop = -(-stop // multiple) * multiple
        spans.append(slice(start // multiple * multiple, min(stop, side)))
    return spans[0], spans[1]


def path_of(lq: Tensor, path: PathKind, sigma: float, fold: int) -> tuple[Tensor, Tensor]:
    """Return the points of a path, and the derivative of the path there: (1, C, h, w) -> two (fold, C, h, w) float64.

    The derivative of gaussian_blur is the difference to the point before it, times `fold`; its first point, the
    baseline, is not among the points (a right Riemann sum). A straight path contains both of its ends.
    """
    if path == "gaussian_blur":
        # In float32, as published, so that the kernels are the same.
        sigmas = torch.linspace(sigma, 0, fold + 1).double()
        images = torch.cat([_blurred(lq, float(each)) for each in sigmas])  # (fold + 1, C, h, w)
        return images[1:], images.diff(dim=0) * fold
    baseline = _baseline(lq, path, sigma)
    direction = lq.double() - baseline.double()
    share = torch.linspace(0, 1, fold, dtype=torch.float64, device=lq.device).view(-1, 1, 1, 1)
    return baseline.double() + share * direction, direction.expand(fold, -1, -1, -1)


def _baseline(lq: Tensor, path: PathKind, sigma: float) -> Tensor:
    return torch.zeros_like(lq) if path == "linear" else _blurred(lq, sigma).to(lq.dtype)


def _blurred(lq: Tensor, sigma: float) -> Tensor:
    """Filter (1, C, h, w) with a 9 x 9 Gaussian, borders mirrored: float64. For sigma 0 the kernel is a delta."""
    offset = torch.arange(_KERNEL, dtype=torch.float64, device=lq.device) - _KERNEL // 2
    kernel = torch.exp(-offset.square() / (2 * (sigma + 1e-5) ** 2))
    kernel = kernel / kernel.sum()
    # The Gaussian is separable: filter the columns, then the rows.
    planes = mirror_pad(lq.double(), _KERNEL // 2).transpose(0, 1)  # (C, 1, h + 8, w + 8)
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return planes.transpose(0, 1)  # (1, C, h, w)
