"""Each network against a textbook implementation: median ratios of interleaved runs, and peak memory.

python scripts/benchmarks/archs.py [NETWORK ...] [--threads 1] [--runs 7] [--size 64]

Each comparison runs in a separate process, so that none inherits another's memory, and first checks that the forms
agree. `forward` is without gradients; `training` is forward and backward in training mode; `bf16` is srzoo's form under
bfloat16 autocast against the plain form in float32. Memory is the peak increase of the process during a training step.
"""

import argparse
import functools
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from plain import convolutional
from plain.drct import PlainDRCT
from plain.rt4ksr import rt4ksr
from torch import Tensor, nn

from srzoo.layers.reparam import fused
from srzoo.registry import ARCHS

Stepped = Callable[[dict[str, Tensor], Tensor], Tensor]


class Stepwise(nn.Module):
    """Module around a plain function over a state dict, with a trainable copy of the weights."""

    def __init__(self, function: Stepped, net: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.names = list(net.state_dict())
        self.tensors = nn.ParameterList(tensor.clone() for tensor in net.state_dict().values())

    def forward(self, lq: Tensor) -> Tensor:
        return self.function(dict(zip(self.names, self.tensors, strict=True)), lq)


def drct() -> tuple[nn.Module, nn.Module]:
    """Build DRCT and its plain form with equal weights; no stochastic depth, which would differ."""
    net = ARCHS.build("DRCT", {"drop_path_rate": 0.0}, scale=4)
    plain = PlainDRCT()
    plain.load_state_dict(net.state_dict())
    return net, plain


def stepwise(name: str, function: Stepped, scale: int = 4) -> tuple[nn.Module, nn.Module]:
    """Build a network and a plain function over its state dict."""
    net = ARCHS.build(name, {}, scale=scale)
    return net, Stepwise(function, net)


def fused_rt4ksr() -> tuple[nn.Module, nn.Module]:
    """Build RT4KSR in deployed form and its plain training form."""
    net, plain = stepwise("RT4KSR", rt4ksr, 3)
    return fused(net), plain


PAIRS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "DRCT": drct,
    "RT4KSR": functools.partial(stepwise, "RT4KSR", rt4ksr, 3),
    "RT4KSR-fused": fused_rt4ksr,
    "D2CNet": functools.partial(stepwise, "D2CNet", convolutional.d2c),
    "IMDN": functools.partial(stepwise, "IMDN", convolutional.imdn),
    "SRResNet": functools.partial(stepwise, "SRResNet", convolutional.srresnet),
    "RRDBNet": functools.partial(stepwise, "RRDBNet", convolutional.rrdb),
    "EDSR": functools.partial(stepwise, "EDSR", convolutional.edsr),
    "RCAN": functools.partial(stepwise, "RCAN", convolutional.rcan),
    "SRVGGNetCompact": functools.partial(stepwise, "SRVGGNetCompact", convolutional.srvgg),
}
MODES = ("forward", "forward channels-last", "bf16", "training", "memory ours", "memory plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"one of {', '.join(PAIRS)} (default: all)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--runs", type=int, default=7, help="runs of each form")
    parser.add_argument("--size", type=int, default=64, help="side of the LQ image; RT4KSR always uses 320x180")
    # The script calls itself with --one for each measurement.
    parser.add_argument("--one", choices=MODES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.networks) - set(PAIRS)
    if unknown:
        parser.error(f"unknown network {', '.join(unknown)}; known: {', '.join(PAIRS)}")
    if arguments.size % 16:
        parser.error(f"--size must be a multiple of 16, the window of DRCT, got {arguments.size}")
    torch.set_num_threads(arguments.threads)
    if arguments.one:
        sys.stdout.write(json.dumps(measure(arguments.networks[0], arguments)))
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sys.stdout.write(f"torch {torch.__version__}, {device}, {arguments.threads} thread(s); plain time / srzoo's time\n")
    for name in arguments.networks or PAIRS:
        row = {}
        for mode in MODES:
            if name.endswith("-fused") and mode in ("training", "memory ours", "memory plain"):
                continue
            command = [sys.executable, __file__, name, "--one", mode]
            for option in ("threads", "runs", "size"):
                command += [f"--{option}", str(getattr(arguments, option))]
            row[mode] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        sys.stdout.write(line(name, row) + "\n")
        sys.stdout.flush()


def line(name: str, row: dict[str, dict[str, float]]) -> str:
    """Format the measurements of one network."""
    cells = [f"{name:16}"]
    for mode in ("forward", "forward channels-last", "bf16", "training"):
        if mode in row:
            cells.append(f"{mode} {row[mode]['ratio']:.2f} ({row[mode]['ours']:.0f} ms)")
    if "memory ours" in row:
        ours, plain = row["memory ours"]["mib"], row["memory plain"]["mib"]
        cells.append(f"memory {ours / plain:.2f} ({ours:.0f} MiB)")
    return "  ".join(cells)


def measure(name: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Measure one mode of one network in this process."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    mode = arguments.one
    torch.manual_seed(0)
    ours, plain = (net.to(device).eval() for net in PAIRS[name]())
    shape = (1, 3, 180, 320) if name.startswith("RT4KSR") else (1, 3, arguments.size, arguments.size)
    lq = torch.rand(shape, device=device)
    if not mode.startswith("memory"):
        # TF32 would hide small differences on a GPU.
        torch.backends.cudnn.allow_tf32 = False
        with torch.no_grad():
            expected = plain(lq)
            difference = float((ours(lq) - expected).abs().max() / expected.abs().max())
        torch.backends.cudnn.allow_tf32 = True
        assert difference < 1e-4, f"{name}: the forms differ by {difference}"
    if mode == "memory ours" or mode == "memory plain":
        return {"mib": peak_memory(ours if mode == "memory ours" else plain, lq)}
    if mode == "forward channels-last":
        ours.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing from torch's stubs
    run = training if mode == "training" else forward
    autocast = mode == "bf16"
    pairs = []
    for _ in range(arguments.runs + 1):
        pairs.append((timed(run, ours, lq, autocast), timed(run, plain, lq, False)))
    pairs = pairs[1:]  # without the warm-up
    return {
        "ratio": statistics.median(plain_time / our_time for our_time, plain_time in pairs),
        "ours": 1000 * statistics.median(our_time for our_time, _ in pairs),
    }


def timed(run: Callable[[nn.Module, Tensor], None], net: nn.Module, lq: Tensor, autocast: bool) -> float:
    """Return the seconds of one run; on one thread of a CPU its processor time, which other programs disturb less."""
    clock = time.process_time if not lq.is_cuda and torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    with torch.autocast(lq.device.type, torch.bfloat16, enabled=autocast):
        run(net, lq)
    if lq.is_cuda:
        torch.cuda.synchronize()
    return clock() - start


@torch.no_grad()
def forward(net: nn.Module, lq: Tensor) -> None:
    """Run a forward pass in evaluation mode."""
    net.eval()(lq)


def training(net: nn.Module, lq: Tensor) -> None:
    """Run a forward and backward pass in training mode."""
    net.train().zero_grad()
    out = net(lq, output="all").sr if type(net).__name__ == "D2CNet" else net(lq)
    out.abs().mean().backward()


def peak_memory(net: nn.Module, lq: Tensor) -> float:
    """Return the MiB that a training step needs at its peak, gradients included."""
    if lq.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        training(net, lq)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    forward(net, lq[..., :32, :32])  # loads the code and buffers of the libraries
    before = resident()
    training(net, lq)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
