"""What tests share: the reference pack, synthetic published weights, small photographs, option files."""

import json
import os
import shutil
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
import yaml
from torch import Tensor

from srzoo.command import Arguments, execute
from srzoo.images import write_image
from srzoo.weights import load_weights

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SRZOO_SHARED", ROOT.parent / "shared"))

needs_shared = pytest.mark.skipif(
    not (SHARED / "reference" / "index.json").is_file(),
    reason=f"the reference pack is not at {SHARED} (set SRZOO_SHARED)",
)


needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or " " in torch.__path__[0],
    reason="torch.compile needs a C++ compiler, and PyTorch in a path without a space",
)


def reference_case(name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read one case of the reference pack: its index entry and its arrays."""
    index = json.loads((SHARED / "reference" / "index.json").read_text())
    with np.load(SHARED / "reference" / f"{name}.npz") as arrays:
        return index[name], dict(arrays)


def reference_input(case: dict[str, Any]) -> Tensor:
    """Return the input that a case's outputs were computed from."""
    return torch.from_numpy(np.random.default_rng(case["seed"]).random(case["input_shape"], dtype=np.float32))


def synthetic_weights(keys: dict[str, tuple[str, list[int]]]) -> dict[str, Tensor]:
    """Make weights from their own key names, by the rule of the reference pack's README."""
    weights = {}
    for key, (_, shape) in keys.items():
        values = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
        if len(shape) >= 2:
            values *= 0.8 / np.sqrt(np.prod(shape[1:]))
        elif key.endswith("bias"):
            values *= 0.05
        else:
            values = 1 + 0.1 * values
        weights[key] = torch.from_numpy(np.asarray(values, dtype=np.float32))
    return weights


def assert_published(net: torch.nn.Module, case: str, *, keys_of: str = "", tolerance: float = 1e-5) -> None:
    """`net` with a case's synthetic weights gives the published outputs and, where known, input gradient.

    A network with several outputs has them along dimension 1. `keys_of` names another case that lists the keys.
    """
    index, _ = reference_case(keys_of or case)
    load_weights(net, synthetic_weights(index["keys"]))
    assert_same_output(net, case, index, tolerance)


def assert_same_output(net: torch.nn.Module, case: str, index: dict[str, Any], tolerance: float = 1e-5) -> None:
    """Check as :func:`assert_published` does, with the weights that the network has."""
    with np.load(SHARED / "reference" / f"{case}.npz") as file:
        arrays = dict(file)
    lq = reference_input(index).to(next(net.parameters()).dtype).requires_grad_()
    sr = net(lq)
    outputs = sr.unbind(1) if sr.ndim == 5 else (sr,)
    expected = [arrays[name] for name in sorted(arrays) if name.startswith("y")]
    assert len(outputs) == len(expected)
    total = torch.zeros(())
    for number, (output, array) in enumerate(zip(outputs, expected, strict=True)):
        np.testing.assert_allclose(output.detach().numpy(), array, atol=tolerance, rtol=0)
        probe = np.random.default_rng(index["seed"] + 1000 + number).random(output.shape, dtype=np.float32)
        total = total + (output * torch.from_numpy(probe)).sum()
    if "dx" in arrays:
        total.backward()
        assert lq.grad is not None
        largest = np.abs(arrays["dx"]).max()
        np.testing.assert_allclose(lq.grad.numpy() / largest, arrays["dx"] / largest, atol=tolerance, rtol=0)


def parameter_count(net: torch.nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def photograph(height: int = 96, width: int = 120, top: int = 100, left: int = 140) -> np.ndarray:
    """Return a window of a real photograph, (height, width, 3) uint8."""
    return np.ascontiguousarray(skimage.data.astronaut()[top : top + height, left : left + width])


def all_ended(group: int, seconds: float) -> bool:
    """Return whether all processes of a group have ended, after at most so many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.1)


def write_photographs(folder: Path, count: int = 4, height: int = 96, width: int = 120) -> list[Path]:
    """Different windows of a photograph as PNG files."""
    paths = [folder / f"{number:02}.png" for number in range(count)]
    for number, path in enumerate(paths):
        write_image(path, photograph(height, width, top=40 * number, left=30 * number))
    return paths


def training_options(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return the options of a small but complete training: IMDN_RTC x2 on photographs written below `folder`."""
    if not (folder / "train").is_dir():
        write_photographs(folder / "train", 5)
        write_image(folder / "val" / "held_out.png", skimage.data.chelsea()[:64, :72])
        write_image(folder / "val" / "held_out_2.png", skimage.data.coffee()[:50, :60])
    options = {
        "name": "run",
        "scale": 2,
        "network_g": {"type": "IMDN_RTC", "num_modules": 1},
        "path": {"experiments": str(folder / "experiments")},
        "datasets": {
            "train": {
                "type": "GTImages",
                "gt": str(folder / "train"),
                "gt_size": 32,
                "batch_size": 4,
                "num_workers": 0,
                "use_hflip": True,
                "use_rot": True,
            },
            "val": {"held_out": {"type": "GTImages", "gt": str(folder / "val")}},
        },
        "train": {
            "total_iter": 4,
            "optim_g": {"type": "Adam", "lr": 1e-3},
            "ema_decay": 0.9,
            "losses": {"pixel": {"type": "L1Loss"}},
        },
        "val": {"metrics": {"psnr": {"type": "PSNR"}, "ssim": {"type": "SSIM"}}},
        "logger": {"print_freq": 2, "save_freq": 2, "use_tb_logger": False},
    }
    return merged(options, changes)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Nested dicts laid over each other; None removes."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def learner(net, lr=1e-3, *, type="Adam", schedule=None, iteration=None, **options):
    """Make a learner of `net` with an optimiser of torch and, unless given, a constant rate."""
    from srzoo.optim.learner import Learner
    from srzoo.optim.schedules import Constant, Iteration
    from srzoo.registry import OPTIMIZERS

    optimizer = OPTIMIZERS.build(type, {"lr": lr}, params=net.parameters())
    return Learner(net, optimizer, schedule or Constant(), iteration=iteration or Iteration(), **options)


def criterion(**losses):
    """name=(loss, weight) as one criterion."""
    from srzoo.losses.criterion import Criterion

    return Criterion({name: loss for name, (loss, _) in losses.items()}, {n: w for n, (_, w) in losses.items()})


def write_options(path: Path, options: dict[str, Any]) -> Path:
    """Write an option file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(options, sort_keys=False))
    return path


def trainings(file: Path) -> dict[str, Any]:
    """Load every training of an option file: the only one (under ""), stages of a chain, or variants of a study."""
    from srzoo.chain import weights_after
    from srzoo.options import is_study, load_chain, load_study

    if not is_study(file):
        return dict(load_chain(file, (), weights_after))
    runs = load_study(file, (), weights_after).runs
    return {run.variant: run.training for run in reversed(runs)}


def run_train(
    file: Path, *overrides: str, resume: str = "none", debug: bool = False, accept_changes: bool = False
) -> int:
    """train.py in this process; the exit code."""
    from srzoo.train import train

    arguments = {"resume": resume, "debug": debug, "accept_changes": accept_changes}
    return execute(train, Arguments(opt=file, set=list(overrides), **arguments))


def run_test(file: Path, *overrides: str, overwrite: bool = False, debug: bool = False) -> int:
    """test.py in this process; the exit code."""
    from srzoo.test import test

    return execute(test, Arguments(opt=file, set=list(overrides), overwrite=overwrite, debug=debug))
