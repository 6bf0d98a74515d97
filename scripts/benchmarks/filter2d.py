"""filter2d's three ways against the plain convolution, channel by channel; medians of interleaved runs.

python scripts/benchmarks/filter2d.py
"""

import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from srzoo.ops.blur_kernels import gaussian_kernels
from srzoo.ops.filter2d import Form, Way, filter2d, filter_ways

RUNS = 25
FORMS: tuple[Form, ...] = ("lines", "direct", "spectrum")


def plain(image: Tensor, kernels: Tensor) -> Tensor:
    radius, channels = kernels.shape[-1] // 2, image.shape[1]
    padded = F.pad(image, (radius,) * 4, mode="reflect")
    return F.conv2d(padded, kernels.to(image).expand(channels, 1, -1, -1), groups=channels)


def main() -> None:
    sys.stdout.write(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; 3 channels; time of the plain form / of each "
        "way, * the one that is chosen\n"
    )
    for height in (400, 100):
        image = torch.rand(1, 3, height, height, generator=torch.Generator().manual_seed(0))
        for side in (7, 11, 13, 21):
            for name, sigmas in (("round", (side / 4, side / 4)), ("oblong", (side / 4, side / 8))):
                kernels = gaussian_kernels(side, torch.tensor([sigmas]).double(), torch.ones(1), torch.ones(1))
                (chosen,) = filter_ways(kernels)
                ways = {form: Way(form, side // 2) for form in FORMS if form != "lines" or name == "round"}
                times: dict[str, list[float]] = {form: [] for form in ("plain", *ways)}
                with torch.inference_mode():
                    expected = plain(image, kernels)
                    for _ in range(RUNS):
                        for form in times:
                            started = time.perf_counter()
                            way = ways.get(form)
                            filtered = filter2d(image, kernels, way) if way else plain(image, kernels)
                            times[form].append(time.perf_counter() - started)
                            assert (filtered - expected).abs().max() < 1e-5, f"{form} differs from the plain form"
                base = statistics.median(times.pop("plain"))
                ratios = "  ".join(
                    f"{form} {base / statistics.median(taken):5.2f}{'*' if form == chosen.form else ' '}"
                    for form, taken in times.items()
                )
                sys.stdout.write(
                    f"{height}x{height}, {name:6} {side:2}x{side:<2}: plain {1000 * base:5.2f} ms  {ratios}\n"
                )


if __name__ == "__main__":
    main()
