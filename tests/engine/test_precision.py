"""Whole runs in each precision: close to float32, resumed exactly, kept on resuming; deterministic runs."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import safetensors.torch
import torch

from srzoo.optim import compilation
from srzoo.optim.precision import set_process
from srzoo.state import load_state
from tests.engine.test_sharding import run
from tests.support import ROOT, needs_compiler, run_test, run_train, training_options, write_options


@pytest.fixture(autouse=True)
def _the_process_is_as_before():
    yield
    set_process("fp32", deterministic=False)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.fixture
def options(tmp_path):
    def write(**changes):
        return write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))

    return write


def weights(tmp_path, name, step=4):
    return safetensors.torch.load_file(tmp_path / "experiments" / name / "models" / f"net_g_{step}.safetensors")


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("precision", "accumulate"),
    [
        ("tf32", 1),
        ("bf16", 1),
        pytest.param("bf16", 2, marks=pytest.mark.slow),
        pytest.param("fp16", 1, marks=pytest.mark.slow),
    ],
)
def test_a_run_in_each_precision_resumes_exactly(options, tmp_path, precision, accumulate):
    file = options(
        precision=precision, train={"accumulate": accumulate}, network_g={"type": "SRResNet", "num_block": 1}
    )
    file.write_text(file.read_text().replace("  num_modules: 1\n", ""))
    assert run_train(file, "name=whole") == 0
    assert run_train(file, "name=halves", "train.total_iter=2") == 0
    assert run_train(file, "name=halves", resume="auto") == 0
    assert equal(weights(tmp_path, "whole"), weights(tmp_path, "halves"))
    steps: list[Any] = [
        load_state(tmp_path / "experiments" / name / "states" / "4.state")["model"]["step_g"]
        for name in ("whole", "halves")
    ]
    assert steps[0].get("scaler") == steps[1].get("scaler")
    assert ("scaler" in steps[0]) == (precision == "fp16")
    assert run_train(file, "name=plain", "precision=fp32") == 0
    plain = weights(tmp_path, "plain")
    for key, value in weights(tmp_path, "whole").items():
        assert value.dtype == torch.float32
        # Adam's first updates have the size of the learning rate, whatever the gradient.
        torch.testing.assert_close(value, plain[key], rtol=0, atol=8e-3)
    assert equal(weights(tmp_path, "whole"), plain) == (precision == "tf32")


@pytest.mark.ranks
@pytest.mark.slow
def test_two_processes_in_fp16_equal_one(options, tmp_path):
    file = options(precision="fp16", train={"optim_g": {"type": "SGD", "lr": 0.05}, "accumulate": 2})
    assert run_train(file, "name=one") == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launcher, str(ROOT / "srzoo" / "train.py"), "-opt", str(file), "--set", "name=two", "train.accumulate=1"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    one, two = (weights(tmp_path, name) for name in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=1e-5)


OVERFLOWING = '''
"""A small network whose features leave the range of fp16 for images that are not dark."""
import torch
from torch import nn
from srzoo.registry import ARCHS

@ARCHS.register
class Overflowing(nn.Module):
    """Two convolutions, (B, C, h, w) -> (B, C, scale*h, scale*w)."""

    half_safe = ("float16",)

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3 * scale**2, 3, 1, 1), nn.PixelShuffle(scale), nn.Dropout(0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        factor = torch.where(x.mean((1, 2, 3), keepdim=True) > 0.7, 1e6, 1.0)
        return self.body(x * factor) / factor
'''


@pytest.fixture
def overflowing(options, tmp_path):
    """Options of a training in fp16 some of whose passes overflow."""
    (tmp_path / "overflowing.py").write_text(OVERFLOWING)
    sgd = {"optim_g": {"type": "SGD", "lr": 0.05}, "total_iter": 4}
    network = {"type": "Overflowing", "num_modules": None}
    # One crop decides, so that ranks differ.
    return options(
        precision="fp16",
        train=sgd,
        network_g=network,
        plugins=["overflowing.py"],
        datasets={"train": {"batch_size": 2, "gt_size": 16}},
    )


def again(folder, name):
    """Numbers of passes computed again, and of all passes of those intervals."""
    log = (folder / "experiments" / name / "train.log").read_text()
    return re.findall(r"(\d+) of (\d+) forward passes overflowed in fp16 and were computed again", log)


def test_a_run_whose_passes_overflow_resumes_exactly(overflowing, tmp_path):
    assert run_train(overflowing, "name=whole") == 0
    assert run_train(overflowing, "name=halves", "train.total_iter=2") == 0
    assert run_train(overflowing, "name=halves", resume="auto") == 0
    assert equal(weights(tmp_path, "whole"), weights(tmp_path, "halves"))
    found = again(tmp_path, "whole")
    assert found == again(tmp_path, "halves") != []
    assert {passes for _, passes in found} == {"2"}
    assert any(number != "2" for number, _ in found)


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_ranks_agree_on_passes_that_overflow(overflowing, tmp_path, parallel):
    without_masks = tmp_path / "overflowing.py"  # which differ between ranks
    without_masks.write_text(OVERFLOWING.replace("Dropout(0.1)", "Dropout(0.0)"))
    assert run_train(overflowing, "name=one") == 0
    run(tmp_path, "two", f"parallel={parallel}", num_ranks=2)
    assert again(tmp_path, "one") == again(tmp_path, "two") != []
    one, two = (weights(tmp_path, name) for name in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=1e-5)


def test_a_discriminator_without_a_statement_stays_in_float32(options, tmp_path):
    adversarial = {
        "network_d": {"type": "UNetDiscriminatorSN", "num_feat": 8},
        "model": {"type": "GANModel"},
        "precision": "bf16",
        "train": {"optim_d": {"type": "Adam", "lr": 1e-3}, "losses": {"gan": {"type": "GANLoss", "weight": 0.1}}},
    }
    file = options(**adversarial)
    assert run_train(file, "name=whole") == 0
    assert run_train(file, "name=halves", "train.total_iter=2") == 0
    assert run_train(file, "name=halves", resume="auto") == 0
    assert equal(weights(tmp_path, "whole"), weights(tmp_path, "halves"))
    log = (tmp_path / "experiments" / "whole" / "train.log").read_text()
    assert log.count("UNetDiscriminatorSN is not known to be safe in bfloat16") == 1
    assert "IMDN_RTC is not known" not in log


@pytest.mark.parametrize(("key", "value"), [("precision", "bf16"), ("deterministic", "true")])
def test_a_resumed_run_keeps_its_arithmetic(options, capsys, key, value):
    file = options()
    assert run_train(file, "train.total_iter=2") == 0
    assert run_train(file, f"{key}={value}", resume="auto") == 2
    assert f"{key}: " in capsys.readouterr().err
    assert run_train(file, "val.precision=bf16", resume="auto") == 0


def test_an_unsafe_network_trains_in_float32_with_a_notice(options, tmp_path):
    file = options(network_g={"type": "RT4KSR", "num_modules": None})
    assert run_train(file, "name=plain") == 0
    assert run_train(file, "name=half", "precision=bf16", "val.precision=bf16") == 0
    assert equal(weights(tmp_path, "plain"), weights(tmp_path, "half"))
    log = (tmp_path / "experiments" / "half" / "train.log").read_text()
    assert log.count(" precision bf16: RT4KSR is not known to be safe in bfloat16") == 1
    assert log.count(" val.precision bf16: RT4KSR is not known to be safe in bfloat16") == 1


def test_scores_in_half_precision_are_close_and_say_so(options, tmp_path):
    assert run_train(options()) == 0
    trained = tmp_path / "experiments" / "run" / "models" / "net_g_4.safetensors"
    changes = {"train": None, "datasets": {"train": None, "test": {"held_out": {"type": "GTImages"}}}}
    changes["datasets"]["test"]["held_out"]["gt"] = str(tmp_path / "val")
    changes["path"] = {"pretrain_network_g": str(trained)}
    file, scores = options(**changes), {}
    for precision in ("fp32", "bf16", "fp16"):
        assert run_test(file, f"name={precision}", f"val.precision={precision}") == 0
        results = json.loads((tmp_path / "experiments" / precision / "results" / "held_out.json").read_text())
        scores[results["inference"]["precision"]] = results["mean"]["psnr"]
    assert scores.keys() == {"float32", "bfloat16", "float16"}
    assert scores["bfloat16"] == pytest.approx(scores["float32"], abs=0.05)
    assert scores["float16"] == pytest.approx(scores["float32"], abs=0.005)


def test_seeds_decide_a_deterministic_run(options, tmp_path):
    file = options(deterministic=True, network_g={"type": "SRResNet", "num_modules": None, "num_block": 1})
    for name, seed in (("a", 0), ("b", 0), ("c", 1), ("d", 2)):
        assert run_train(file, f"name={name}", f"seed={seed}") == 0
        assert torch.are_deterministic_algorithms_enabled()
    assert equal(weights(tmp_path, "a"), weights(tmp_path, "b"))
    runs = [weights(tmp_path, name) for name in "acd"]
    assert not any(equal(runs[first], runs[second]) for first, second in ((0, 1), (0, 2), (1, 2)))


def test_channels_last_auto_follows_the_network(options, monkeypatch):
    seen = []
    monkeypatch.setattr(torch.nn.Module, "to", _spy(torch.nn.Module.to, seen))
    for network in ({"type": "IMDN_RTC"}, {"type": "RT4KSR", "num_modules": None}):
        assert run_train(options(network_g=network), f"name={network['type']}", "train.channels_last=auto") == 0
    assert [name for name, kwargs in seen if kwargs.get("memory_format") is torch.channels_last] == ["IMDN_RTC"]


def _spy(to, seen):
    def spied(self, *args, **kwargs):
        seen.append((type(self).__name__, kwargs))
        return to(self, *args, **kwargs)

    return spied


def test_a_missing_compiler_is_reported_before_the_run_folder_is_made(options, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compilation.shutil, "which", lambda command: None)  # noqa: ARG005
    assert run_train(options(compile=True)) == 2
    assert "torch.compile needs a C++ compiler" in capsys.readouterr().err
    monkeypatch.setattr(compilation.shutil, "which", lambda command: command)
    monkeypatch.setattr(torch, "__path__", ["/my programs/torch"])
    assert run_train(options(compile=True)) == 2
    assert "a folder whose path has a space (/my programs/torch)" in capsys.readouterr().err
    assert not (tmp_path / "experiments").exists()


@pytest.mark.slow
@needs_compiler
def test_a_compiled_run_trains_resumes_and_scores_as_a_plain_one(options, tmp_path):
    file = options(datasets={"train": {"batch_size": 2}})
    assert run_train(file, "name=plain") == 0
    assert run_train(file, "name=whole", "compile=true") == 0
    assert run_train(file, "name=halves", "compile=true", "train.total_iter=2") == 0
    assert run_train(file, "name=halves", "compile=true", resume="auto") == 0
    assert run_train(file, "name=halves", "train.total_iter=6", resume="auto") == 2
    plain, whole = weights(tmp_path, "plain"), weights(tmp_path, "whole")
    assert equal(whole, weights(tmp_path, "halves"))
    assert plain.keys() == whole.keys()
    for key, value in plain.items():
        torch.testing.assert_close(whole[key], value, rtol=0, atol=1e-3)
    scores = [
        json.loads((tmp_path / "experiments" / name / "results" / "held_out.json").read_text())
        for name in ("plain", "whole")
    ]
    assert scores[1]["mean"]["psnr"] == pytest.approx(scores[0]["mean"]["psnr"], abs=0.05)
    assert scores[1]["inference"]["precision"] == "float32, compiled"
