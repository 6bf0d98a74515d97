"""Operations of the degradations against plain forms or PyTorch's functions; medians of interleaved runs.

python scripts/benchmarks/degradation_ops.py
"""

import math
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.degradations.resize import Resize
from srzoo.degradations.samples import Samples
from srzoo.ops.blur_kernels import gaussian_kernels
from srzoo.ops.filter import gaussian_blur
from srzoo.ops.filter2d import Algorithm, FilterMethod, choose_methods, filter2d
from srzoo.ops.poisson import poisson
from srzoo.ops.sharpen import usm_sharpen

RUNS = 25
ALGORITHMS: tuple[Algorithm, ...] = ("separable", "direct", "fft")


def medians(forms: dict[str, Callable[[], Tensor]], tolerance: float) -> dict[str, float]:
    """Return the milliseconds of each form, runs interleaved, after comparing all results with the first form's."""
    times: dict[str, list[float]] = {name: [] for name in forms}
    expected = next(iter(forms.values()))()
    for _ in range(RUNS):
        for name, form in forms.items():
            started = time.perf_counter()
            result = form()
            times[name].append(1000 * (time.perf_counter() - started))
            # Outside the timed part.
            assert (result - expected).abs().max() <= tolerance, f"{name} differs from the plain form"
    return {name: statistics.median(taken) for name, taken in times.items()}


def correlated(image: Tensor, kernels: Tensor) -> Tensor:
    """Correlate by one grouped convolution."""
    radius, channels = kernels.shape[-1] // 2, image.shape[1]
    padded = F.pad(image, (radius,) * 4, mode="reflect")
    return F.conv2d(padded, kernels.to(image).expand(channels, 1, -1, -1), groups=channels)


def sharpened(image: Tensor) -> Tensor:
    """Sharpen with the defaults of usm_sharpen by separable convolutions."""
    side, sigma = 51, 0.3 * (25 - 1) + 0.8
    residual = image - gaussian_blur(image, side, sigma)
    soft = gaussian_blur((residual.abs() * 255 > 10).to(image.dtype), side, sigma)
    return soft * (image + 0.5 * residual).clamp(0, 1) + (1 - soft) * image


def filters(image: Tensor) -> None:
    """Print the ratios of all filter methods; * marks the chosen one."""
    for side in (7, 11, 13, 21):
        for name, sigmas in (("isotropic", (side / 4, side / 4)), ("anisotropic", (side / 4, side / 8))):
            kernels = gaussian_kernels(side, torch.tensor([sigmas]).double(), torch.ones(1), torch.ones(1))
            (chosen,) = choose_methods(kernels, image.device)
            forms: dict[str, Callable[[], Tensor]] = {"plain": lambda kernels=kernels: correlated(image, kernels)}
            # Only kernels of rank 1 are separable.
            for algorithm in ALGORITHMS if name == "isotropic" else ALGORITHMS[1:]:
                method = FilterMethod(algorithm, side // 2)
                forms[algorithm] = lambda kernels=kernels, method=method: filter2d(image, kernels, method)
            found = medians(forms, 1e-5)
            plain = found.pop("plain")
            ratios = [f"{form}{'*' * (form == chosen.algorithm)} {plain / taken:.2f}" for form, taken in found.items()]
            height = image.shape[-1]
            sys.stdout.write(
                f"{height}x{height}, {name:11} {side:2}x{side:<2}: plain {plain:5.2f} ms  {'  '.join(ratios)}\n"
            )


def others(image: Tensor) -> None:
    """Print the ratios of Poisson sampling, enlarging by area and unsharp masking."""
    height = image.shape[-1]
    side, levels, factor = int(1.4 * height), (image * 255).round().int(), 64 / 255
    larger = (side, side)
    samples = Samples([np.random.default_rng(0)], np.random.default_rng(0), larger)
    area = Resize(scale=1, modes=("area",))
    # Poisson samples agree in their distribution (tests/degradations), not in their values.
    for name, plain, ours, tolerance in (
        ("Poisson samples", lambda: torch.poisson(levels * factor), lambda: poisson(levels, factor, 0), math.inf),
        (
            f"area, to {side}x{side}",
            lambda: F.interpolate(image, size=larger, mode="area"),
            lambda: area([image[0]], samples)[0][None],
            1e-6,
        ),
        ("unsharp masking", lambda: sharpened(image), lambda: usm_sharpen(image), 1e-5),
    ):
        found = medians({"plain": plain, "srzoo": ours}, tolerance)
        sys.stdout.write(
            f"{height}x{height}, {name}: plain {found['plain']:5.2f} ms  {found['plain'] / found['srzoo']:.2f}\n"
        )


def main() -> None:
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; 3 channels; time of the plain form / of srzoo; "
        "* the chosen filter method\n"
    )
    with torch.inference_mode():
        for height in (400, 100):
            image = torch.rand(1, 3, height, height, generator=torch.Generator().manual_seed(0))
            filters(image)
            others(image)


if __name__ == "__main__":
    main()
