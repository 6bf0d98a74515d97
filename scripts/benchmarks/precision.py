"""Training step of DRCT (forward pass, L1, backward pass) in bf16 against fp32; medians of interleaved runs.

python scripts/benchmarks/precision.py [--anyway]

The aim on a CPU with bfloat16 instructions (AVX-512 BF16 or AMX) is 1.8 times the speed of fp32. Without them bfloat16
is emulated and the figure says nothing: the script ends at once, unless it is told to measure anyway.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from srzoo.optim.precision import Autocast
from srzoo.registry import ARCHS

RUNS, AIM = 7, 1.8


def bf16_instructions() -> list[str]:
    """Return the bfloat16 instructions of this CPU by their names in /proc/cpuinfo."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.is_file() else []
    return [name for name in ("avx512_bf16", "amx_bf16", "bf16") if name in flags]  # bf16: ARM


def step(net: nn.Module, lq: Tensor) -> float:
    """Return the seconds of one forward and backward pass."""
    start = time.perf_counter()
    net(lq).abs().mean().backward()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anyway", action="store_true", help="measure on a CPU without bfloat16 instructions too")
    parser.add_argument("--side", type=int, default=64, help="side of the LQ crops [pixels]")
    parser.add_argument("--depth", type=int, default=6, help="number of DRCT's groups")
    arguments = parser.parse_args()
    found = bf16_instructions()
    names = " ".join(found) or "none"
    sys.stdout.write(f"torch {torch.__version__}, {torch.get_num_threads()} threads, bfloat16 instructions: {names}\n")
    if not found and not arguments.anyway:
        sys.stdout.write("skipped: this CPU emulates bfloat16\n")
        return
    torch.manual_seed(0)
    net = ARCHS.build("DRCT", {"depths": [6] * arguments.depth, "num_heads": [6] * arguments.depth}, scale=4)
    lq = torch.rand(1, 3, arguments.side, arguments.side)
    forms = {"fp32": net, "bf16": Autocast(net, "bf16", "cpu")}
    with torch.no_grad():
        difference = (net.eval()(lq) - forms["bf16"](lq)).abs().max().item()
    assert difference < 0.02, f"bf16 differs by {difference}"
    net.train()
    times: dict[str, list[float]] = {form: [] for form in forms}
    for run in range(RUNS + 1):
        for form, called in forms.items():
            seconds = step(called, lq)
            if run:  # after the warm-up
                times[form].append(seconds)
    fp32, bf16 = (statistics.median(times[form]) for form in forms)
    verdict = "" if not found else f"   aim {AIM}: {'reached' if fp32 / bf16 >= AIM else 'missed'}"
    sys.stdout.write(
        f"DRCT x4, {tuple(lq.shape)}: fp32 {fp32:.2f} s   bf16 {bf16:.2f} s   ratio {fp32 / bf16:.2f}{verdict}\n"
    )


if __name__ == "__main__":
    main()
