"""Tiny trainings of every recipe, forked from a program that has imported PyTorch, so that one takes about a second.

The program must have a single thread: call :func:`import_all` before the first training.
"""

import contextlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
import torch._dynamo  # optimisers import it when they are built, which takes seconds
import torch.distributed
import yaml

from srzoo import chain, components, registry, training
from srzoo.command import Arguments, execute
from srzoo.images import write_image
from srzoo.train import train

TOTAL = 8  # updates of a training
HUNG = -1000  # exit code of a training that was ended because it took too long

_SRRESNET = {"type": "SRResNet", "num_feat": 8, "num_block": 2, "init": "torch"}
_STAGES = [{"type": "Blur"}, {"type": "GaussianNoise", "sigma_range": [1, 20]}, {"type": "Resize"}]
_GAN = {
    "model": {"type": "GANModel"},
    "network_g": _SRRESNET,
    "network_d": {"type": "UNetDiscriminatorSN", "num_feat": 8},
    "train": {
        "optim_d": {"type": "Adam", "lr": 1e-4},
        "losses": {"pixel": {"type": "L1Loss"}, "gan": {"type": "GANLoss", "weight": 0.1}},
    },
}
_D2C = {
    "model": {
        "type": "D2CModel",
        "unit": "updates",
        "divergence_start": 0,
        "divergence_every": 1,
        "divergence_length": 1,
    },
    "network_g": {"type": "D2CNet", "num_feat": 16, "num_group": 1, "num_block": 1},
    "train": {"losses": {"pixel": {"type": "L1Loss"}, "divergence": {"type": "DivergenceLoss", "margin": 1.0}}},
}
# name -> options laid over those that all tiny trainings share.
RECIPES: dict[str, dict[str, object]] = {
    "sr": {"network_g": {"type": "IMDN_RTC", "num_modules": 1}},
    "gan": _GAN,
    "d2c": _D2C,
    "pool": {"network_g": _SRRESNET, "degradation": {"pool": 8, "stages": _STAGES}},
    "accumulate": {"network_g": _SRRESNET, "train": {"accumulate": 2, "grad_clip": 1.0}},
    "dropout": {"network_g": {**_SRRESNET, "dropout": {"mode": "channel", "prob": 0.5, "position": "last"}}},
}


def import_all() -> None:
    """Import the rest of srzoo, its plugins included, and keep this process to one thread: forking asks for that."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    assert chain
    assert components
    assert training
    for family in vars(registry).values():
        if isinstance(family, registry.Registry):
            assert list(family)  # plugins are imported when a registry is first looked at


def write_images(folder: Path) -> None:
    """Write five training images and one validation image of smooth noise."""
    generator = np.random.default_rng(0)
    for name, side in [(f"train/{number}", 72) for number in range(5)] + [("val/0", 40)]:
        noise = generator.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        write_image(folder / f"{name}.png", cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC))


def write_recipe(folder: Path, recipe: str, images: Path) -> Path:
    """Write the option file of a recipe, whose run folder will be `folder`/run; return its path."""
    changes = RECIPES[recipe]
    train_set = {"type": "GTImages", "gt": str(images / "train"), "gt_size": 32, "batch_size": 4, "use_hflip": True}
    options = {
        "name": "run",
        "scale": 2,
        "path": {"experiments": str(folder)},
        "datasets": {"train": train_set, "val": {"held_out": {"type": "GTImages", "gt": str(images / "val")}}},
        "val": {"val_freq": 4, "metrics": {"psnr": {"type": "PSNR"}}},
        "logger": {"print_freq": 1, "save_freq": 2, "use_tb_logger": False},
        **changes,
        "train": {
            "total_iter": TOTAL,
            "optim_g": {"type": "Adam", "lr": 1e-3},
            "ema_decay": 0.9,
            "losses": {"pixel": {"type": "L1Loss"}},
            **(changes.get("train") or {}),  # pyright: ignore[reportGeneralTypeIssues]  # a mapping in all recipes
        },
    }
    file = folder / "options.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(options), encoding="utf-8")
    return file


class TinyTraining:
    """A training with one or two ranks in forked processes, each with its loader workers in a process group.

    Args:
        file: option file.
        output: file to which what the ranks print is appended.
        num_ranks: number of ranks; several are set up as torchrun does it.
        num_workers: loader workers per rank.
        prepare: called in rank 0 before the training.
    """

    def __init__(
        self, file: Path, output: Path, *, num_ranks: int, num_workers: int, prepare: Callable[[], object] | None = None
    ) -> None:
        workers = f"datasets.train.num_workers={num_workers}"
        arguments = Arguments(opt=file, set=[workers], resume="auto", debug=False, accept_changes=False)
        port = _free_port() if num_ranks > 1 else 0
        self.pids: list[int] = []
        self.codes: dict[int, int] = {}
        for rank in range(num_ranks):
            ranked = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_ranks, "MASTER_PORT": port}
            environment = {name: str(value) for name, value in ranked.items()} if num_ranks > 1 else {}
            self.pids.append(_fork(arguments, output, environment, prepare if rank == 0 else None))

    def wait(self, seconds: float) -> bool:
        """Return True once all ranks have ended, False if some run on after `seconds`.

        If a rank fails, the others get SIGTERM and after ten seconds SIGKILL, as from torchrun.
        """
        until, failed = time.monotonic() + seconds, 0.0
        while True:
            for pid in set(self.pids) - self.codes.keys():
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self.codes[pid] = os.waitstatus_to_exitcode(status)
            if len(self.codes) == len(self.pids):
                return True
            now = time.monotonic()
            if not failed and any(self.codes.values()):
                failed = now
                self.signal(signal.SIGTERM)
            if failed and now - failed > 10:
                self.kill()
            if now >= until:
                return False
            time.sleep(0.005)

    def signal(self, number: int) -> None:
        """Send a signal to the ranks that still run, not to their loader workers."""
        for pid in set(self.pids) - self.codes.keys():
            os.kill(pid, number)

    def kill(self) -> None:
        """End ranks and workers by SIGKILL, all at once."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Return the process ids of the ranks' loader workers."""
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                found += [int(status.parent.name)] if parent in self.pids else []
        return sorted(found)

    def finish(self, longest: float) -> int:
        """Wait for the end and return the first exit code that is not 0, or HUNG after `longest` seconds."""
        hung = not self.wait(longest)
        self.kill()  # workers that outlived their rank too
        self.wait(10)
        return HUNG if hung else next((code for code in self.codes.values() if code), 0)


def _fork(
    arguments: Arguments, output: Path, environment: Mapping[str, str], prepare: Callable[[], object] | None
) -> int:
    """Start a training in a forked process that leads a process group; return its process id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)  # both sides set it: neither knows which comes first
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        for stream in (1, 2):
            os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT), stream)
        os.environ.update({"MASTER_ADDR": "127.0.0.1", **environment})
        if prepare is not None:
            prepare()
        code = execute(train, arguments)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # not through the program that was forked


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
