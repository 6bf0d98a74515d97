"""RT4KSR in real time: 1080p -> 4K (x2) and 720p -> 4K (x3), in every precision and by every program that is here.

python scripts/benchmarks/realtime.py [--device DEVICE] [--quick] [--runs 50] [--ways "fp32 eager" "fp32 openvino"]

The deployed form (merged blocks) with initial weights, one image at a time: median and 95th percentile of the latency,
and images per second. Ways to run it: eager PyTorch, torch.compile, a CUDA graph, ONNX Runtime, OpenVINO; what is not
here is skipped with a word. On a CPU the time that all its cores spend on one more pass is printed too, which compares
on a busy machine. `--quick` uses images of 64x36 and a few runs, to see that every way works.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from srzoo import ranks
from srzoo.analysis.profile import runner
from srzoo.analysis.speed import Pass, hardware, measure_speed
from srzoo.optim.precision import Precision
from srzoo.registry import ARCHS

# Scale -> (width, height) of an input that becomes 3840x2160.
INPUTS = {2: (1920, 1080), 3: (1280, 720)}
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "bf16", "fp16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="cpu or cuda (default: the first GPU, else cpu)")
    parser.add_argument("--quick", action="store_true", help="small images and few runs")
    parser.add_argument("--runs", type=int, default=50, help="timed passes")
    parser.add_argument("--ways", nargs="+", default=[], help="those to measure, such as 'fp32 eager' (default: all)")
    arguments = parser.parse_args()
    device = torch.device(arguments.device) if arguments.device else ranks.initialise()
    sys.stdout.write(", ".join(f"{name} {value}" for name, value in hardware(device).items()) + "\n")
    for scale, (width, height) in INPUTS.items():
        if arguments.quick:
            width, height = 64, 36
        # A second size makes torch.compile treat sizes as unknown, which fails for RT4KSR.
        torch.compiler.reset()
        net = ARCHS.build("RT4KSR", {}, scale=scale)
        lq = torch.rand(1, 3, height, width, device=device)
        for name, run in ways(net, lq):
            if arguments.ways and name not in arguments.ways:
                continue
            head = f"x{scale} {width}x{height}  {name:18}"
            if isinstance(run, str):
                sys.stdout.write(f"{head} skipped: {run}\n")
                continue
            try:
                speed = measure_speed(run, lq, runs=3 if arguments.quick else arguments.runs)
                used = "" if lq.is_cuda else f"  CPU time {cpu_time(run, lq):8.2f} ms"
            except (RuntimeError, ValueError, ImportError) as error:
                # A table with a gap says more than none.
                sys.stdout.write(f"{head} failed: {str(error).splitlines()[0]:.200}\n")
                continue
            sys.stdout.write(
                f"{head} p50 {speed.latency_p50_ms:8.2f} ms  p95 {speed.latency_p95_ms:8.2f} ms  "
                f"{speed.images_per_second:7.1f} images/s{used}\n"
            )
            sys.stdout.flush()


def cpu_time(run: Pass, lq: torch.Tensor) -> float:
    """Return the time that all cores together spend on a pass [ms]."""
    start = time.process_time()
    with torch.inference_mode():
        run(lq)
    return 1000 * (time.process_time() - start)


def ways(net: torch.nn.Module, lq: torch.Tensor) -> Iterator[tuple[str, Pass | str]]:
    """Yield each way to run the network: its name, and the function or the reason why it is not here."""
    device = lq.device
    for precision in PRECISIONS:
        if precision == "tf32" and device.type != "cuda":
            yield "tf32", "a mode of GPUs"
            continue
        yield f"{precision} eager", runner(net, device=device, precision=precision)
        if shutil.which("g++") is None:
            yield f"{precision} compiled", "torch.compile needs g++"
        else:
            yield f"{precision} compiled", runner(net, device=device, precision=precision, compile_it=True)
        if device.type != "cuda":
            yield f"{precision} CUDA graph", "needs a GPU"
        else:
            yield f"{precision} CUDA graph", captured(runner(net, device=device, precision=precision), lq)
    for backend in ("onnxruntime", "openvino"):
        try:
            yield f"fp32 {backend}", runner(net, device=device, backend=backend)
        except (ImportError, ValueError) as error:
            yield f"fp32 {backend}", str(error).splitlines()[0]


def captured(run: Pass, lq: torch.Tensor) -> Pass:
    """Return a function as a CUDA graph for inputs of one size: its kernels start with a single call."""
    image = lq.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(stream):
        for _ in range(3):  # libraries choose their algorithms before the capture
            run(image)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        sr = run(image)

    def replay(lq: torch.Tensor) -> torch.Tensor:
        image.copy_(lq)
        graph.replay()
        return sr

    return replay


if __name__ == "__main__":
    main()
