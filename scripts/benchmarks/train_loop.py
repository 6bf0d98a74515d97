"""srzoo's training loop against a bare PyTorch loop, and whole trainings against BasicSR's; interleaved medians.

python scripts/benchmarks/train_loop.py [--networks SRResNet] [--updates 4] [--runs 31] [--pairs 3]

Bare loop: the same network, loss, optimiser and moving average on the same batches in memory, without a check, a
progress line or a random stream. BasicSR (where the package is importable): its train.py on the same images, SRResNet
x4, 8-bit PNG tiles of GT and LQ, one loader worker.
"""

import argparse
import importlib.util
import itertools
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
import yaml
from torch import Tensor, nn

from srzoo.batch import Batch
from srzoo.engine import hooks, loop
from srzoo.engine.log import logger
from srzoo.engine.tensorboard import Board
from srzoo.losses.criterion import Criterion
from srzoo.models.sr import SRModel
from srzoo.optim.learner import Learner
from srzoo.optim.schedules import Constant, Iteration
from srzoo.registry import ARCHS, LOSSES, OPTIMIZERS

ROOT = Path(__file__).resolve().parents[2]
DECAY = 0.999
# name -> options, scale, LQ crop, batch
NETWORKS: dict[str, tuple[dict[str, object], int, int, int]] = {
    "SRResNet": ({"num_block": 4}, 4, 24, 4),
    "IMDN_RTC": ({}, 2, 48, 8),
}


def batches(scale: int, side: int, count: int) -> list[Batch]:
    """Return four batches of noise in memory."""
    torch.manual_seed(0)
    keys = [str(number) for number in range(count)]
    made = []
    for _ in range(4):
        lq, gt = torch.rand(count, 3, side, side), torch.rand(count, 3, scale * side, scale * side)
        made.append(cast(Batch, {"lq": lq, "gt": gt, "key": keys}))
    return made


def build(name: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a network and its Adam; the same weights each time."""
    options, scale, *_ = NETWORKS[name]
    torch.manual_seed(0)
    net = ARCHS.build(name, options, scale=scale)
    return net, OPTIMIZERS.build("Adam", {"lr": 2e-4}, params=net.parameters())


def bare(name: str, data: list[Batch]) -> tuple[nn.Module, Callable[[int], None]]:
    """Return the network of a plain loop, and the loop over a number of updates."""
    net, optimizer = build(name)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(DECAY), use_buffers=True
    )
    loss_of, source = nn.L1Loss(), itertools.cycle(data)
    average.update_parameters(net)  # the first call copies

    def run(updates: int) -> None:
        net.train()
        for _ in range(updates):
            batch = next(source)
            optimizer.zero_grad()
            loss_of(net(batch["lq"]), batch["gt"]).backward()
            optimizer.step()
            average.update_parameters(net)

    return net, run


def srzoo(name: str, data: list[Batch], folder: Path) -> tuple[nn.Module, Callable[[int], None]]:
    """Return the network of srzoo's loop, and the loop over a number of updates, which prints at its last one."""
    net, optimizer = build(name)
    iteration, device = Iteration(), torch.device("cpu")
    model = SRModel(
        g=Learner(net, optimizer, Constant(), iteration=iteration, ema_decay=DECAY),
        criterion=Criterion({"pixel": LOSSES.build("L1Loss", {})}, {"pixel": 1.0}),
    )
    source, board = itertools.cycle(data), Board(folder, False, purge_step=0)

    def run(updates: int) -> None:
        total = iteration.number + updates
        logger.setLevel(logging.ERROR)  # its line would be between those of this program
        printing = hooks.Print(model, board, freq=updates, total=total, device=device)
        loop.train(model, source, total=total, accumulate=1, seed=0, device=device, hooks=[printing])

    return net, run


def compare(name: str, updates: int, runs: int) -> None:
    """Print the time of an update in both loops, and the overhead: the median over pairs of runs.

    Time of the processor tells more than time on the wall where other programs run.
    """
    _, scale, side, count = NETWORKS[name]
    data = batches(scale, side, count)
    with tempfile.TemporaryDirectory() as folder:
        loops = {"bare": bare(name, data), "srzoo": srzoo(name, data, Path(folder))}
        times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in loops}
        for number in range(runs + 1):
            # Turn about, so that neither always runs on the warmer processor.
            for kind in sorted(loops, reverse=number % 2 == 1):
                started = time.perf_counter(), time.process_time()
                loops[kind][1](updates)
                ended = time.perf_counter(), time.process_time()
                if number:  # after the warm-up
                    times[kind].append(((ended[0] - started[0]) / updates, (ended[1] - started[1]) / updates))
    weights: list[Tensor] = [torch.cat([p.flatten() for p in net.parameters()]) for net, _ in loops.values()]
    difference = (weights[0] - weights[1]).abs().max().item()
    assert difference < 1e-6, f"{name}: the loops differ by {difference}"
    cells = []
    for clock, label in enumerate(("wall", "CPU")):
        bare_times, own_times = ([each[clock] for each in times[kind]] for kind in ("bare", "srzoo"))
        ratio = statistics.median(own / plain for plain, own in zip(bare_times, own_times, strict=True))
        cells.append(
            f"{label} {1000 * statistics.median(bare_times):6.1f} {1000 * statistics.median(own_times):6.1f} ms "
            f"overhead {100 * (ratio - 1):+.1f} %"
        )
    sys.stdout.write(f"{name:9} x{scale} {count}x3x{side}x{side}  bare and srzoo: {'   '.join(cells)}\n")
    sys.stdout.flush()


