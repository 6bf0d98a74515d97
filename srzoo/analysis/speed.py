"""Speed and memory of a network on this machine."""

import itertools
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import srzoo
from srzoo import heap, ranks
from srzoo.infer.memory import free_memory, is_out_of_memory

# Sides of square inputs of the pressure test [LQ pixels].
PRESSURE_SIDES = (128, 256, 512, 800, 1024, 1280, 1600, 2048, 2560, 3200, 4096, 5120, 6400, 8192)
Pass = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Speed of single passes over one image, and their memory.

    Args:
        latency_p50_ms: median time of a pass, from the call to the finished output [ms].
        latency_p95_ms: time that 95 % of the passes keep [ms].
        images_per_second: passes one after the other; on a GPU without waiting between them.
        output_megapixels_per_second: the same in pixels of the output.
        peak_memory_mib: largest memory of a pass beyond weights and input; None: not measurable here [MiB].
        runs: passes that were timed.
        warm_up: passes before them.
    """

    latency_p50_ms: float
    latency_p95_ms: float
    images_per_second: float
    output_megapixels_per_second: float
    peak_memory_mib: float | None
    runs: int
    warm_up: int


@torch.inference_mode()
def measure_speed(run: Pass, lq: Tensor, *, runs: int = 20, warm_up: int = 3, seconds: float = 10.0) -> Speed:
    """Time passes over one image, waiting for the device before and after each.

    Args:
        run: the network in the form to measure, on the device of `lq`.
        lq: image (1, C, H, W).
        runs: passes to time.
        warm_up: passes before them: they compile, choose algorithms and fill caches.
        seconds: fewer passes, at least two, are timed once this time is over, and one warms up a pass longer than it.
    """
    sr, done, start = run(lq), 1, time.perf_counter()
    _wait(lq.device)
    while done < warm_up and time.perf_counter() - start < seconds:
        sr, done = run(lq), done + 1
    _wait(lq.device)
    times: list[float] = []
    while len(times) < runs and (len(times) < 2 or sum(times) < seconds):
        start = time.perf_counter()
        run(lq)
        _wait(lq.device)
        times.append(time.perf_counter() - start)
    total = sum(times)
    if lq.is_cuda:
        start = time.perf_counter()
        for _ in times:
            run(lq)
        _wait(lq.device)
        total = time.perf_counter() - start
    per_second = len(times) / total
    p50, p95 = (1000 * float(value) for value in np.percentile(times, (50, 95)))
    return Speed(
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        images_per_second=per_second,
        output_megapixels_per_second=per_second * sr.shape[-2] * sr.shape[-1] / 1e6,
        peak_memory_mib=peak_memory(run, lq),
        runs=len(times),
        warm_up=done,
    )


def _wait(device: torch.device) -> None:
    """Wait until the device has finished its work; a CPU has when a call returns."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize(device)


@torch.inference_mode()
def peak_memory(run: Pass, lq: Tensor) -> float | None:
    """Return the memory of a pass beyond what was in use before, at its peak [MiB].

    On a GPU, of tensors; on a CPU, of the process (Linux only; None elsewhere).
    """
    if lq.is_cuda:
        torch.cuda.reset_peak_memory_stats(lq.device)
        before = torch.cuda.memory_allocated(lq.device)
        run(lq)
        _wait(lq.device)
        return (torch.cuda.max_memory_allocated(lq.device) - before) / 2**20
    try:
        # Memory that earlier passes freed and the C library keeps would hide a part of the next one's.
        heap.return_freed()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = _status("VmRSS")
        run(lq)
        return (_status("VmHWM") - before) / 1024
    except (OSError, AttributeError, StopIteration, TypeError):
        return None


def _status(entry: str) -> int:
    """Return an entry of this process's memory statistics [KiB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(entry)).split()[1])


@dataclass(frozen=True)
class Pressure:
    """Result of one size of the pressure test.

    Args:
        side: of the square input [LQ pixels].
        speed: None if the test ended here.
        ended: reason why it did.
    """

    side: int
    speed: Speed | None
    ended: str = ""


def pressure_test(
    run: Pass, num_in_ch: int, device: torch.device, *, sides: Sequence[int] = PRESSURE_SIDES, limit: float = 10.0
) -> Iterator[Pressure]:
    """Measure larger and larger images until the memory is full, as IMDN's authors do (ACM MM 2019, section 4.5).

    Args:
        run: the network in the form to measure.
        num_in_ch: colour channels of the input.
        device: where it is.
        sides: of the inputs, ascending [LQ pixels].
        limit: the test ends before a pass that would take longer [s].

    Yields:
        one result per size; the last one says why the test ended, unless all sizes fit.
    """
    speed: Speed | None = None
    for previous, side in itertools.pairwise((sides[0], *sides)):
        growth = (side / previous) ** 2
        if speed is not None:
            # A process that exceeds a CPU's memory is killed, and its results are lost.
            needed, free = growth * (speed.peak_memory_mib or 0), free_memory(device) / 2**20
            if device.type == "cpu" and needed > 0.8 * free:
                yield Pressure(side, None, f"would need {needed:,.0f} MiB, {free:,.0f} are free")
                return
            if growth * speed.latency_p50_ms > 1000 * limit:
                yield Pressure(side, None, f"a pass would take longer than {limit:g} s")
                return
        try:
            speed = measure_speed(run, torch.rand(1, num_in_ch, side, side, device=device), runs=5, seconds=5.0)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            yield Pressure(side, None, "out of memory")
            return
        yield Pressure(side, speed)


def hardware(device: torch.device) -> dict[str, str | int]:
    """Return the hardware and the versions that a measurement belongs to."""
    facts: dict[str, str | int] = {
        "device": ranks.device_name(device),
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "srzoo": srzoo.__version__,
    }
    if device.type == "cuda":
        facts |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
    return facts


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
