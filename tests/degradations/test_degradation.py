"""Degradations of batches: order of stages, random numbers, windows, the pool, and the shipped files."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from srzoo.degradations.degradation import Degradation, ScheduledStage
from srzoo.degradations.pool import PairPool
from srzoo.degradations.resize import Resize
from srzoo.engine.run_folder import RunFolder
from srzoo.ops.resize import imresize
from srzoo.ops.sharpen import usm_sharpen
from srzoo.options import load_options
from srzoo.options.tree import OptionsError
from srzoo.state import load_state
from srzoo.training import build_degradation
from srzoo.weights import read_weights
from tests.support import ROOT, photograph, run_train, training_options, write_options

SHIPPED = sorted((ROOT / "options" / "degradations").glob("*.yml"))


def batch(count=4, side=64) -> Any:
    images = [photograph(side, side, top=20 * n, left=25 * n) for n in range(count)]
    gt = torch.stack([torch.from_numpy(image).permute(2, 0, 1).float() / 255 for image in images])
    return {"gt": gt, "key": [f"image {n}" for n in range(count)]}


def black(count, side, **changes) -> Any:
    return {"gt": torch.zeros(1, 3, side, side).expand(count, 3, side, side), "key": [""] * count, **changes}


def part_of(whole, first, last) -> Any:
    return {"gt": whole["gt"][first:last], "key": whole["key"][first:last]}


def shipped(path, tmp_path, **changes):
    options = training_options(tmp_path, scale=4, network_g={"scale": None}, **changes)
    options["network_g"] = {"type": "SRResNet", "num_feat": 4, "num_block": 1}
    options["datasets"]["train"] |= {"gt_size": 64, "batch_size": 4}
    options["base"] = str(path)
    return write_options(tmp_path / "options.yml", options)


def degradation_of(path, tmp_path):
    degradation = build_degradation(load_options(shipped(path, tmp_path)).options, None)
    assert degradation is not None
    return degradation


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_degradation_ends_at_lqs_size_and_8_bits(path, tmp_path):
    degradation = degradation_of(path, tmp_path)
    made = degradation(batch(), step=3, part=0)
    assert made["lq"].shape == (4, 3, 16, 16)
    assert torch.equal(made["gt"], batch()["gt"])
    torch.testing.assert_close(made["lq"] * 255, (made["lq"] * 255).round(), atol=1e-4, rtol=0)
    # It is an image of the same thing.
    reduced = imresize(batch()["gt"], 0.25)
    assert (made["lq"] - reduced).abs().mean() < 0.15


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_parts_of_a_batch_are_degraded_as_the_whole(path, tmp_path):
    degradation = degradation_of(path, tmp_path)
    whole = degradation(batch(), step=5, part=0)["lq"]
    halves = [degradation(part_of(batch(), 2 * part, 2 * part + 2), step=5, part=part)["lq"] for part in (0, 1)]
    # Round may fall to the other side of a half.
    torch.testing.assert_close(torch.cat(halves), whole, atol=1.01 / 255, rtol=0)
    assert (torch.cat(halves) != whole).float().mean() < 1e-3
    assert torch.equal(degradation(batch(), step=6, part=0)["lq"], whole) == (path.stem == "bicubic")


def test_the_bicubic_degradation_is_what_gt_images_make(tmp_path):
    path = ROOT / "options" / "degradations" / "bicubic.yml"
    degradation = degradation_of(path, tmp_path)
    lq = degradation(batch(), 0, 0)["lq"]
    levels = imresize((batch()["gt"] * 255).round().byte(), 0.25).float() / 255
    # MATLAB rounds between its two passes as well.
    assert (lq - levels).abs().max() < 1.51 / 255


class Note:
    """A stage that writes its letter into each sample's diary."""

    def __init__(self, letter, diary):
        self.letter, self.diary = letter, diary

    def __call__(self, images, samples):
        for image, stream in zip(images, samples.streams, strict=True):
            self.diary.setdefault(id(stream), []).append(self.letter)
            assert image.shape == (3, 64, 64)
        return images


