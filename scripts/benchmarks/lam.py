"""Local attribution maps against the authors' way of computing them: median ratios of interleaved runs.

python scripts/benchmarks/lam.py [NETWORK ...] [--fold 50] [--runs 5] [--size 64]

The authors' program runs a network at one point of the path after the other, on the whole image, with gradients of its
weights; srzoo runs batches of points with frozen weights, leaves out points that change nothing, and of networks with a
receptive radius computes only the region that the window sees. `forward` is a forward pass of the whole image at every
point, in batches, and nothing else: a bound for networks without a receptive radius. The processor's time of one thread
is compared.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from srzoo.analysis.detector import gradient_magnitude
from srzoo.analysis.lam import Window, local_attribution, path_of
from srzoo.registry import ARCHS

SCALE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=["IMDN", "SRVGGNetCompact"])
    parser.add_argument("--fold", type=int, default=50, help="points of the path")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each way")
    parser.add_argument("--size", type=int, default=64, help="side of the LQ image, at least 16")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sys.stdout.write(f"torch {torch.__version__}, 1 thread, {arguments.fold} points\n")
    for name in arguments.networks:
        torch.manual_seed(0)
        net = ARCHS.build(name, {}, scale=SCALE).eval()
        lq = torch.rand(1, net.num_in_ch, arguments.size, arguments.size)
        sys.stdout.write(f"{name:16} {line(net, lq, arguments.fold, arguments.runs)}\n")
        sys.stdout.flush()


def line(net: nn.Module, lq: Tensor, fold: int, runs: int) -> str:
    """Measure one network, and format its ratios."""
    middle = SCALE * lq.shape[-1] // 2
    window = Window(middle - 8, middle - 8, 16)
    theirs, ours = one_by_one(net, lq, window, fold), local_attribution(net, lq, window, fold=fold)
    difference = (theirs - torch.from_numpy(ours.attribution)).abs().max() / theirs.abs().max()
    assert difference < 1e-3, f"the attributions differ by {difference:.1e}"
    ways: tuple[Callable[[], object], ...] = (
        lambda: one_by_one(net, lq, window, fold),
        lambda: local_attribution(net, lq, window, fold=fold),
        lambda: forward(net, lq, fold),
    )
    times = [[timed(way) for way in ways] for _ in range(runs)]
    ratio, floor = (statistics.median(row[0] / row[column] for row in times) for column in (1, 2))
    seconds = statistics.median(row[1] for row in times)
    return f"ratio {ratio:.2f} ({seconds:.1f} s, {ours.evaluated} points evaluated)  forward {floor:.2f}"


def timed(way: Callable[[], object]) -> float:
    """Return the processor's seconds of one run."""
    start = time.process_time()
    way()
    return time.process_time() - start


def one_by_one(net: nn.Module, lq: Tensor, window: Window, fold: int) -> Tensor:
    """Compute the attribution (C, h, w) point by point."""
    rows, columns = slice(window.top, window.top + window.size), slice(window.left, window.left + window.size)
    points, steps = path_of(lq, "gaussian_blur", 1.2, fold)
    total = torch.zeros_like(steps[0])
    for point, step in zip(points.float(), steps, strict=True):
        image = point[None].clone().requires_grad_()
        net.zero_grad()
        gradient_magnitude(net(image))[..., rows, columns].sum().backward()
        assert image.grad is not None
        total += image.grad[0].double() * step
    return total / fold


@torch.no_grad()
def forward(net: nn.Module, lq: Tensor, fold: int) -> None:
    """Run a network on batches of points of a path."""
    for points in path_of(lq, "gaussian_blur", 1.2, fold)[0].float().split(4):
        net(points)


if __name__ == "__main__":
    main()
