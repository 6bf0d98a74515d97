"""`train.accumulate: auto`: micro-batches that fit the memory, found by trial."""

import os
import subprocess
import sys

import pytest
import torch

from srzoo.state import load_state
from srzoo.weights import read_weights
from tests.support import ROOT, run_train, training_options, write_options

# A network whose passes need more memory than there is for more samples than LIMIT.
SMALL_MEMORY = """
import os
import torch
from torch import nn
from srzoo.registry import ARCHS


@ARCHS.register
class Greedy(nn.Module):
    '''One convolution that takes few samples at a time.'''

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3 * scale**2, 3, 1, 1), nn.PixelShuffle(scale))

    def forward(self, lq: torch.Tensor) -> torch.Tensor:
        limit = int(os.environ["LIMIT_" + os.environ.get("RANK", "0")])
        if len(lq) > limit and self.training:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")
        return self.body(lq)
"""


@pytest.fixture
def options(tmp_path):
    (tmp_path / "greedy.py").write_text(SMALL_MEMORY)

    def write(**changes):
        plain = {"plugins": [str(tmp_path / "greedy.py")], "network_g": {"type": "Greedy"}, **changes}
        content = training_options(tmp_path, **plain)
        content["datasets"]["train"]["batch_size"] = 6
        content["network_g"] = plain["network_g"]
        return write_options(tmp_path / "x.yml", content)

    return write


def weights(folder, name):
    return read_weights(folder / "experiments" / name / "models" / "net_g_4.safetensors").tensors


@pytest.mark.parametrize(("limit", "parts"), [(6, 1), (2, 3)])
def test_the_largest_micro_batches_that_fit_are_found(options, tmp_path, capsys, monkeypatch, limit, parts):
    monkeypatch.setenv("LIMIT_0", str(limit))
    file = options()
    assert run_train(file, "train.accumulate=auto") == 0
    assert f"train.accumulate auto: {parts} x {6 // parts} sample(s)" in capsys.readouterr().out
    # The trial leaves no trace in the training.
    assert run_train(file, "name=plain", f"train.accumulate={parts}") == 0
    found, plain = weights(tmp_path, "run"), weights(tmp_path, "plain")
    assert all(torch.equal(found[key], value) for key, value in plain.items())


def test_a_resumed_run_keeps_its_number(options, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIMIT_0", "2")
    file = options()
    assert run_train(file, "train.accumulate=auto", "train.total_iter=2") == 0
    assert load_state(tmp_path / "experiments/run/states/2.state").get("accumulate") == 3
    monkeypatch.setenv("LIMIT_0", "6")
    capsys.readouterr()
    assert run_train(file, "train.accumulate=auto", resume="auto") == 0
    assert "train.accumulate auto: 3 x 2 sample(s)" in capsys.readouterr().out


def test_a_run_out_of_memory_continues_with_more_micro_batches(options, capsys, monkeypatch):
    monkeypatch.setenv("LIMIT_0", "6")
    file = options()
    assert run_train(file, "train.total_iter=2") == 0
    monkeypatch.setenv("LIMIT_0", "3")
    assert run_train(file, resume="auto") == 2
    assert "raise train.accumulate (auto: found by trial)" in capsys.readouterr().err
    assert run_train(file, "train.accumulate=2", resume="auto") == 0
    assert "train.accumulate: 1 then, 2 now: the same samples" in capsys.readouterr().out


def test_memory_for_no_sample_is_an_error_with_advice(options, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LIMIT_0", "0")
    assert run_train(options(), "train.accumulate=auto") == 2
    assert (
        "not even one sample at a time fits the memory of cpu: lower datasets.train.gt_size" in capsys.readouterr().err
    )
    assert not (tmp_path / "experiments").exists()


def test_other_errors_of_a_trial_are_not_taken_for_lack_of_memory(options, tmp_path, monkeypatch):
    file = options()
    plugin = tmp_path / "greedy.py"
    plugin.write_text(plugin.read_text().replace("can't allocate memory", "broken"))
    monkeypatch.setenv("LIMIT_0", "3")
    with pytest.raises(RuntimeError, match="broken"):
        run_train(file, "train.accumulate=auto")


@pytest.mark.ranks
@pytest.mark.slow
def test_the_rank_with_the_least_memory_decides(options, tmp_path):
    file = options()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(ROOT / "srzoo/train.py"), "-opt", str(file), "--set", "train.accumulate=auto"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LIMIT_0": "3", "LIMIT_1": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "train.accumulate auto: 3 x 1 sample(s)" in done.stdout
    assert weights(tmp_path, "run")
