"""Blur kernels of blind super-resolution, a whole batch in one call.

Anisotropic, generalised and plateau-shaped Gaussians (Liu et al., "Estimating generalized Gaussian blur kernels for
out-of-focus image deblurring", IEEE TCSVT 2020) and the circular low-pass (sinc) filter that causes ringing, as
Real-ESRGAN combines them: Wang et al., ICCVW 2021, arXiv:2107.10833, sections 3.1 and 3.3. Written from the papers.
"""

import math
from typing import Literal

import torch
from torch import Tensor

Shape = Literal["gaussian", "generalized", "plateau"]


def gaussian_kernels(
    side: int, sigma: Tensor, theta: Tensor, beta: Tensor, shape: Shape = "gaussian", support: Tensor | None = None
) -> Tensor:
    """Sample kernels as functions of q = x^T S^-1 x, S a rotated covariance: (N, side, side), each summing to 1.

    gaussian: exp(-q / 2); generalized: exp(-q^beta / 2); plateau: 1 / (1 + q^beta).

    Args:
        side: side of the returned kernels, odd [pixels].
        sigma: standard deviations along the two axes (N, 2); isotropic if equal [pixels].
        theta: angle of the first axis (N,) [radians].
        beta: exponent (N,); unused for "gaussian".
        shape: profile of the kernel, as above.
        support: odd side of the nonzero part of each kernel (N,); None: `side` [pixels].

    Raises:
        ValueError: `side` is even.
    """
    x, y = _grid(side, sigma)
    cos, sin = theta.cos().view(-1, 1, 1), theta.sin().view(-1, 1, 1)  # (N, 1, 1)
    # Coordinates along the axes of the ellipse, (N, side, side).
    u, v = x * cos + y * sin, y * cos - x * sin
    q = (u / sigma[:, 0].view(-1, 1, 1)).square() + (v / sigma[:, 1].view(-1, 1, 1)).square()
    power = q if shape == "gaussian" else q ** beta.view(-1, 1, 1)
    return _normalised(1 / (1 + power) if shape == "plateau" else torch.exp(-power / 2), support)


def sinc_kernels(side: int, cutoff: Tensor, support: Tensor | None = None) -> Tensor:
    """Sample circular low-pass filters w * J1(w * r) / (2 * pi * r): (N, side, side), each summing to 1.

    Args:
        side: side of the returned filters, odd [pixels].
        cutoff: w (N,), up to pi, the highest frequency of the grid [radians per pixel].
        support: odd side of the nonzero part of each filter (N,); None: `side` [pixels].

    Raises:
        ValueError: `side` is even.
    """
    x, y = _grid(side, cutoff)
    radius = (x.square() + y.square()).sqrt()
    cutoff = cutoff.view(-1, 1, 1)  # (N, 1, 1)
    # At r = 0 the limit of J1(w * r) / r is w / 2; `safe` avoids 0 / 0 in the branch that `where` discards.
    centre = radius == 0
    safe = torch.where(centre, 1.0, radius)
    kernels = torch.where(
        centre, cutoff**2 / (4 * math.pi), cutoff * torch.special.bessel_j1(cutoff * safe) / (2 * math.pi * safe)
    )
    return _normalised(kernels, support)


def _normalised(kernels: Tensor, support: Tensor | None) -> Tensor:
    """Zero each kernel outside its support and scale it to sum 1."""
    if support is not None:
        x, y = _grid(kernels.shape[-1], kernels)
        kernels = kernels * (torch.maximum(x.abs(), y.abs()) <= support.view(-1, 1, 1) // 2)  # (N, side, side)
    return kernels / kernels.sum((1, 2), keepdim=True)


def _grid(side: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pixel offsets (x, y) from the centre, (1, side, side) each."""
    if side % 2 == 0:
        raise ValueError(f"the side of a kernel must be odd, got {side}")
    offsets = torch.arange(side, dtype=like.dtype, device=like.device) - side // 2
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    return x[None], y[None]
