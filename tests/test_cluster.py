"""Launchers: several ranks, several machines, signals, SLURM with stand-ins for its programs."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import safetensors.torch
import torch

from tests.support import ROOT, run_train, training_options, write_options

# A training that only notes its arguments and signals. With `wait` among the arguments it runs until a signal.
STAND_IN = """
import os, pathlib, signal, sys, time
here = pathlib.Path.cwd() / f"rank_{os.environ['RANK']}"
log = lambda text: here.open("a").write(text + "\\n")
received = []
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: received.append(number))
log(repr(sys.argv[1:]) + " of " + os.environ["WORLD_SIZE"] + " start " + os.environ["TORCHELASTIC_RESTART_COUNT"])
if "fail" in sys.argv and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
    # A rank that fails ends the others, which are to have noted their start before.
    while sum(file.stat().st_size > 0 for file in here.parent.glob("rank_*")) < int(os.environ["WORLD_SIZE"]):
        time.sleep(0.05)
    sys.exit(1)
while "wait" in sys.argv and not received:
    time.sleep(0.05)
time.sleep(0.3)
log(" ".join(signal.Signals(number).name for number in received) or "done")
sys.exit(75 if received else 0)
"""
SRUN = """#!/bin/bash
echo "srun $*" >> slurm.log
while [[ $1 == --* ]]; do shift; done
for ((task = 0; task < ${SLURM_JOB_NUM_NODES:-1}; task++)); do "$@" & tasks+=($!); done
trap 'kill -s USR1 "${tasks[@]}"; again=1' USR1
for task in "${tasks[@]}"; do
    while again=; wait "$task"; code=$?; [ -n "$again" ]; do :; done
    ((code <= worst)) || worst=$code
done
exit $((worst))
"""
SCONTROL = '#!/bin/bash\necho "scontrol $*" >> slurm.log\n[ "$1" != show ] || echo localhost\n'


@pytest.fixture
def start(tmp_path):
    """Start a script of a checkout in the folder `work`, with stand-ins for SLURM's programs on the path."""
    started = []
    (tmp_path / "work").mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)

    def run(checkout, script, *arguments, **variables):
        # Variables of the machine that runs the tests, such as those of a SLURM job, stay out.
        environment = {
            "HOME": str(tmp_path),
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
        }
        environment |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", **variables}
        process = subprocess.Popen(
            ["bash", str(checkout / "scripts" / script), *map(str, arguments)],
            cwd=tmp_path / "work", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()


@pytest.fixture
def checkout(tmp_path):
    """Make a checkout whose path has a space and whose training is the stand-in."""
    root = tmp_path / "my projects" / "srzoo"
    (root / "srzoo").mkdir(parents=True)
    (root / "srzoo" / "train.py").write_text(STAND_IN)
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("benchmarks", "__pycache__"))
    return root


def logs(tmp_path, count):
    """Return the lines that each rank has noted."""
    return [(tmp_path / "work" / f"rank_{rank}").read_text().splitlines() for rank in range(count)]


def wait_for(files, seconds=600):
    until = time.monotonic() + seconds
    while not all(file.is_file() and file.stat().st_size for file in files):
        assert time.monotonic() < until, f"{files} were not written"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.ranks
def test_a_failure_starts_all_ranks_again_and_arguments_arrive_whole(start, checkout, tmp_path):
    process = start(checkout, "dist_train.sh", "--max-restarts", 1, "-opt", "my file.yml", "fail", NPROC="2")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    for lines in logs(tmp_path, 2):
        assert lines[0] == "['-opt', 'my file.yml', 'fail'] of 2 start 0"
        assert lines[-2:] == ["['-opt', 'my file.yml', 'fail'] of 2 start 1", "done"]


@pytest.mark.ranks
@pytest.mark.parametrize("name", ["SIGUSR1", pytest.param("SIGTERM", marks=pytest.mark.slow)])
def test_a_signal_reaches_each_rank_once_and_the_exit_code_says_stopped(start, checkout, tmp_path, name):
    process = start(checkout, "dist_train.sh", "--max-restarts=3", "-opt", "x.yml", "wait", NPROC="2")
    wait_for([tmp_path / "work" / f"rank_{rank}" for rank in (0, 1)])
    process.send_signal(getattr(signal, name))
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 75, output
    assert [lines[1:] for lines in logs(tmp_path, 2)] == [[name], [name]]
    assert "Traceback" not in output


