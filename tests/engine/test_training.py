"""Whole runs: train, stop, resume, several ranks, and everything that can go wrong."""

import errno
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml

from srzoo import atomic, training
from srzoo.engine.run_folder import RunFolder
from srzoo.images import read_image, write_image
from srzoo.optim.finite import FiniteCheck
from srzoo.registry import ARCHS, DATASETS, LOSSES, METRICS
from srzoo.state import load_state
from srzoo.tensor_files import sha256
from tests.support import ROOT, photograph, run_test, run_train, training_options, write_options


@pytest.fixture
def options(tmp_path):
    def write(**changes):
        return write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))

    return write


def weights(folder, step):
    return safetensors.torch.load_file(folder / "models" / f"net_g_{step}.safetensors")


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_leaves_everything_in_its_folder(options, tmp_path, capsys):
    assert run_train(options(logger={"use_tb_logger": True})) == 0
    run = tmp_path / "experiments" / "run"
    names = {path.name for path in run.iterdir()}
    assert {"models", "states", "tensorboard", "results", "options.yml", "provenance.json", "train.log"} <= names
    assert yaml.safe_load((run / "options.yml").read_text())["train"]["total_iter"] == 4
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"command", "git_commit", "python", "srzoo"} <= provenance.keys()
    log, printed = (run / "train.log").read_text(), capsys.readouterr().out
    assert log.count("held_out: psnr") == 1
    for part in ("parameters) on ", "[4/4] pixel", "steps/s", "ETA", "data", "held_out: psnr"):
        assert part in log
        assert part in printed
    results = json.loads((run / "results" / "held_out.json").read_text())
    assert results["dataset"] == "held_out"
    assert results["network"]["type"] == "IMDN_RTC"
    assert results["weights"]["sha256"] == sha256(run / "models" / "net_g_4.safetensors")
    assert results["protocols"]["psnr"]["name"] == "basicsr-y"
    assert results["protocols"]["psnr"]["modcrop"] == 2
    assert [image["key"] for image in results["images"]] == ["held_out", "held_out_2"]
    assert results["mean"]["psnr"] == pytest.approx(sum(i["psnr"] for i in results["images"]) / 2)
    assert any((run / "tensorboard").iterdir())


