"""Blur kernels of blind super-resolution, a whole batch in one call.

Gaussians with any covariance, their generalised and plateau-shaped relatives (Liu et al., "Estimating generalized
Gaussian blur kernels for out-of-focus image deblurring", IEEE TCSVT 2020) and the circular low-pass filter that rings
(sinc), as Real-ESRGAN combines them: Wang et al., ICCVW 2021, arXiv:2107.10833, sections 3.1 and 3.3. Written from the
papers.
"""

import math
from typing import Literal

import torch
from torch import Tensor

Shape = Literal["gaussian", "generalized", "plateau"]


def gaussian_kernels(
    side: int, sigma: Tensor, theta: Tensor, beta: Tensor, shape: Shape = "gaussian", support: Tensor | None = None
) -> Tensor:
    """Kernels over x^T S^-1 x = q, the squared distance under a rotated covariance: (N, side, side), each summing to 1.

    gaussian: exp(-q / 2); generalized: exp(-q^beta / 2); plateau: 1 / (1 + q^beta).

    Args:
        side: of the result, odd [pixels].
        sigma: standard deviations along the two axes (N, 2); equal ones are isotropic [pixels].
        theta: angle of the first axis (N,) [radians].
        beta: exponent (N,); not looked at for "gaussian".
        shape: which of the three.
        support: odd side of each kernel (N,), zeros around; None: `side` [pixels].
    """
    x, y = _grid(side, sigma)
    cos, sin = (part.view(-1, 1, 1) for part in (theta.cos(), theta.sin()))
    along, across = x * cos + y * sin, y * cos - x * sin
    distance = (along / sigma[:, 0].view(-1, 1, 1)).square() + (across / sigma[:, 1].view(-1, 1, 1)).square()
    power = distance if shape == "gaussian" else distance ** beta.view(-1, 1, 1)
    return _normalised(1 / (1 + power) if shape == "plateau" else torch.exp(-power / 2), support)


def sinc_kernels(side: int, cutoff: Tensor, support: Tensor | None = None) -> Tensor:
    """Circular low-pass filters w * J1(w * r) / (2 * pi * r): (N, side, side), each summing to 1.

    Args:
        side: of the result, odd [pixels].
        cutoff: w (N,), pi lets everything through [radians per pixel].
        support: odd side of each filter (N,), zeros around; None: `side` [pixels].
    """
    x, y = _grid(side, cutoff)
    radius = (x.square() + y.square()).sqrt()
    cutoff = cutoff.view(-1, 1, 1)
    centre = radius == 0
    safe = torch.where(centre, 1.0, radius)
    kernels = torch.where(
        centre, cutoff**2 / (4 * math.pi), cutoff * torch.special.bessel_j1(cutoff * safe) / (2 * math.pi * safe)
    )
    return _normalised(kernels, support)


def _normalised(kernels: Tensor, support: Tensor | None) -> Tensor:
    """Each kernel cut to its own support and made to sum to 1."""
    if support is not None:
        x, y = _grid(kernels.shape[-1], kernels)
        kernels = kernels * (torch.maximum(x.abs(), y.abs()) <= support.view(-1, 1, 1) // 2)
    return kernels / kernels.sum((1, 2), keepdim=True)


def _grid(side: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel offsets (x, y) from the centre, (1, side, side) each."""
    if side % 2 == 0:
        raise ValueError(f"kernel sides are odd, got {side}")
    offsets = torch.arange(side, dtype=like.dtype, device=like.device) - side // 2
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    return x[None], y[None]