def test_wrong_variables_of_the_launchers_are_named(start):
    for script, variables, arguments, words in (
        ("dist_train.sh", {"NPROC": "two"}, ["-opt", "x"], "NPROC must be auto or a number of ranks, got 'two'"),
        ("dist_train.sh", {"NPROC": "1", "NNODES": "2"}, ["-opt", "x"], "NNODES=2 needs RDZV_ENDPOINT=host:port"),
        ("dist_train.sh", {}, ["--max-restarts", "-opt"], "--max-restarts expects a number, got '-opt'"),
        ("dist_train.sh", {}, [], "NPROC            ranks on this machine"),
        ("slurm_train.sh", {}, ["-opt", "x"], "call sbatch from the checkout, or set SRZOO_ROOT to it"),
        ("slurm_train.sh", {"SRZOO_ROOT": str(ROOT)}, [], "expected the arguments of train.py"),
    ):
        process = start(ROOT, script, *arguments, **variables)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 2, output
        assert words in output


@pytest.mark.slow
def test_a_job_that_was_stopped_goes_back_into_the_queue(start, checkout, tmp_path):
    slurm = {"SRZOO_ROOT": str(checkout), "SLURM_JOB_ID": "123", "NPROC": "1"}
    process = start(checkout, "slurm_train.sh", "-opt", "x.yml", "wait", **slurm)
    wait_for([tmp_path / "work" / "rank_0"])
    process.send_signal(signal.SIGUSR1)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 75, output
    assert logs(tmp_path, 1) == [["['-opt', 'x.yml', 'wait', '--resume', 'auto'] of 1 start 0", "SIGUSR1"]]
    calls = (tmp_path / "work" / "slurm.log").read_text().splitlines()
    assert calls[0].startswith("srun --kill-on-bad-exit=0 --wait=60 bash ")
    assert calls[1:] == ["scontrol requeue 123"]


def test_the_batch_script_asks_slurm_for_the_signal_and_for_requeueing():
    lines = (ROOT / "scripts" / "slurm_train.sh").read_text().splitlines()
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    asked = [line for line in lines[:first_command] if line.startswith("#SBATCH ")]
    assert "#SBATCH --signal=B:USR1@120" in asked
    assert "#SBATCH --requeue" in asked


@pytest.mark.ranks
@pytest.mark.slow
def test_two_ranks_train_under_slurm(start, tmp_path):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path))
    slurm = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_ID": "7", "NPROC": "2"}
    process = start(ROOT, "slurm_train.sh", "-opt", file, **slurm)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    assert "4 of 4 updates done" in output
    assert (tmp_path / "experiments" / "run" / "models" / "net_g_4.safetensors").is_file()
    assert "requeue" not in (tmp_path / "work" / "slurm.log").read_text()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
@pytest.mark.ranks
@pytest.mark.parametrize("slurm", [False, True])
def test_two_agents_on_one_machine_train_as_one_process_does(start, tmp_path, slurm):
    sgd = {"optim_g": {"type": "SGD", "lr": 0.05}}
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, train=sgd))
    assert run_train(file, "name=one") == 0
    port, arguments = str(free_port()), ["-opt", file, "--set", "name=two"]
    if slurm:
        job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "node[1-2]"}
        job |= {"SLURM_SUBMIT_DIR": str(ROOT), "MASTER_PORT": port, "NPROC": "1"}
        agents = [start(ROOT, "slurm_train.sh", *arguments, **job)]
    else:
        meeting = {"NNODES": "2", "NPROC": "1", "RDZV_ENDPOINT": f"localhost:{port}", "RDZV_ID": "test"}
        agents = [start(ROOT, "dist_train.sh", *arguments, **meeting) for _ in range(2)]
    for agent in agents:
        output, _ = agent.communicate(timeout=600)
        assert agent.returncode == 0, output
    one, two = (
        safetensors.torch.load_file(tmp_path / "experiments" / name / "models" / "net_g_4.safetensors")
        for name in ("one", "two")
    )
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-6, atol=1e-7)