class Other(Note):
    pass


def diaries(plan, count=200):
    diary: dict[int, list[str]] = {}
    planned = [ScheduledStage(stage(diary), *rest) for stage, *rest in plan]
    degradation = Degradation(planned, scale=1, seed=0)
    degradation(black(count, 64), 0, 0)
    return ["".join(letters) for letters in diary.values()]


def note(letter, kind=Note):
    return lambda diary: kind(letter, diary)


def test_shuffled_blocks_change_places_and_stay_together():
    orders = diaries(
        [
            (note("a"),),
            (note("b"), 1.0, "first"),
            (note("c"), 1.0, "first"),
            (note("d", Other), 1.0, "second"),
            (note("e"),),
        ]
    )
    assert set(orders) == {"abcde", "adbce"}
    assert 60 < orders.count("abcde") < 140


def test_shuffled_stages_of_one_type_keep_their_order():
    orders = diaries([(note("b"), 1.0, "x"), (note("d", Other), 1.0, "y"), (note("c"), 1.0, "z")])
    assert set(orders) == {"bdc", "bcd", "dbc"}


def test_a_stage_comes_with_its_probability():
    orders = diaries([(note("a"),), (note("b"), 0.3)], count=400)
    assert 80 < orders.count("ab") < 160


@pytest.mark.parametrize("usm", ["none", "lq", "gt"])
def test_what_is_asked_for_is_sharpened(usm):
    plan = [ScheduledStage(Resize(scale=2, modes=("matlab",)))]
    made = Degradation(plan, scale=2, seed=0, usm=usm)(batch(), 0, 0)
    gt, sharp = batch()["gt"], usm_sharpen(batch()["gt"])
    torch.testing.assert_close(made["gt"], sharp if usm == "gt" else gt)
    torch.testing.assert_close(made["lq"], imresize(gt if usm == "none" else sharp, 0.5).clamp(0, 1))


def test_both_are_cut_to_the_same_window_afterwards():
    plan = [ScheduledStage(Resize(scale=2, modes=("area",)))]
    made = Degradation(plan, scale=2, seed=0, gt_size=24)(batch(), 1, 0)
    assert made["gt"].shape[-2:] == (24, 24)
    torch.testing.assert_close(made["lq"], torch.nn.functional.avg_pool2d(made["gt"], 2))
    again = Degradation(plan, scale=2, seed=0, gt_size=24)(batch(), 2, 0)
    assert not torch.equal(made["gt"], again["gt"])


def test_stages_that_stray_from_lqs_size_are_refused():
    with pytest.raises(ValueError, match=r"end at 64x64; GT of 64x64 at scale 2 needs 32x32: add"):
        Degradation([], scale=2, seed=0)(batch(), 0, 0)


def numbered(step, count=2) -> Any:
    values = torch.arange(count * step, count * step + count).float()
    keys = [str(int(value)) for value in values]
    return {"lq": values.view(-1, 1, 1, 1), "gt": values.view(-1, 1, 1, 1) + 0.5, "key": keys}


def test_the_pool_passes_batches_until_it_is_full_and_then_mixes_them():
    pool, seen = PairPool(6), []
    for step in range(40):
        given = numbered(step)
        made = pool.exchange(given, np.random.default_rng(step))
        assert made["key"] == [str(int(value)) for value in made["lq"].flatten()]
        torch.testing.assert_close(made["gt"], made["lq"] + 0.5)
        if step < 3:
            assert made["key"] == given["key"]
        seen += made["key"]
    # After the filling, every sample that came out did so once, and six are still inside.
    later = seen[6:]
    assert len(set(later)) == len(later)
    assert set(later) | set(pool.keys) == {str(n) for n in range(80)}


