"""Expected efficiency of data-parallel training on many GPUs, from arithmetic: python scripts/scaling.py

Prints the tables of docs/scaling.md, which explains the formula. Network sizes and operations are counted here; speeds
of GPUs and links are assumptions (`Gpu`, `Link`), not measurements.
"""

import math
import sys
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from srzoo.layers.plain import plain_form
from srzoo.registry import ARCHS

BUCKET = 25 * 2**20  # gradients that DistributedDataParallel sends together [bytes]
# Reading a PNG tile of 480x480 and its LQ of 120x120, cropping and flipping: measured on one core of an AMD EPYC [s].
READING = 6.1e-3
COUNTS = (1, 8, 64, 512)
PER_NODE = 8
# Backward takes twice as many operations as forward: gradients of inputs and of weights.
TRAINING, BACKWARD = 3, 2
# name -> (type, options, scale, LQ crop, total batch) of the shipped training files for x4.
TRAININGS: dict[str, tuple[str, dict[str, object], int, int, int]] = {
    "DRCT": ("DRCT", {}, 4, 64, 32),
    "DRCT-L": ("DRCT", {"depths": [6] * 12, "num_heads": [6] * 12}, 4, 64, 32),
    "IMDN": ("IMDN", {}, 4, 48, 16),
}


@dataclass(frozen=True)
class Gpu:
    """Assumed GPU: `sustained` is what training reaches of its peak [FLOP/s]."""

    name: str
    sustained: float


@dataclass(frozen=True)
class Link:
    """Assumed link of the ring: bandwidth in one direction [bytes/s], time per hop [s]."""

    bandwidth: float
    hop: float


# A100 (NVIDIA's datasheet): 19.5 TFLOP/s float32, 312 TFLOP/s bfloat16; a half and a fifth of them.
GPUS = (Gpu("float32", 0.5 * 19.5e12), Gpu("bfloat16", 0.2 * 312e12))
# Within a node NVLink 3, 300 GB/s per direction. Between nodes one HDR InfiniBand port per node, 200 Gbit/s.
NVLINK, INFINIBAND = Link(0.8 * 300e9, 3e-6), Link(0.8 * 25e9, 10e-6)


@dataclass(frozen=True)
class Training:
    """Size of a training: parameters, operations of the forward pass of one sample [FLOP], total batch."""

    parameters: int
    forward: int
    batch: int

    @property
    def gradients(self) -> int:
        """Return the size of the gradients [bytes]."""
        return 4 * self.parameters


def count(name: str) -> Training:
    """Count the parameters and the operations of a shipped training; a multiplication and an addition are two."""
    kind, options, scale, side, batch = TRAININGS[name]
    with torch.device("meta"):
        net = ARCHS.build(kind, options, scale=scale)
        lq = torch.empty(1, 3, side, side)
    counter = FlopCounterMode(display=False)
    # Its operations are those of the paper; faster forms would hide some from the counter.
    with counter, torch.no_grad(), plain_form():
        net(lq)
    return Training(sum(p.numel() for p in net.parameters()), counter.get_total_flops(), batch)


def exchange(size: float, num_gpus: int) -> float:
    """Return the time of a ring all-reduce [s]: 2 (n-1)/n * size / bandwidth + 2 (n-1) * hop.

    The ring passes through the `PER_NODE` GPUs of one node after the other; its slowest link sets its bandwidth.
    """
    if num_gpus == 1:
        return 0.0
    link = NVLINK if num_gpus <= PER_NODE else INFINIBAND
    num_nodes = math.ceil(num_gpus / PER_NODE)
    between = 2 * (num_nodes - 1) * INFINIBAND.hop if num_nodes > 1 else 0.0
    within = 2 * (num_gpus - num_nodes) * NVLINK.hop
    return 2 * (num_gpus - 1) / num_gpus * size / link.bandwidth + between + within


def step(training: Training, gpu: Gpu, samples: float, num_gpus: int) -> tuple[float, float]:
    """Return (time of an update, part of it in which a GPU waits for gradients) [s].

    All buckets but the last travel during the backward pass; the last is full only at its end.
    """
    forward = samples * training.forward / gpu.sustained
    backward = BACKWARD * forward
    num_buckets = math.ceil(training.gradients / BUCKET)
    last = training.gradients / num_buckets
    hidden = (num_buckets - 1) * exchange(last, num_gpus)
    exposed = max(hidden - backward, 0.0) + exchange(last, num_gpus)
    return forward + backward + exposed, exposed


def efficiency(training: Training, gpu: Gpu, samples: float, num_gpus: int) -> float:
    """Return the speed of `num_gpus` GPUs divided by that many times the speed of one, with `samples` on each."""
    total, exposed = step(training, gpu, samples, num_gpus)
    return (total - exposed) / total


def tables() -> str:
    """Return both tables of docs/scaling.md."""
    rows = [
        "| training x4 | gradients | forward, one sample | update of 4 samples, float32 | bfloat16 | cores that read |",
        "|---|---|---|---|---|---|",
    ]
    trainings = {name: count(name) for name in TRAININGS}
    for name, training in trainings.items():
        seconds = [step(training, gpu, 4, 1)[0] for gpu in GPUS]
        times, cores = (" | ".join(f"{1000 * t:.1f} ms" for t in seconds), [4 * READING / t for t in seconds])
        rows.append(
            f"| {name} | {training.gradients / 1e6:.1f} MB | {training.forward / 1e9:.1f} GFLOP | {times} | "
            f"{cores[0]:.1f}, {cores[1]:.1f} |"
        )
    heads = " | ".join(f"{count} GPU{'s' * (count > 1)}" for count in COUNTS)
    rows += ["", f"| training, 4 samples per GPU | arithmetic | {heads} |", "|---|---|" + "---|" * len(COUNTS)]
    for name, training in trainings.items():
        for gpu in GPUS:
            cells = " | ".join(f"{100 * efficiency(training, gpu, 4, count):.0f} %" for count in COUNTS)
            rows.append(f"| {name} | {gpu.name} | {cells} |")
    rows += ["", f"| training, total batch of its file | arithmetic | {heads} |", "|---|---|" + "---|" * len(COUNTS)]
    for name, training in trainings.items():
        for gpu in GPUS:
            cells = " | ".join(_of_total(training, gpu, count) for count in COUNTS)
            rows.append(f"| {name}, {training.batch} | {gpu.name} | {cells} |")
    return "\n".join(rows) + "\n"


def _of_total(training: Training, gpu: Gpu, num_gpus: int) -> str:
    """Return the efficiency if the total batch is divided by the GPUs, as far as there is a sample for each."""
    if num_gpus > training.batch:
        return "no sample left"
    return f"{100 * efficiency(training, gpu, training.batch / num_gpus, num_gpus):.0f} %"


if __name__ == "__main__":
    sys.stdout.write(tables())
