"""One training step (forward, L1, backward) with NCHW and channels-last weights; medians of interleaved runs.

python scripts/benchmarks/training_step.py
"""

import statistics
import sys
import time

import torch
from torch import Tensor, nn

from srzoo.registry import ARCHS

RUNS = 11


def step(net: nn.Module, lq: Tensor) -> float:
    """Return the seconds of one forward and backward pass."""
    start = time.perf_counter()
    net(lq).abs().mean().backward()
    if lq.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sys.stdout.write(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads\n")
    for name, scale, shape in (
        ("IMDN_RTC", 2, (8, 3, 48, 48)),
        ("IMDN_RTE", 2, (8, 3, 48, 48)),
        ("IMDNPlus", 4, (4, 3, 48, 48)),
        ("IMDN", 4, (4, 3, 48, 48)),
        ("SRResNet", 4, (4, 3, 48, 48)),
        ("SRVGGNetCompact", 4, (4, 3, 48, 48)),
        ("EDSR", 4, (4, 3, 48, 48)),
        ("RT4KSR", 2, (4, 3, 48, 48)),
    ):
        lq = torch.rand(shape, device=device)
        nets = {}
        for layout in (torch.contiguous_format, torch.channels_last):
            torch.manual_seed(0)
            net = ARCHS.build(name, {}, scale=scale).to(device)
            nets[layout] = net.to(memory_format=layout)  # pyright: ignore[reportCallIssue]  # missing from torch's stubs
        difference = (nets[torch.contiguous_format](lq) - nets[torch.channels_last](lq)).abs().max().item()
        assert difference < 1e-4, f"{name}: layouts differ by {difference}"
        times: dict[torch.memory_format, list[float]] = {layout: [] for layout in nets}
        for run in range(RUNS + 2):
            for layout, net in nets.items():
                seconds = step(net, lq)
                if run >= 2:  # after the warm-up
                    times[layout].append(seconds)
        plain, fast = (statistics.median(times[layout]) for layout in nets)
        sys.stdout.write(
            f"{name:15} x{scale} {'x'.join(map(str, shape)):12} NCHW {1000 * plain:7.1f} ms   channels-last "
            f"{1000 * fast:7.1f} ms   ratio {plain / fast:.2f}\n"
        )


if __name__ == "__main__":
    main()