def test_a_pool_continues_from_its_state():
    first, second = PairPool(6), PairPool(6)
    for step in range(5):
        first.exchange(numbered(step), np.random.default_rng(step))
    second.load_state_dict(first.state_dict())
    for step in range(5, 9):
        results = [pool.exchange(numbered(step), np.random.default_rng(step)) for pool in (first, second)]
        assert results[0]["key"] == results[1]["key"]
        torch.testing.assert_close(results[0]["gt"], results[1]["gt"])


class SharedNumber:
    """A stage that notes a number of the batch."""

    def __init__(self):
        self.numbers = []

    def __call__(self, images, samples):
        (number,) = set(samples.random_per("batch").uniform().tolist())
        self.numbers.append(number)
        return images


def test_numbers_of_the_batch_differ_between_stages_steps_and_seeds_but_not_parts():
    stages = [SharedNumber(), SharedNumber()]
    for seed, step, part in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)):
        Degradation([ScheduledStage(stage) for stage in stages], scale=1, seed=seed)(batch(2, 8), step, part)
    first, second = (stage.numbers for stage in stages)
    assert len({*first[:3], *second[:3]}) == 6
    assert (first[3], second[3]) == (first[0], second[0])


def test_every_window_of_a_crop_is_cut():
    gt = torch.arange(36.0).view(1, 1, 6, 6).expand(200, 3, 6, 6) / 36
    stages = [ScheduledStage(Resize(scale=2, modes=("area",)))]
    made = Degradation(stages, scale=2, seed=0, gt_size=4)(black(200, 6, gt=gt), 0, 0)
    corners = {round(value * 36) for value in made["gt"][:, 0, 0, 0].tolist()}
    assert corners == {0, 2, 12, 14}


def test_other_pairs_leave_the_pool_in_each_step_and_part():
    def chosen(seed, step, part):
        degradation = Degradation([], scale=1, seed=seed, pool=PairPool(20))
        for filling in range(10):
            degradation(black(2, 4, key=[f"{filling}a", f"{filling}b"]), filling, part)
        return tuple(degradation(black(2, 4, key=["x", "y"]), step, part)["key"])

    assert len({chosen(*address) for address in ((0, 10, 0), (0, 11, 0), (0, 10, 1), (1, 10, 0))}) == 4


def test_ranks_share_the_pool_and_get_their_own_part_of_its_state(monkeypatch):
    state = PairPool(6)
    for step in range(3):
        state.exchange(numbered(step), np.random.default_rng(step))
    monkeypatch.setattr("srzoo.ranks.world_size", lambda: 2)
    for rank, keys in ((0, ["0", "1", "2"]), (1, ["3", "4", "5"])):
        monkeypatch.setattr("srzoo.ranks.rank", lambda rank=rank: rank)
        pool = PairPool(6)
        pool.load_state_dict({**state.images, "key": state.keys})
        assert (pool.size, pool.keys) == (3, keys)
        assert [str(int(value)) for value in pool.images["lq"].flatten()] == keys
    with pytest.raises(ValueError, match=r"degradation.pool 7 is not divisible by 2 ranks"):
        PairPool(7)


def test_a_pool_of_another_number_of_ranks_is_refused(monkeypatch):
    pool = PairPool(6)
    pool.exchange(numbered(0), np.random.default_rng(0))
    state = pool.state_dict()
    monkeypatch.setattr("srzoo.degradations.pool.ranks.world_size", lambda: 2)
    with pytest.raises(ValueError, match=r"degradation\.pool: its samples lie on 1 rank\(s\).*there are 2 now"):
        PairPool(6).load_state_dict(state)


def pool_state(state) -> Any:
    return state["data"]


