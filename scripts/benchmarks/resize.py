"""imresize against a textbook form and PyTorch's antialiased bicubic interpolation; medians of interleaved runs.

python scripts/benchmarks/resize.py
"""

import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.resize import imresize

RUNS = 9


def per_row(image: Tensor, scale: float) -> Tensor:
    """Resize (C, H, W) as a textbook does: mirror the border, then sum weighted rows for each output row; twice."""

    def cubic(x: Tensor) -> Tensor:
        x = x.abs()
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        return near * (x <= 1) + far * ((x > 1) & (x <= 2))

    def rows(image: Tensor) -> Tensor:
        channels, height, width = image.shape
        target, support = math.ceil(height * scale), 4 / min(scale, 1.0)
        margin = math.ceil(support)
        padded = torch.cat([image[:, :margin].flip(1), image, image[:, -margin:].flip(1)], 1)
        result = torch.empty(channels, target, width, dtype=image.dtype)
        for k in range(target):
            centre = (k + 0.5) / scale - 0.5
            first = math.floor(centre - support / 2)
            index = torch.arange(first, first + math.ceil(support) + 2)
            weight = cubic((centre - index) * min(scale, 1.0))
            weight = (weight / weight.sum()).to(image.dtype)
            for channel in range(channels):
                taps = padded[channel, index[0] + margin : index[-1] + 1 + margin]  # (taps, W)
                result[channel, k] = taps.T @ weight
        return result

    # (C, h, W) -> (C, W, h) -> (C, w, h) -> (C, h, w)
    return rows(rows(image).transpose(1, 2).contiguous()).transpose(1, 2)


def pytorch(image: Tensor, scale: float) -> Tensor:
    """Resize (C, H, W) by PyTorch's antialiased bicubic interpolation, which weights border pixels differently."""
    return F.interpolate(image[None], scale_factor=scale, mode="bicubic", antialias=True)[0]


def main() -> None:
    forms = {"per-row": per_row, "PyTorch": pytorch}
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; time of the alternative / time of imresize\n"
    )
    for name, shape, scale in (
        ("256x256 crop, x1/4", (3, 256, 256), 0.25),
        ("256x256 crop, x1/2", (3, 256, 256), 0.5),
        ("64x64 crop, x4", (3, 64, 64), 4.0),
        ("2040x1356 image, x1/4", (3, 1356, 2040), 0.25),
        ("2040x1356 image, x1/2", (3, 1356, 2040), 0.5),
        ("510x339 image, x4", (3, 339, 510), 4.0),
    ):
        image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
        difference = (imresize(image, scale) - per_row(image, scale)).abs().max().item()
        assert difference < 1e-5, f"{name}: forms differ by {difference}"
        times: dict[str, list[float]] = {form: [] for form in ("imresize", *forms)}
        for _ in range(RUNS):
            for form, function in {"imresize": imresize, **forms}.items():
                start = time.perf_counter()
                function(image, scale)
                times[form].append(time.perf_counter() - start)
        ours = statistics.median(times["imresize"])
        ratios = "  ".join(f"{form} {statistics.median(times[form]) / ours:6.2f}" for form in forms)
        sys.stdout.write(f"{name:24} {1000 * ours:8.2f} ms   {ratios}   (difference {difference:.0e})\n")


if __name__ == "__main__":
    main()
