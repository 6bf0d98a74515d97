"""Trainings that stop early with everything saved: signals, the time budget, and saves in between."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from srzoo import ranks
from srzoo.engine import watch as watch_module
from srzoo.engine.loop import Progress
from srzoo.engine.watch import EXIT_STOPPED, Watch
from srzoo.signals import SIGNALS
from srzoo.state import load_state
from tests.support import ROOT, run_train, training_options, write_options

# Longer than any test waits: what ends the training is the signal.
LONG = {"train": {"total_iter": 100_000}, "logger": {"print_freq": 1, "save_freq": 50_000}}


def options(folder, **changes):
    return write_options(folder / "x.yml", training_options(folder, **changes))


@contextmanager
def training(folder, *arguments, num_ranks=1):
    """Start train.py in a process group of its own; it is killed in the end."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_ranks}"] * (num_ranks > 1)
    command = [sys.executable, *torchrun, ROOT / "srzoo" / "train.py", "-opt", folder / "x.yml", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_for(process, text):
    """Read the output up to the first line with a text."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    pytest.fail("".join(lines))


def state_of(folder):
    (path,) = (folder / "experiments" / "run" / "states").iterdir()
    return load_state(path)


@pytest.mark.parametrize(
    "number",
    [pytest.param(number, id=number.name, marks=[pytest.mark.slow] * (number != signal.SIGTERM)) for number in SIGNALS],
)
def test_a_signal_saves_and_the_run_continues_bit_for_bit(tmp_path, number):
    options(tmp_path, datasets={"train": {"num_workers": 1 if number == signal.SIGTERM else 0}}, **LONG)
    with training(tmp_path) as process:
        wait_for(process, "[     3/100000]")
        # To all its processes, as SLURM and a terminal do; loader workers must survive it.
        os.killpg(process.pid, number)
        said = process.communicate()[0]
        assert process.returncode == EXIT_STOPPED, said
    stopped = state_of(tmp_path)
    step = stopped["step"]
    state = tmp_path / "experiments" / "run" / "states" / f"{step}.state"
    assert f"{number.name}: stopped after {step} of 100000 updates; {state} has everything" in said
    assert "Traceback" not in said
    assert (tmp_path / "experiments" / "run" / "models" / f"net_g_{step}.safetensors").is_file()
    total = f"train.total_iter={step + 2}"
    assert run_train(tmp_path / "x.yml", total, resume="auto") == 0
    assert run_train(tmp_path / "x.yml", total, "name=whole") == 0
    ends: list[Any] = [
        load_state(tmp_path / "experiments" / name / "states" / f"{step + 2}.state") for name in ("run", "whole")
    ]
    networks = [end["model"]["net_g_ema"] for end in ends]
    assert all(torch.equal(value, networks[1][key]) for key, value in networks[0].items())


@pytest.mark.ranks
@pytest.mark.slow
def test_all_ranks_stop_after_the_same_update(tmp_path):
    options(tmp_path, **LONG)
    with training(tmp_path, num_ranks=2) as process:
        wait_for(process, "[     3/100000]")
        os.kill(process.pid, signal.SIGTERM)  # torchrun passes it on
        said = process.communicate()[0]
        assert process.returncode != 0
    assert f"SIGTERM: stopped after {state_of(tmp_path)['step']} of 100000 updates" in said


@pytest.mark.slow
def test_a_second_signal_ends_the_process_at_once(tmp_path):
    # The update never ends.
    options(tmp_path, **LONG, plugins=[str(tmp_path / "stuck.py")])
    (tmp_path / "stuck.py").write_text(
        "import time\nfrom srzoo.registry import LOSSES\nfrom torch import nn\n"
        "@LOSSES.register\nclass Stuck(nn.Module):\n    def __init__(self) -> None:\n        super().__init__()\n"
        "    def forward(self, sr, gt):\n        print('inside the loss', flush=True)\n        time.sleep(1000)\n"
    )
    with training(tmp_path, "--set", "train.losses.pixel.type=Stuck") as process:
        wait_for(process, "inside the loss")
        process.send_signal(signal.SIGTERM)
        wait_for(process, "SIGTERM: saving after this update; a second signal ends the process at once")
        process.send_signal(signal.SIGTERM)  # a copy, as torchrun sends it
        time.sleep(3.2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM


@pytest.mark.slow
def test_a_time_budget_saves_and_stops(tmp_path, capsys):
    file = options(tmp_path, **LONG)
    assert run_train(file, f"train.max_time={(watch_module._age() + 4) / 3600}") == EXIT_STOPPED
    step = state_of(tmp_path)["step"]
    assert step > 1
    assert f"train.max_time is used up: stopped after {step} of 100000 updates" in capsys.readouterr().out


def test_minutes_since_the_last_save_save_too(monkeypatch, tmp_path):
    clock = iter(range(0, 100_000, 20))  # seconds; every look at it takes 20
    monkeypatch.setattr(watch_module.time, "monotonic", lambda: next(clock))
    assert run_train(options(tmp_path, logger={"save_freq": 100, "save_minutes": 1}, train={"total_iter": 8})) == 0
    steps = sorted(int(path.stem) for path in (tmp_path / "experiments" / "run" / "states").iterdir())
    assert len(steps) == 3
    assert steps[-1] == 8


def test_a_validation_is_interrupted_and_repeated_by_the_resumed_run(tmp_path, monkeypatch, capsys):
    asked = []

    def requested(_):
        asked.append(1)
        return signal.SIGTERM if len(asked) == 4 else 0  # after two updates, before the second image

    file = options(tmp_path, val={"val_freq": 2}, logger={"save_freq": 100})
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "requested", requested)
        assert run_train(file) == EXIT_STOPPED
    assert "SIGTERM: stopped after 2 of 4 updates" in capsys.readouterr().out
    assert not (tmp_path / "experiments" / "run" / "results").exists()
    assert run_train(file, resume="auto") == 0
    said = capsys.readouterr().out
    assert said.index("[2] held_out: psnr") < said.index("[4] held_out: psnr")


def test_torchrun_starts_again_from_the_last_state(tmp_path, monkeypatch, capsys):
    file = options(tmp_path)
    assert run_train(file, "train.total_iter=2") == 0
    assert run_train(file) == 2
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert run_train(file) == 0
    assert "at step 2" in capsys.readouterr().out


def test_handlers_of_signals_end_with_the_training():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Watch().listening():
        assert signal.getsignal(signal.SIGUSR1) != before[-1]
        os.kill(os.getpid(), signal.SIGUSR1)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_watch_without_limits_asks_for_nothing():
    watch = Watch()
    for step in range(3):
        watch(step, Progress())
        assert (watch.stop, watch.save_now) == (0, False)
    assert ranks.Vote().finish() == []