def test_training_with_a_pool_resumes_exactly(tmp_path):
    path = ROOT / "options" / "degradations" / "realesrgan_classical.yml"
    file = shipped(path, tmp_path, degradation={"pool": 8}, logger={"save_freq": 3, "num_states": None})
    assert run_train(file, "name=straight", "train.total_iter=6") == 0
    assert run_train(file, "name=halves", "train.total_iter=3") == 0
    state = load_state(RunFolder(tmp_path / "experiments" / "halves").state_of(3))
    assert len(pool_state(state)["key"]) == 8
    assert run_train(file, "name=halves", "train.total_iter=6", resume="auto") == 0
    nets = [
        read_weights(tmp_path / "experiments" / name / "models" / "net_g_6.safetensors").tensors
        for name in ("straight", "halves")
    ]
    assert all(torch.equal(value, nets[1][key]) for key, value in nets[0].items())


@pytest.mark.ranks
@pytest.mark.slow
def test_the_pool_of_two_processes_resumes_exactly(tmp_path):
    path = ROOT / "options" / "degradations" / "realesrgan_classical.yml"
    file = shipped(path, tmp_path, degradation={"pool": 8}, logger={"save_freq": 3, "num_states": None})

    def train(*arguments):
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        command = [*launcher, str(ROOT / "srzoo" / "train.py"), "-opt", str(file), *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr

    train("--set", "name=straight", "train.total_iter=6")
    train("--set", "name=halves", "train.total_iter=3")
    train("--resume", "auto", "--set", "name=halves", "train.total_iter=6")
    runs = [RunFolder(tmp_path / "experiments" / name) for name in ("straight", "halves")]
    states = [load_state(run.state_of(6)) for run in runs]
    pools = [pool_state(state) for state in states]
    assert len(pools[0]["key"]) == 8
    assert torch.equal(pools[0]["lq"], pools[1]["lq"])
    nets = [read_weights(run.weights_of(6)).tensors for run in runs]
    assert all(torch.equal(value, nets[1][key]) for key, value in nets[0].items())


def test_gt_is_not_sharpened_twice_and_crops_hold_a_window():
    path = ROOT / "options" / "train" / "drct" / "Real-DRCT_x4_GAN.yml"
    with pytest.raises(OptionsError, match=r"model.l1_gt_usm: degradation.usm: gt sharpens GT for all losses already"):
        load_options(path, ["degradation.usm=gt"])
    with pytest.raises(OptionsError, match=r"degradation.gt_size: LQ crops of 8 pixels are smaller than the 16"):
        load_options(path, ["degradation.gt_size=32"])


def test_what_does_not_fit_together_is_refused_with_its_place(tmp_path):
    path = ROOT / "options" / "degradations" / "realesrgan.yml"
    wrong = shipped(path, tmp_path, degradation={"gt_size": 30, "pool": 7})
    with pytest.raises(OptionsError) as caught:
        load_options(wrong, ["datasets.train.type=PairedImages"])
    text = str(caught.value)
    assert "degradation.gt_size: expected a multiple of the scale 4, datasets.train.gt_size 64 at most, got 30" in text
    assert "degradation.pool: expected a multiple of batch_size 4" in text
    assert "datasets.train.type: PairedImages has LQ images already" in text
    stages = "degradation.stages=[{type: Blur, sigma_range: [3, 1]}, {type: Bluur}, {type: JPEG, qualty: 3}, {prob: 2}]"
    with pytest.raises(OptionsError) as caught:
        load_options(shipped(path, tmp_path), [stages])
    text = str(caught.value)
    assert "degradation.stages[1]: unknown degradation 'Bluur'; did you mean 'Blur'?" in text
    assert "degradation.stages[2].qualty: unknown option of JPEG; did you mean" in text
    assert "degradation.stages[3]: `type` is missing" in text
    with pytest.raises(OptionsError, match=r"degradation.stages\[0\].type: Blur: sigma_range: expected 0.001 <= low"):
        load_options(shipped(path, tmp_path), ["degradation.stages=[{type: Blur, sigma_range: [3, 1]}]"])
