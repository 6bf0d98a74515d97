"""Trouble in the middle of a training: bad images, memory, loader processes and ranks that end or stand still."""

import gc
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from srzoo.engine.trouble import explained
from srzoo.images import write_image
from srzoo.state import load_state
from tests.engine.test_watch import training, wait_for
from tests.support import photograph, run_train, training_options, write_options

# Damages an image of the training set after its check, and before its use in the third epoch.
DAMAGE = """
from pathlib import Path
from torch import nn
from srzoo.registry import LOSSES

@LOSSES.register
class Damage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
    def forward(self, sr, gt):
        self.calls += 1
        if self.calls == 2:
            Path("FILE").write_bytes(Path("FILE").read_bytes()[:300])
        return (sr - gt).abs().mean()
"""


def options(folder, **changes):
    file = write_options(folder / "x.yml", training_options(folder, **changes))
    (folder / "damage.py").write_text(DAMAGE.replace("FILE", str(folder / "train" / "03.png")))
    return file


def damaging(folder, **changes):
    losses = {"losses": {"pixel": {"type": "Damage"}}, "total_iter": 8}
    return options(folder, plugins=[str(folder / "damage.py")], train=losses, datasets={"val": None}, **changes)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_is_damaged_in_between_stops_with_its_name_and_step(tmp_path, capsys, workers):
    file = damaging(tmp_path, logger={"save_freq": 1})
    prefetch = "datasets.train.num_workers"
    assert run_train(file, f"{prefetch}={workers}", "train.total_iter=30") == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    (newest,) = [int(p.stem) for p in sorted((tmp_path / "experiments" / "run" / "states").iterdir())[-1:]]
    assert error.startswith(f"error: update {newest + 1}: a training image cannot be read: {tmp_path}/train/03.png: ")
    assert "put it right, then --resume auto, or set data.on_error: skip" in error


def test_skipped_images_are_replaced_logged_and_counted(tmp_path, capsys):
    assert run_train(damaging(tmp_path, data={"on_error": "skip"})) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("skipped")]
    assert lines[0].startswith(f"skipped a training image (1 since the start): {tmp_path}/train/03.png: ")
    assert lines[-1].startswith(f"skipped a training image ({len(lines)} since the start)")
    assert len(lines) in range(4, 7)  # of 32 samples of 5 images, those after the second update


def test_skipping_takes_the_next_image_of_the_dataset():
    from srzoo.data.loading import DrawnSamples, SampleKey

    class Numbers(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index in (0, 1):
                raise ValueError(f"image {index}")
            return {"lq": index}

    skipping, stopping = DrawnSamples(Numbers(), 0, skip_faulty=True), DrawnSamples(Numbers(), 0)
    assert skipping[SampleKey(0, 7, 1)] == {"lq": 2, "skipped": "image 0"}
    assert skipping[SampleKey(2, 7, 1)] == {"lq": 2, "skipped": ""}
    assert stopping[SampleKey(0, 7, 1)] == (7, "image 0")
    assert stopping[SampleKey(2, 7, 1)] == {"lq": 2}


def nothing_deterministic() -> Exception:
    """Return PyTorch's own error for an operation without a deterministic form."""
    torch.use_deterministic_algorithms(True)
    try:
        torch.zeros(4).put_(torch.tensor([0, 0]), torch.ones(2))
    except RuntimeError as error:
        return error
    finally:
        torch.use_deterministic_algorithms(False)
    raise AssertionError("PyTorch has learned to do this deterministically")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), "raise train.accumulate"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "raise train.accumulate",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "lower datasets.train.num_workers"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that"),
            "--shm-size=8g",
        ),
        (ConnectionResetError(104, "Connection reset by peer"), "a loader process has ended"),
        (EOFError(), "a loader process has ended"),
        (RuntimeError("unable to allocate shared memory(shm) for file </torch_7>: No space left"), "--shm-size=8g"),
        (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"), "another rank does"),
        (nothing_deterministic(), "set deterministic: false"),
        (
            RuntimeError("backend='inductor' raised:\nInductorError: no loop"),
            "(backend='inductor' raised: InductorError: no",
        ),
    ],
)
def test_errors_of_the_machine_come_with_advice(error, advice):
    said = explained(error, 4)
    assert isinstance(said, ValueError)
    assert advice in str(said)
    assert str(said).startswith("update 5: ")
    assert len(str(said).splitlines()) == 1
    assert explained(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 4) is None


