"""Eager PyTorch against other programs on one core: CPU time of interleaved passes, and its ratio to OpenVINO's.

python scripts/benchmarks/programs.py [--runs 15] [--compile]

Fused RT4KSR x3 on 320x180 and IMDN x4 on 64x64, float32. The processor's time is compared, because a busy machine adds
waiting to the clock. `--compile` adds torch.compile with packed weights (`freezing`), which takes a minute to compile.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from srzoo.analysis.profile import runner
from srzoo.analysis.speed import Pass, hardware
from srzoo.registry import ARCHS

CPU = torch.device("cpu")
# Network, scale and input (height, width).
CASES = (("RT4KSR", 3, (180, 320)), ("IMDN", 4, (64, 64)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15, help="timed passes of each program")
    parser.add_argument("--compile", action="store_true", help="torch.compile with packed weights too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in hardware(CPU).items()) + "\n")
    for name, scale, size in CASES:
        net, lq = ARCHS.build(name, {}, scale=scale), torch.rand(1, 3, *size)
        times = measured(dict(programs(net, compile_too=arguments.compile)), lq, arguments.runs)
        reference = times.get("openvino")
        for program, seconds in times.items():
            ratio = "" if reference is None else f"  ratio {seconds / reference:.2f}"
            sys.stdout.write(f"{name} x{scale} {size[1]}x{size[0]}  {program:14} {1000 * seconds:7.1f} ms{ratio}\n")
        sys.stdout.flush()


def programs(net: torch.nn.Module, *, compile_too: bool) -> Iterator[tuple[str, Pass]]:
    """Yield the ways to run a network that are here, by name."""
    yield "eager", runner(net, device=CPU)
    nhwc = copy.deepcopy(net).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing from torch's stubs
    yield "channels-last", runner(nhwc, device=CPU)
    if compile_too:
        import torch._inductor.config as inductor

        inductor.freezing = True
        yield "compiled", runner(copy.deepcopy(net).requires_grad_(requires_grad=False), device=CPU, compile_it=True)
    for backend in ("onnxruntime", "openvino"):
        try:
            yield backend, runner(net, device=CPU, backend=backend)
        except (ImportError, ValueError) as error:
            sys.stdout.write(f"{backend} skipped: {error}\n")


@torch.no_grad()
def measured(ways: dict[str, Pass], lq: torch.Tensor, runs: int) -> dict[str, float]:
    """Return the median CPU time of each way [s]; runs are interleaved, so that all meet the same conditions."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(runs + 2):  # the first two warm up
        for name, run in ways.items():
            start = time.process_time()
            run(lq)
            if number >= 2:
                times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
