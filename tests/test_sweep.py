"""Studies: trainings and tests of every variant, continued after a kill, tabulated; failures, signals, job arrays."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import pytest
import torch

from srzoo.chain import weights_after
from srzoo.cli import parse
from srzoo.command import execute
from srzoo.commands import sweep as command
from srzoo.options import load_study
from srzoo.studies import sweep
from srzoo.studies.folder import StudyFolder, changed_options, remaining_hours
from srzoo.studies.job import run_job
from srzoo.studies.local import LocalJobs, StudyJob
from srzoo.weights import read_weights
from tests.support import ROOT, training_options, write_options

SRRESNET = {"type": "SRResNet", "num_feat": 4, "num_block": 2, "num_modules": None}
GRID = {"network_g.dropout.prob": [0.3, 0.7], "network_g.dropout.position": ["last", "half"], "seed": [0, 1]}
NAMES = {f"prob-{prob}_position-{place}" for prob in ("0.3", "0.7") for place in ("last", "half")}


def write_study(tmp_path, block, **changes):
    """Write a study of tiny trainings with its test file; return the option file."""
    options = training_options(tmp_path, name="study", network_g=SRRESNET, **changes)
    test = {"datasets": {"test": {"own": {"type": "GTImages", "gt": str(tmp_path / "val")}}}}
    write_options(tmp_path / "test.yml", test | {"val": {"metrics": {"psnr": {"type": "PSNR"}}}})
    return write_options(tmp_path / "study.yml", options | {"sweep": block, "test": "test.yml"})


def run(file, *words):
    """`srzoo sweep` in this process; the exit code."""
    return execute(command.run, parse(["sweep", "-opt", str(file), *words]))


class JobsHere:
    """Jobs in this process, without the time that a process takes to start."""

    def __init__(self, at_once, num_gpu):
        del at_once, num_gpu
        self.stopped = False

    def run(self, jobs, started, ended):
        for job in jobs:
            started(job)
            ended(job, run_job(job.train, job.test), 1.0)


@pytest.fixture
def _here(monkeypatch):
    monkeypatch.setattr(sweep, "LocalJobs", JobsHere)


@pytest.mark.usefixtures("_here")
def test_a_study_is_trained_tested_and_tabulated(tmp_path, capsys):
    file = write_study(tmp_path, {"network_g.dropout.prob": [0.0, 0.5], "seed": [0, 1]})
    assert run(file) == 0
    said = capsys.readouterr().out
    folder = tmp_path / "experiments" / "study"
    plan = json.loads((folder / "study.json").read_text())
    assert plan["variants"]["prob-0.5"]["runs"] == ["prob-0.5_s0", "prob-0.5_s1"]
    results = json.loads((folder / "results.json").read_text())
    assert [score["variant"] for score in results["scores"]] == ["prob-0.0", "prob-0.5"]
    by_seed = results["scores"][1]["by_seed"]
    for seed in ("0", "1"):
        file_of_test = folder / "test" / f"prob-0.5_s{seed}" / "results" / "own.json"
        tested = json.loads(file_of_test.read_text())
        assert by_seed[seed] == pytest.approx(tested["mean"]["psnr"], abs=1e-12)
        # Network and weights are those of the training.
        assert tested["network"]["num_feat"] == 4
        assert tested["weights"]["path"] == str(folder / f"prob-0.5_s{seed}" / "models" / "net_g_4.safetensors")
    comparison = results["comparison"]["comparisons"][0]
    assert (comparison["baseline"], comparison["network"], comparison["n"]) == ("prob-0.0", "prob-0.5", 2)
    for place in (said, (folder / "results.md").read_text()):
        assert "not distinguishable" in place
        assert " ± " in place
        # Marks are not in these tables.
        assert "[1]" not in place
        assert place.count("± is half the 95 % interval") == 1
    assert "all pairs, LaTeX, figures: srzoo compare" in said


@pytest.mark.usefixtures("_here")
def test_what_is_done_is_skipped_and_more_seeds_are_added(tmp_path, capsys):
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6]})
    assert run(file) == 0
    assert run(file) == 2
    assert "exists already" in capsys.readouterr().err
    weights = tmp_path / "experiments" / "study" / "num_feat-6_s0" / "models" / "net_g_4.safetensors"
    before = weights.stat().st_mtime_ns
    assert run(file, "--resume", "auto", "--set", "sweep.seed=[0,3]") == 0
    said = capsys.readouterr().out
    assert "2 of 4 trainings are done and tested already" in said
    assert "num_feat-6_s0: started" not in said
    assert "num_feat-6_s3: started" in said
    assert weights.stat().st_mtime_ns == before
    # A longer training continues, and its new weights are tested.
    assert run(file, "--resume", "auto", "--set", "train.total_iter=5") == 0
    record = tmp_path / "experiments" / "study" / "test" / "num_feat-6_s0" / "options_test.yml"
    assert "net_g_5.safetensors" in record.read_text()
    # Other datasets are scored by the weights that there are.
    assert run(file, "--resume", "auto", "--set", "train.total_iter=5", "test.val.metrics.ssim={type: SSIM}") == 0
    assert "ssim" in (tmp_path / "experiments" / "study" / "results.md").read_text()


@pytest.mark.usefixtures("_here")
def test_other_options_for_trainings_that_are_done_are_refused(tmp_path, capsys):
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6]})
    assert run(file) == 0
    assert run(file, "--resume", "auto", "--set", "train.optim_g.lr=0.5", "logger.print_freq=1") == 2
    said = capsys.readouterr().err
    assert "num_feat-4_s0: train.optim_g.lr: 0.001 then, 0.5 now" in said
    assert "print_freq" not in said


@pytest.mark.usefixtures("_here")
def test_without_a_test_file_validation_is_compared(tmp_path):
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6]})
    file.write_text(file.read_text().replace("test: test.yml\n", ""))
    assert run(file) == 0
    results = json.loads((tmp_path / "experiments" / "study" / "results.json").read_text())
    assert {(score["dataset"], score["metric"]) for score in results["scores"]} == {
        ("held_out", "psnr"),
        ("held_out", "ssim"),
    }


def test_a_failing_training_leaves_the_others_and_the_table(tmp_path, capsys, monkeypatch):
    class OneFails(JobsHere):
        def run(self, jobs, started, ended):
            del started
            for job in jobs:
                if job.name == "num_feat-6_s0":
                    job.log.parent.mkdir(parents=True, exist_ok=True)
                    job.log.write_text("training\nerror: out of memory\n")
                ended(job, 2 if job.name == "num_feat-6_s0" else run_job(job.train, job.test), 1.0)

    monkeypatch.setattr(sweep, "LocalJobs", OneFails)
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6, 8]})
    assert run(file) == 2
    out, err = capsys.readouterr()
    assert "1 of 3 trainings failed:\n  num_feat-6_s0: exit code 2, error: out of memory" in err
    assert "num_feat-8" in (tmp_path / "experiments" / "study" / "results.md").read_text()
    assert "compared with num_feat-4" in out


def test_faulty_data_are_reported_before_the_first_training(tmp_path, capsys):
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6]})
    assert run(file, "--set", "test.datasets.test.own.gt=nowhere", "datasets.train.gt=nowhere_too") == 2
    said = capsys.readouterr().err
    assert "nowhere_too" in said
    assert said.count("num_feat") == 2  # training and test, each once for both variants
    assert not (tmp_path / "experiments").exists()


def test_a_dry_run_writes_nothing_and_says_what_it_does_not_know(tmp_path, capsys):
    file = write_study(tmp_path, GRID)
    assert run(file, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "4 variants x 2 seed(s) (0, 1)" in said
    assert "8 trainings, 0 done, 32 updates to go" in said
    assert "time: unknown until a training of this study has logged its speed" in said
    assert not (tmp_path / "experiments").exists()


def test_hours_come_from_the_speed_that_trainings_logged(tmp_path):
    study = load_study(write_study(tmp_path, {"network_g.num_feat": [4, 6]}), ["train.total_iter=7200"], weights_after)
    folder = StudyFolder(study.folder)
    assert remaining_hours(folder, study.runs) is None
    log = study.runs[0].training.options.run_folder / "train.log"
    log.parent.mkdir(parents=True)
    log.write_text("[1] lr 1e-3  9.00 steps/s  ETA\n[2] lr 1e-3  2.00 steps/s  ETA 1:00:00\n")
    states = log.parent / "states"
    states.mkdir()
    (states / "3600.state").touch()
    # 3600 updates of the first and 7200 of the second, at 2 updates/s.
    assert remaining_hours(folder, study.runs) == (pytest.approx(1.5), 1)
    assert changed_options(study) == []


@dataclass(frozen=True)
class Script(StudyJob):
    """A job that runs a Python program."""

    code: str = ""

    def command(self, parent):
        del parent
        return [sys.executable, "-c", self.code]


def script(tmp_path, name, code):
    return Script(name, None, None, tmp_path / f"{name}.log", code=code)


def run_scripts(jobs, at_once=1):
    ended = {}
    runner = LocalJobs(at_once, 0)
    runner.run(jobs, lambda _: None, lambda job, code, _: ended.setdefault(job.name, code))
    return runner, ended


def test_jobs_run_at_once_and_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    # Each waits for the other's file: one after the other they would fail.
    code = (
        "import os, pathlib, sys, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "(here / f'{sys.argv[0]}-{os.environ[\"OMP_NUM_THREADS\"]}').touch()\n"
        "(here / NAME).touch()\n"
        "end = time.monotonic() + 600\n"
        "while not (here / OTHER).exists():\n"
        "    assert time.monotonic() < end\n"
        "    time.sleep(0.01)\n"
        "print('met')\n"
    )
    jobs = [script(tmp_path, a, f"NAME, OTHER = {a!r}, {b!r}\n{code}") for a, b in (("one", "two"), ("two", "one"))]
    _, ended = run_scripts(jobs, at_once=2)
    assert ended == {"one": 0, "two": 0}
    assert (tmp_path / "one.log").read_text() == "met\n"
    threads = max(len(os.sched_getaffinity(0)) // 2, 1)
    assert (tmp_path / f"-c-{threads}").exists()


def test_jobs_take_the_gpus_in_turn(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    share = [LocalJobs(3, 2)._share(slot).get("CUDA_VISIBLE_DEVICES") for slot in range(3)]
    assert share == ["3", "5", "3"]


def test_a_signal_reaches_the_jobs_and_no_more_are_started(tmp_path):
    def waiting(name, delay):
        code = (
            "import pathlib, signal, sys, time\n"
            f"signal.signal(signal.SIGTERM, lambda *_: (time.sleep({delay}), sys.exit(75)))\n"
            f"pathlib.Path({str(tmp_path)!r}, {name!r}).touch()\n"
            "time.sleep(600)\n"
        )
        return script(tmp_path, name, code)

    def interrupt():
        while not ((tmp_path / "first").exists() and (tmp_path / "second").exists()):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    before = signal.getsignal(signal.SIGINT)
    # The first ends before the second, and leaves its place free.
    jobs = [waiting("first", 0), waiting("second", 1), script(tmp_path, "third", "pass")]
    runner, ended = run_scripts(jobs, at_once=2)
    assert runner.stopped
    assert ended == {"first": 75, "second": 75}
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stopped_study_ends_with_75_and_says_how_to_continue(tmp_path, capsys, monkeypatch):
    class Stopped(JobsHere):
        def run(self, jobs, started, ended):
            del started
            ended(jobs[0], run_job(jobs[0].train, jobs[0].test), 1.0)
            ended(jobs[1], 75, 1.0)
            self.stopped = True

    monkeypatch.setattr(sweep, "LocalJobs", Stopped)
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6, 8]})
    assert run(file) == 75
    assert "2 of 3 trainings are not done; --resume auto continues the study" in capsys.readouterr().out


def start_study(file, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "srzoo.cli", "sweep", "-opt", str(file), *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def wait_for(condition, process=None, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        assert process is None or process.poll() is None, process.stdout.read()
        time.sleep(0.05)


@pytest.mark.slow(minutes=2)
def test_a_killed_study_of_2_x_2_x_2_continues_to_the_same_weights_and_table(tmp_path):
    """Kill -9 of the study in the middle of a training: the training saves, ends, and is continued exactly."""
    file = write_study(tmp_path, GRID, train={"total_iter": 60}, logger={"save_freq": 20, "print_freq": 20})
    process = start_study(file, "--jobs", "2")
    study = tmp_path / "experiments" / "study"
    # In the second pair of trainings, so that some are done and others are not begun.
    wait_for(lambda: len(list(study.glob("*/states/20.state"))) >= 3, process)
    process.kill()
    process.wait()
    done = len(list(study.glob("*/models/net_g_60.safetensors")))
    assert done < 8
    again = start_study(file, "--jobs", "2", "--resume", "auto")
    said, _ = again.communicate(timeout=900)
    assert again.returncode == 0, said
    results = json.loads((study / "results.json").read_text())
    assert {score["variant"] for score in results["scores"]} == NAMES
    assert all(set(score["by_seed"]) == {"0", "1"} for score in results["scores"])
    assert len(results["comparison"]["comparisons"]) == 3
    # The same study without a kill has the same weights, to the bit.
    file = write_study(
        tmp_path / "straight", GRID, train={"total_iter": 60}, logger={"save_freq": 20, "print_freq": 20}
    )
    name = "prob-0.3_position-half_s0"
    run_of = next(each for each in load_study(file, (), weights_after).runs if each.name == name)
    straight = write_options(tmp_path / "run.yml", {})
    straight.write_text(run_of.training.text)
    assert run_job(straight, None) == 0
    weights = [
        read_weights(weights_after(run_of.training.options)),
        read_weights(study / name / "models/net_g_60.safetensors"),
    ]
    assert all(torch.equal(value, weights[1].tensors[key]) for key, value in weights[0].tensors.items())


@pytest.mark.slow
def test_sigterm_saves_the_training_and_ends_the_study_with_75(tmp_path):
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6]}, train={"total_iter": 100_000})
    process = start_study(file)
    run_folder = tmp_path / "experiments" / "study" / "num_feat-4_s0"
    wait_for(lambda: list(run_folder.glob("states/*.state")), process)
    process.terminate()
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 75, said
    assert "num_feat-4_s0: stopped after" in said
    assert "2 of 2 trainings are not done" in said
    assert "SIGTERM: stopped after" in (run_folder / "train.log").read_text()


@pytest.mark.slow
def test_a_job_array_trains_through_submitit(tmp_path):
    pytest.importorskip("submitit")
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6]})
    process = start_study(file, "--slurm", "cluster=local", "timeout_min=10")
    said, _ = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert "num_feat-6" in (tmp_path / "experiments" / "study" / "results.md").read_text()


def test_slurm_parameters_are_checked_and_jobs_belong_to_this_machine(tmp_path, capsys):
    file = write_study(tmp_path, {"network_g.num_feat": [4, 6]})
    assert run(file, "--slurm", "cluster=local", "--jobs", "2") == 2
    assert "--jobs is for this machine" in capsys.readouterr().err
    pytest.importorskip("submitit")
    assert run(file, "--slurm", "cluster=local", "slurm_partitoin=gpu") == 2
    assert "slurm_partitoin" in capsys.readouterr().err