def test_running_out_of_memory_is_a_users_error(tmp_path, capsys, monkeypatch):
    from srzoo.models.sr import SRModel

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(SRModel, "training_step", full)
    assert run_train(options(tmp_path)) == 2
    assert "error: update 1: not enough memory" in capsys.readouterr().err


def loader_of(process):
    """Return the process id of a loader process."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(
        int(pid) for pid in children if "pt_data" in Path(f"/proc/{pid}/comm").read_text() or len(children) == 1
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, "a loader process has ended"),
        pytest.param(signal.SIGSTOP, "has been stopped for 25 s", marks=pytest.mark.slow),
    ],
    ids=["killed", "stopped"],
)
def test_a_loader_process_that_is_lost_ends_the_training_with_one_message(tmp_path, number, said):
    options(tmp_path, train={"total_iter": 100_000}, datasets={"train": {"num_workers": 1}, "val": None})
    with training(tmp_path, "--set", "logger.print_freq=1") as process:
        wait_for(process, "[     3/100000]")
        os.kill(loader_of(process), number)
        started = time.monotonic()
        text = process.communicate(timeout=600)[0]
        assert process.returncode == 2, text
        assert time.monotonic() - started < 60
    assert said in text
    assert text.count("error:") == 1
    assert "Traceback" not in text


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["image", "killed", "stopped"])
def test_trouble_of_one_rank_ends_all_with_one_message(tmp_path, trouble):
    changes = {"logger": {"print_freq": 1}, "datasets": {"val": None}, "train": {"total_iter": 100_000}}
    if trouble == "image":
        damaging(tmp_path, logger={"print_freq": 1})
    else:
        options(tmp_path, **changes)
    with training(tmp_path, num_ranks=2) as process:
        # The time of a start, which depends on the machine, is not part of the minute.
        wait_for(process, "[1/8]" if trouble == "image" else "[     3/100000]")
        if trouble != "image":
            (last,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[-1:]
            os.kill(int(last), signal.SIGKILL if trouble == "killed" else signal.SIGSTOP)
        started = time.monotonic()
        text = process.communicate(timeout=600)[0]
        assert time.monotonic() - started < 75
        assert process.returncode != 0
    own = [line for line in text.splitlines() if line.startswith("error")]
    assert len(own) == 1, text
    expected = {"image": "03.png", "killed": "another rank does not answer", "stopped": "rank 1 has not answered"}
    assert expected[trouble] in own[0]


def test_an_error_outside_the_loader_ends_its_processes(tmp_path, capsys):
    # Python waits for them at its end, and they for work.
    file = options(tmp_path, datasets={"train": {"num_workers": 1}, "val": None})
    (tmp_path / "experiments" / "run").mkdir(parents=True)
    (tmp_path / "experiments" / "run" / "states").touch()  # a save fails
    gc.disable()  # it would end them at some time
    try:
        assert run_train(file, resume="auto") == 2
        assert multiprocessing.active_children() == []
    finally:
        gc.enable()
    assert "could not write" in capsys.readouterr().err


def test_states_saved_before_the_trouble_are_whole(tmp_path):
    file = damaging(tmp_path, logger={"save_freq": 1})
    assert run_train(file) == 2
    for path in (tmp_path / "experiments" / "run" / "states").iterdir():
        load_state(path)
    write_image(tmp_path / "train" / "03.png", photograph(96, 120))
    (tmp_path / "damage.py").write_text(DAMAGE.replace("self.calls == 2", "False"))