def test_tensorboard_has_scalars_and_images(options, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run_train(options(logger={"use_tb_logger": True})) == 0
    events = EventAccumulator(str(tmp_path / "experiments" / "run" / "tensorboard"))
    events.Reload()
    assert {"loss/pixel", "lr", "speed/steps_per_s", "val/held_out/psnr"} <= set(events.Tags()["scalars"])
    assert len(events.Tags()["images"]) == 2
    mean = json.loads((tmp_path / "experiments" / "run" / "results" / "held_out.json").read_text())["mean"]
    for metric, value in mean.items():
        assert [event.value for event in events.Scalars(f"val/held_out/{metric}")] == [pytest.approx(value)]
        assert f"{metric} {value:.4f}" in (tmp_path / "experiments" / "run" / "train.log").read_text()
    assert [event.value for event in events.Scalars("lr")] == [pytest.approx(1e-3)] * 2


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_runs_continue_bit_for_bit(options, tmp_path, accumulate):
    shared = {"train": {"accumulate": accumulate, "total_iter": 8}, "network_g": {"type": "IMDN", "num_feat": 16}}
    assert run_train(options(**shared, name="whole")) == 0
    halves = options(**shared, name="halves")
    assert run_train(halves, "train.total_iter=4") == 0
    assert run_train(halves, resume="auto") == 0
    experiments = tmp_path / "experiments"
    assert equal(weights(experiments / "whole", 8), weights(experiments / "halves", 8))
    states: list[Any] = [load_state(experiments / name / "states" / "8.state") for name in ("whole", "halves")]
    one, two = states
    assert equal(one["model"]["net_g"], two["model"]["net_g"])
    for a, b in zip(
        one["model"]["step_g"]["optimizer"]["state"].values(),
        two["model"]["step_g"]["optimizer"]["state"].values(),
        strict=True,
    ):
        assert equal(a, b)
    assert (experiments / "halves" / "options_resumed_4.yml").is_file()


def test_the_same_seed_gives_the_same_weights_and_another_does_not(options, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert run_train(options(), f"name={name}", f"seed={seed}") == 0
    a, b, c = (weights(tmp_path / "experiments" / name, 4) for name in "abc")
    assert equal(a, b)
    assert not equal(a, c)


def test_accumulation_equals_one_large_batch(options, tmp_path):
    plain = {"train": {"optim_g": {"type": "SGD", "lr": 0.1}, "ema_decay": 0}}
    assert run_train(options(**plain), "name=whole") == 0
    assert run_train(options(**plain), "name=parts", "train.accumulate=2") == 0
    whole, parts = (weights(tmp_path / "experiments" / name, 4) for name in ("whole", "parts"))
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-5, atol=1e-6)


def test_channels_last_trains_to_the_same_weights(options, tmp_path):
    plain = {"train": {"optim_g": {"type": "SGD", "lr": 0.1}}}
    assert run_train(options(**plain), "name=nchw") == 0
    assert run_train(options(**plain), "name=nhwc", "train.channels_last=true") == 0
    nchw, nhwc = (weights(tmp_path / "experiments" / name, 4) for name in ("nchw", "nhwc"))
    for key, value in nchw.items():
        torch.testing.assert_close(nhwc[key], value, rtol=1e-5, atol=1e-6)


def torchrun(folder, file):
    """train.py under two gloo processes, as run "two"."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [*launcher, str(ROOT / "srzoo" / "train.py"), "-opt", str(file), "--set", "name=two"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.ranks
@pytest.mark.slow
def test_two_processes_equal_one_with_the_joint_batch(options, tmp_path):
    file = options(network_g={"type": "IMDN_RTC"}, train={"optim_g": {"type": "SGD", "lr": 0.05}})
    assert run_train(file, "name=one") == 0
    done = torchrun(tmp_path, file)
    assert done.returncode == 0, done.stderr
    one, two = (tmp_path / "experiments" / name for name in ("one", "two"))
    for key, value in weights(one, 4).items():
        torch.testing.assert_close(weights(two, 4)[key], value, rtol=1e-6, atol=1e-7)
    first, second = (json.loads((run / "results" / "held_out.json").read_text()) for run in (one, two))
    assert [image["key"] for image in first["images"]] == [image["key"] for image in second["images"]]
    assert second["mean"]["psnr"] == pytest.approx(first["mean"]["psnr"], abs=1e-3)
    last_terms = [
        [
            line.split("pixel ")[1].split()[0]
            for line in (run / "train.log").read_text().splitlines()
            if "pixel " in line
        ]
        for run in (one, two)
    ]
    assert [float(term) for term in last_terms[0]] == pytest.approx([float(term) for term in last_terms[1]], rel=1e-3)


def test_validation_and_benchmark_agree_exactly(options, tmp_path):
    assert run_train(options()) == 0
    run = tmp_path / "experiments" / "run"
    changes = {
        "name": "bench",
        "train": None,
        "datasets": {
            "train": None,
            "val": None,
            "test": {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}},
        },
        "path": {"pretrain_network_g": str(run / "models" / "net_g_4.safetensors")},
        "val": {"save_img": True},
    }
    bench = write_options(tmp_path / "bench.yml", training_options(tmp_path, **changes))
    assert run_test(bench) == 0
    during = json.loads((run / "results" / "held_out.json").read_text())
    after = json.loads((tmp_path / "experiments" / "bench" / "results" / "held_out.json").read_text())
    assert after["images"] == during["images"]
    assert after["weights"]["sha256"] == during["weights"]["sha256"]
    image = tmp_path / "experiments" / "bench" / "visualization" / "held_out" / "held_out.png"
    assert read_image(image).rgb.shape == (64, 72, 3)


def test_a_used_name_is_refused_and_left_alone(options, tmp_path, capsys):
    file = options()
    assert run_train(file) == 0
    before = sha256(tmp_path / "experiments" / "run" / "models" / "net_g_4.safetensors")
    assert run_train(file) == 2
    assert "exists already and is left as it is; continue that run with --resume auto" in capsys.readouterr().err
    assert sha256(tmp_path / "experiments" / "run" / "models" / "net_g_4.safetensors") == before
    assert run_train(file, resume="auto") == 0
    assert "4 of 4 updates done" in capsys.readouterr().out


def test_benchmark_results_are_not_overwritten_unasked(options, tmp_path, capsys):
    file = options(
        network_g={"type": "Bicubic", "num_modules": None},
        train=None,
        datasets={"train": None, "val": None, "test": {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}}},
    )
    assert run_test(file) == 0
    assert run_test(file) == 2
    assert "replace them with --overwrite" in capsys.readouterr().err
    assert run_test(file, overwrite=True) == 0


def test_resuming_under_other_options_is_refused(options, capsys):
    assert run_train(options()) == 0
    assert run_train(options(), "train.total_iter=6", "train.optim_g.lr=0.5", "seed=3", resume="auto") == 2
    message = capsys.readouterr().err
    assert "train.optim_g.lr: 0.001 then, 0.5 now" in message
    assert "seed: 0 then, 3 now" in message
    assert "total_iter" not in message
    assert run_train(options(), "train.total_iter=6", "logger.print_freq=1", resume="auto") == 0


def test_resume_from_a_path_and_from_nothing(options, tmp_path, capsys):
    file = options()
    assert run_train(file, resume="auto") == 0
    state = tmp_path / "experiments" / "run" / "states" / "2.state"
    assert run_train(file, "name=branch", resume=str(state)) == 0
    both = (weights(tmp_path / "experiments" / name, 4) for name in ("run", "branch"))
    assert equal(*both)
    assert run_train(file, "name=branch", resume=str(state)) == 2
    assert "would overwrite what" in capsys.readouterr().err
    assert run_train(file, "name=other", resume=str(tmp_path / "nope.state")) == 2
    assert "nope.state does not exist" in capsys.readouterr().err


def test_two_trainings_cannot_share_a_folder(options, tmp_path, capsys):
    folder = RunFolder(tmp_path / "experiments" / "run")
    with folder.locked():
        assert run_train(options(), resume="auto") == 2
    assert "another process is training in" in capsys.readouterr().err
    assert run_train(options(), resume="auto") == 0


def test_only_the_newest_states_are_kept(options, tmp_path):
    assert run_train(options(logger={"save_freq": 1, "num_states": 2})) == 0
    run = tmp_path / "experiments" / "run"
    assert sorted(path.name for path in (run / "states").iterdir()) == ["3.state", "4.state"]
    assert len(list((run / "models").iterdir())) == 4


def test_a_non_finite_loss_stops_with_names_and_keeps_what_was_saved(options, tmp_path, capsys):
    file = options(
        train={"optim_g": {"type": "SGD", "lr": 1e30}, "total_iter": 8}, logger={"save_freq": 1, "print_freq": 1}
    )
    assert run_train(file) == 2
    message = capsys.readouterr().err
    for part in ("non-finite", "in update", "learning rate 1e+30"):
        assert part in message
    run = tmp_path / "experiments" / "run"
    steps = sorted(int(path.stem) for path in (run / "states").iterdir())
    assert steps
    load_state(run / "states" / f"{steps[-1]}.state")


@pytest.mark.parametrize("due", ["logger.print_freq", "logger.save_freq", "val.val_freq"])
def test_a_deferred_check_comes_before_anything_is_printed_saved_or_scored(options, tmp_path, capsys, monkeypatch, due):
    monkeypatch.setattr(training, "FiniteCheck", lambda **_: FiniteCheck(deferred=True))  # as on a GPU
    frequencies = {"logger.print_freq": 8, "logger.save_freq": 8, "val.val_freq": 8, due: 6}
    steep = options(train={"optim_g": {"type": "SGD", "lr": 1e30}, "total_iter": 8})
    assert run_train(steep, *(f"{name}={value}" for name, value in frequencies.items())) == 2
    message = capsys.readouterr().err
    assert "non-finite" in message
    assert "Nothing was saved after it" in message
    # Noted in an early update, and read after the sixth.
    assert re.search("in update [123] at", message)
    run = tmp_path / "experiments" / "run"
    assert not list(run.rglob("*.state"))
    assert not list(run.glob("results/*.json"))
    assert "[6/8]" not in (run / "train.log").read_text()


def test_weights_that_are_not_finite_after_the_last_update_are_not_written(options, tmp_path, capsys):
    steep = {"optim_g": {"type": "SGD", "lr": 1e38}, "losses": {"pixel": {"weight": 1e6}}, "total_iter": 1}
    assert run_train(options(train=steep)) == 2
    message = capsys.readouterr().err
    assert "net_g_1.safetensors was not written, because of values that are not finite: model.0.weight has" in message
    assert "updates done" not in message
    assert not list((tmp_path / "experiments").rglob("*.safetensors"))
    assert not list((tmp_path / "experiments").rglob("*.state"))


@pytest.mark.ranks
@pytest.mark.slow
def test_a_non_finite_loss_stops_every_rank_with_one_message(options, tmp_path):
    file = options(train={"optim_g": {"type": "SGD", "lr": 1e30}, "total_iter": 8})
    done = torchrun(tmp_path, file)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert "): non-finite" in line
    assert all(f"rank {rank}: " in line for rank in (0, 1))


@pytest.mark.parametrize("broken", ["net_g_4.safetensors", "4.state", "held_out.json"])
def test_a_full_disk_stops_with_the_file_named_and_the_last_state_whole(options, tmp_path, capsys, monkeypatch, broken):
    file = options()
    assert run_train(file, "train.total_iter=2") == 0
    run = tmp_path / "experiments" / "run"
    before = {path: sha256(path) for path in run.rglob("*.*") if path.suffix in (".state", ".safetensors", ".json")}
    write = atomic.write_atomic

    def full(path, content):
        def half(target):
            content(target)
            raise OSError(errno.ENOSPC, "No space left on device")

        write(path, half if path.name == broken else content)

    for module in ("srzoo.tensor_files", "srzoo.atomic"):
        monkeypatch.setattr(f"{module}.write_atomic", full)
    assert run_train(file, resume="auto") == 2
    assert f"{broken}: No space left on device" in capsys.readouterr().err
    assert {path: sha256(path) for path in before} == before
    assert not list(run.rglob(".*"))
    load_state(run / "states" / "2.state")
    monkeypatch.undo()
    # Once there is room again, the run goes on, and scores what it had not scored.
    assert run_train(file, resume="auto") == 0
    assert json.loads((run / "results" / "held_out.json").read_text())["step"] == 4


def test_all_data_faults_stop_the_run_before_anything_is_written(options, tmp_path, capsys):
    file = options(datasets={"val": {"gone": {"type": "GTImages", "gt": str(tmp_path / "nowhere")}}})
    cut = tmp_path / "train" / "01.png"
    cut.write_bytes(cut.read_bytes()[:-500])
    write_image(tmp_path / "train" / "small.png", photograph(20, 20))
    assert run_train(file) == 2
    message = capsys.readouterr().err
    for part in (
        "3 fault(s) in the data",
        "01.png: truncated",
        "small.png: smaller than the crop",
        "nowhere does not exist",
    ):
        assert part in message
    assert not (tmp_path / "experiments").exists()


def test_debug_decodes_everything(options, tmp_path, capsys):
    file = options()
    damaged = tmp_path / "train" / "02.png"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(bytes(content))
    assert run_train(file, debug=True) == 2
    assert "02.png: cannot be decoded" in capsys.readouterr().err


def test_benchmarking_without_weights_or_data_is_refused(options, tmp_path, capsys):
    test = {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}}
    assert run_test(options(train=None, datasets={"train": None, "test": test})) == 2
    assert "path.pretrain_network_g is missing" in capsys.readouterr().err
    assert run_test(options()) == 2
    assert "no `datasets.test` section" in capsys.readouterr().err


def test_pretraining_starts_from_the_weights_at_step_0(options, tmp_path):
    assert run_train(options()) == 0
    trained = tmp_path / "experiments" / "run" / "models" / "net_g_4.safetensors"
    frozen = {
        "train": {"optim_g": {"type": "SGD", "lr": 0.0}, "ema_decay": 0},
        "path": {"pretrain_network_g": str(trained)},
    }
    assert run_train(options(**frozen), "name=fine") == 0
    assert equal(weights(tmp_path / "experiments" / "fine", 4), safetensors.torch.load_file(trained))


def test_partial_pretraining_keeps_what_fits_and_says_so(options, tmp_path, capsys):
    assert run_train(options(name="x2"), "train.total_iter=2") == 0
    first = tmp_path / "experiments" / "x2" / "models" / "net_g_2.safetensors"
    start = {"pretrain_network_g": str(first), "load": "partial"}
    data = {"train": {"gt_size": 32}, "val": None}
    larger = options(name="x4", scale=4, path=start, datasets=data, train={"optim_g": {"lr": 1e-12}, "ema_decay": 0.0})
    assert run_train(larger, "train.total_iter=1") == 0
    log = (tmp_path / "experiments" / "x4" / "train.log").read_text()
    assert "keep their initial values: model.2.weight, model.2.bias; unused in the file: model.2." in log
    kept, new = safetensors.torch.load_file(first), weights(tmp_path / "experiments" / "x4", 1)
    torch.testing.assert_close(new["model.0.weight"], kept["model.0.weight"], atol=1e-6, rtol=0)
    assert new["model.2.weight"].shape != kept["model.2.weight"].shape
    assert run_train(options(name="other", path={**start, "load": "strict"}, scale=4, datasets=data)) == 2
    assert "does not fit IMDN_RTC; nothing was loaded" in capsys.readouterr().err
    assert run_train(options(name="lone", path={"load": "partial"})) == 2
    assert "path.load: partial is for training from path.pretrain_network_g" in capsys.readouterr().err


def test_a_run_stopped_before_its_last_validation_is_scored_on_resuming(options, tmp_path):
    file = options()
    assert run_train(file) == 0
    results = tmp_path / "experiments" / "run" / "results" / "held_out.json"
    before = json.loads(results.read_text())
    results.unlink()
    assert run_train(file, resume="auto") == 0
    assert json.loads(results.read_text())["images"] == before["images"]


def test_a_benchmark_leaves_the_record_of_a_training_alone(options, tmp_path):
    file = options(datasets={"test": {"other": {"type": "GTImages", "gt": str(tmp_path / "val")}}})
    assert run_train(file) == 0
    run = tmp_path / "experiments" / "run"
    before = {name: (run / name).read_text() for name in ("options.yml", "provenance.json")}
    assert run_test(file, f"path.pretrain_network_g={run}/models/net_g_4.safetensors") == 0
    assert {name: (run / name).read_text() for name in before} == before
    assert (run / "provenance_test.json").is_file()


def test_weights_of_another_network_by_their_own_word_are_refused(options, tmp_path, capsys):
    """The input range is a fact of the weights: a srzoo file knows it, and loading it under another is an error."""
    own = {"type": "IMDN_RTE", "num_modules": None, "img_range": 255.0}
    assert run_train(options(network_g=own, train={"total_iter": 1})) == 0
    trained = tmp_path / "experiments" / "run" / "models" / "net_g_1.safetensors"
    other = {"type": "IMDN_RTE", "num_modules": None}
    assert run_train(options(name="b", network_g=other, path={"pretrain_network_g": str(trained)})) == 2
    assert "img_range: 255.0 in the file, 1.0 here" in capsys.readouterr().err


def test_a_users_plugins_train_and_score(options, tmp_path, monkeypatch):
    """Use an arch, a loss, a metric and a dataset in files outside the package."""
    for family in (ARCHS, LOSSES, METRICS, DATASETS):
        assert list(family)
        monkeypatch.setattr(family, "_members", dict(family._members))
    (tmp_path / "mine.py").write_text(
        '''
import torch
from torch import nn
from srzoo.optim.finite import FiniteCheck
from srzoo.registry import ARCHS, DATASETS, LOSSES, METRICS

@ARCHS.register
class MyNet(nn.Module):
    """One convolution.

    Args:
        width: of the middle [channels].
    """
    scales = None
    multiple_of = 1
    receptive_radius = 2

    def __init__(self, *, scale: int, width: int = 4) -> None:
        super().__init__()
        convs = [nn.Conv2d(3, width, 3, 1, 1), nn.Conv2d(width, 3 * scale**2, 3, 1, 1)]
        self.body = nn.Sequential(*convs, nn.PixelShuffle(scale))

    def forward(self, lq):
        return self.body(lq)

@LOSSES.register
class MyLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()

    def forward(self, sr, gt):
        return (sr - gt).abs().max()

@METRICS.register
class MyMetric:
    higher_is_better = False

    def __init__(self, *, scale: int) -> None:
        self.scale = scale

    def __call__(self, sr, gt):
        return (sr - gt).abs().amax((1, 2, 3))

@DATASETS.register
class MyData(torch.utils.data.Dataset):
    def __init__(self, *, scale: int, phase: str, count: int) -> None:
        self.scale, self.count = scale, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index):
        return {"lq": torch.rand(3, 8, 8), "gt": torch.rand(3, 8 * self.scale, 8 * self.scale), "key": f"noise{index}"}
'''
    )
    file = options(
        plugins=["mine.py"],
        network_g={"type": "MyNet", "num_modules": None, "width": 6},
        datasets={
            "train": {"type": "MyData", "count": 5, "gt": None, "gt_size": None, "use_hflip": None, "use_rot": None},
            "val": {"held_out": {"type": "MyData", "count": 2, "gt": None}},
        },
        train={"total_iter": 2, "losses": {"pixel": {"type": "MyLoss"}}},
        val={"metrics": {"mine": {"type": "MyMetric"}, "psnr": None, "ssim": None}},
    )
    assert run_train(file) == 0
    results = json.loads((tmp_path / "experiments" / "run" / "results" / "held_out.json").read_text())
    assert [image["key"] for image in results["images"]] == ["noise0", "noise1"]
    assert results["protocols"]["mine"]["name"] == "MyMetric"


def test_the_log_names_each_plugin_with_its_checksum(options, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("# nothing to register\n")
    assert run_train(options(plugins=[str(plugin)])) == 0
    run = tmp_path / "experiments" / "run"
    (line,) = [line for line in (run / "train.log").read_text().splitlines() if "code of" in line]
    assert line.endswith(f"plugin: code of {plugin} runs (sha256 {sha256(plugin)})")


def test_the_newest_state_is_the_one_with_most_updates_whatever_the_clock_says(options, tmp_path, capsys):
    file = options(logger={"save_freq": 1})
    assert run_train(file, "train.total_iter=3") == 0
    states = tmp_path / "experiments" / "run" / "states"
    # The clock was set back by decades between the saves.
    os.utime(states / "3.state", (0, 0))
    assert run_train(file, resume="auto") == 0
    assert f"resuming from {states / '3.state'} at step 3" in capsys.readouterr().out


def test_a_run_folder_that_cannot_be_written_is_named_before_the_first_update(options, tmp_path, capsys, monkeypatch):
    make = os.mkdir

    def on_a_read_only_disk(path, *arguments, **further):
        if "experiments" in str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        make(path, *arguments, **further)

    monkeypatch.setattr(os, "mkdir", on_a_read_only_disk)
    assert run_train(options()) == 2
    said = capsys.readouterr()
    assert "Read-only file system" in said.err
    assert str(tmp_path / "experiments") in said.err
    assert "[1/" not in said.out
    assert "Traceback" not in said.err
