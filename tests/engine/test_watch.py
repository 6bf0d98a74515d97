"""Trainings that stop early with everything saved: signals, the time budget, and saves in between."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from srzoo import inputs, ranks
from srzoo.engine import watch as watch_module
from srzoo.engine.loop import Progress
from srzoo.engine.watch import EXIT_STOPPED, Watch
from srzoo.state import load_state
from srzoo.stop_signals import COPIES, SIGNALS
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
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=hear_signals,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def hear_signals():
    """Undo what a program that runs the tests, such as nohup, has ignored."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


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
    # In new processes, too: the threads and libraries of this one, which has run other tests, may round otherwise.
    for arguments in (["--resume", "auto"], ["--set", "name=whole"]):
        with training(tmp_path, "--set", total, *arguments) as process:
            said = process.communicate()[0]
            assert process.returncode == 0, said
    ends: list[Any] = [
        load_state(tmp_path / "experiments" / name / "states" / f"{step + 2}.state") for name in ("run", "whole")
    ]
    for name in ("net_g", "net_g_ema"):
        networks = [end["model"][name] for end in ends]
        for key, value in networks[0].items():
            torch.testing.assert_close(
                value, networks[1][key], rtol=0, atol=0, msg=lambda text, key=key: f"{key}: {text}"
            )


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


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_before_the_first_update_ends_at_once_and_loses_nothing(tmp_path, capsys, monkeypatch, number):
    file = options(tmp_path)
    assert run_train(file, "train.total_iter=2") == 0
    with monkeypatch.context() as patch:
        build = inputs.checked_inputs
        patch.setattr(inputs, "checked_inputs", lambda *all_of: (os.kill(os.getpid(), number), build(*all_of))[1])
        patch.setattr("sys.__stderr__", None)
        assert run_train(file, resume="auto") == EXIT_STOPPED
    assert "updates done" not in capsys.readouterr().out.partition("2 of 2 updates done")[2]
    assert [path.name for path in (tmp_path / "experiments" / "run" / "states").iterdir()] == ["2.state"]
    assert run_train(file, resume="auto") == 0


def test_copies_of_a_signal_within_three_seconds_are_not_a_second_one(monkeypatch):
    now, sent = [100.0], []
    monkeypatch.setattr(watch_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    watch = Watch()
    with watch.listening(), monkeypatch.context() as patch:
        signal.raise_signal(signal.SIGTERM)
        patch.setattr(os, "kill", lambda _, number: sent.append(number))
        now[0] += COPIES - 0.1
        signal.raise_signal(signal.SIGTERM)
        assert sent == []
        now[0] += 0.2
        signal.raise_signal(signal.SIGUSR1)
        assert sent == [signal.SIGUSR1]
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        assert watch.requested() == signal.SIGTERM


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
        wait_for(process, "SIGTERM: saving after this update; a second signal, 3 s later or more, ends the process")
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
        assert process.returncode == -signal.SIGTERM


@pytest.fixture
def slow_clock(monkeypatch):
    """A clock of the watch alone that each look at it takes 20 s further; the process starts with it."""
    clock = iter(range(0, 100_000, 20))
    monkeypatch.setattr(watch_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(watch_module, "_age", lambda: 0.0)


@pytest.mark.usefixtures("slow_clock")
def test_a_time_budget_saves_and_stops(tmp_path, capsys):
    assert run_train(options(tmp_path, **LONG), f"train.max_time={70 / 3600}") == EXIT_STOPPED
    assert "train.max_time is used up: stopped after 2 of 100000 updates" in capsys.readouterr().out
    assert state_of(tmp_path)["step"] == 2


def test_the_time_budget_counts_from_the_start_of_the_process():
    code = (
        "import os, time; from srzoo.engine import watch; time.sleep(0.2); own = watch._age()\n"
        "os.environ['TORCHELASTIC_RUN_ID'] = 'x'; print(own, watch._age())"  # then it is that of its parent
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    own, of_parent = map(float, done.stdout.split())
    tick = 0.02  # the system counts in hundredths
    assert 0.2 - tick <= own <= time.monotonic() - started + tick
    assert of_parent == pytest.approx(watch_module._age(), abs=time.monotonic() - started + tick)


@pytest.mark.usefixtures("slow_clock")
def test_minutes_since_the_last_save_save_too(tmp_path):
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