# Notes the time of each update's start, as the loops of both packages call it.
_BASICSR = """
import sys, time
from srzoo.compat.basicsr.networks import supply_functional_tensor
supply_functional_tensor()  # its release does not import without
import basicsr.models.sr_model as recipe, basicsr.train
{noting}
note(recipe.SRModel, "optimize_parameters")
sys.argv = ["train.py", "-opt", "basicsr.yml"]
basicsr.train.train_pipeline(".")
"""
_SRZOO = """
import time
from srzoo.cli import parse
from srzoo.command import execute
from srzoo.models.sr import SRModel
from srzoo.train import train
{noting}
note(SRModel, "training_step")
assert execute(train, parse(["train", "-opt", "srzoo.yml"])) == 0
"""
_NOTING = """
starts = []
def note(recipe, name):
    step = getattr(recipe, name)
    def noted(*arguments):
        starts.append((time.perf_counter(), time.process_time()))
        return step(*arguments)
    setattr(recipe, name, noted)
"""


def write_tiles(folder: Path) -> None:
    """Write 24 PNG tiles of 480x480 with LQ of 120x120: smooth noise, which compresses about as photographs do."""
    generator = np.random.default_rng(0)
    for name in ("gt", "lq"):
        (folder / name).mkdir()
    for number in range(24):
        coarse = generator.integers(0, 256, (60, 60, 3), dtype=np.uint8)
        tile = cv2.resize(coarse, (480, 480), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        tile = (tile + generator.integers(-6, 7, tile.shape)).clip(0, 255).astype(np.uint8)  # (480, 480, 3)
        cv2.imwrite(str(folder / "gt" / f"{number:03}.png"), tile)
        cv2.imwrite(str(folder / "lq" / f"{number:03}.png"), cv2.resize(tile, (120, 120), interpolation=cv2.INTER_AREA))


def write_options(folder: Path, updates: int, batch: int, cache: str, channels_last: bool) -> None:
    """Write the option files of both packages for the same training; the last two are options of srzoo only."""
    adam = {"type": "Adam", "lr": 2e-4, "betas": [0.9, 0.99]}
    crops = {"gt_size": 96, "use_hflip": True, "use_rot": True}
    shared = {"name": "run", "scale": 4}
    theirs = {
        **shared,
        "model_type": "SRModel",
        "num_gpu": 0,
        "manual_seed": 0,
        "datasets": {
            "train": {
                "name": "tiles",
                "type": "PairedImageDataset",
                "dataroot_gt": "gt",
                "dataroot_lq": "lq",
                "io_backend": {"type": "disk"},
                "use_shuffle": True,
                "num_worker_per_gpu": 1,
                "batch_size_per_gpu": batch,
                "dataset_enlarge_ratio": 100,
                "prefetch_mode": None,
                **crops,
            }
        },
        "network_g": {
            "type": "MSRResNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 64, "num_block": 16, "upscale": 4,
        },
        "path": {"pretrain_network_g": None, "resume_state": None},
        "train": {
            "ema_decay": DECAY,
            "optim_g": adam,
            "scheduler": {"type": "MultiStepLR", "milestones": [10**6], "gamma": 0.5},
            "total_iter": updates,
            "warmup_iter": -1,
            "pixel_opt": {"type": "L1Loss", "loss_weight": 1.0, "reduction": "mean"},
        },
        "logger": {"print_freq": 10, "save_checkpoint_freq": 10**6, "use_tb_logger": False},
    }  # fmt: skip
    ours = {
        **shared,
        "network_g": {"type": "SRResNet"},
        "path": {"experiments": "srzoo_runs"},
        "datasets": {
            "train": {
                "type": "PairedImages", "gt": "gt", "lq": "lq", "cache": cache, "batch_size": batch, "num_workers": 1,
                **crops,
            }
        },
        "train": {
            "total_iter": updates,
            "optim_g": adam,
            "ema_decay": DECAY,
            "channels_last": channels_last,
            "losses": {"pixel": {"type": "L1Loss"}},
        },
        "logger": {"print_freq": 10, "save_freq": 10**6, "use_tb_logger": False},
    }  # fmt: skip
    for name, options in (("basicsr", theirs), ("srzoo", ours)):
        (folder / f"{name}.yml").write_text(yaml.safe_dump(options))


def seconds_of_update(folder: Path, code: str) -> tuple[float, float]:
    """Run a training in a fresh interpreter; return the mean time of an update [s], on the wall and of its processor.

    The latter leaves out the loader worker.
    """
    for leftover in ("experiments", "srzoo_runs"):
        if (folder / leftover).exists():
            (folder / leftover).rename(folder / f"{leftover}_{time.time_ns()}")
    # The first updates wait for the loader's start and for caches.
    ending = "\nprint('means', *((last - first) / (len(starts) - 5) for first, last in zip(starts[4], starts[-1])))"
    done = subprocess.run(
        [sys.executable, "-c", code.format(noting=_NOTING) + ending],
        cwd=folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(["", *filter(None, sys.path)])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(f"the training ended with {done.returncode}: {done.stderr[-2000:]}")
    wall, processor = done.stdout.rpartition("means")[2].split()
    return float(wall), float(processor)


def against_basicsr(updates: int, runs: int, batch: int) -> None:
    """Print the time of an update of a whole training in BasicSR and in srzoo, data included."""
    for cache, channels_last in (("none", False), ("auto", False), ("auto", True)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_tiles(folder)
            write_options(folder, updates, batch, cache, channels_last)
            pairs = [
                (seconds_of_update(folder, _BASICSR), seconds_of_update(folder, _SRZOO)) for _ in range(runs)
            ]  # fmt: skip
        cells = []
        for clock, label in enumerate(("wall", "CPU")):
            theirs, ours = ([pair[package][clock] for pair in pairs] for package in (0, 1))
            ratio = statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
            cells.append(
                f"{label} {1000 * statistics.median(theirs):6.1f} {1000 * statistics.median(ours):6.1f} ms "
                f"ratio {ratio:.2f}"
            )
        sys.stdout.write(
            f"SRResNet  x4 {batch}x3x24x24, PNG tiles, 1 worker, cache {cache}, channels_last "
            f"{str(channels_last).lower():5}  BasicSR and srzoo: {'   '.join(cells)}\n"
        )
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--networks", nargs="*", choices=list(NETWORKS), default=list(NETWORKS), help="for the bare loop (default: all)"
    )
    parser.add_argument("--updates", type=int, default=4, help="per run of the bare loop (default: 4)")
    parser.add_argument("--runs", type=int, default=31, help="pairs of runs of the bare loop (default: 31)")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of trainings with BasicSR; 0: none (default: 3)")
    parser.add_argument("--length", type=int, default=25, help="updates of those, at least 6 (default: 25)")
    parser.add_argument("--batch", type=int, default=8, help="of the trainings with BasicSR (default: 8)")
    arguments = parser.parse_args()
    sys.stdout.write(f"torch {torch.__version__}, cpu, {torch.get_num_threads()} threads\n")
    for name in arguments.networks:
        compare(name, arguments.updates, arguments.runs)
    if arguments.pairs and importlib.util.find_spec("basicsr") is None:
        sys.stdout.write("BasicSR is not importable here: not compared\n")
    elif arguments.pairs:
        against_basicsr(arguments.length, arguments.pairs, arguments.batch)


if __name__ == "__main__":
    main()
