"""The loop: seeds of what is random inside networks, and reports that equal what was computed."""

import itertools
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from srzoo import ranks
from srzoo.batch import Batch
from srzoo.engine import loop
from srzoo.engine.hooks import Print
from srzoo.engine.log import logger, progress_line
from srzoo.engine.loop import Progress
from srzoo.engine.tensorboard import Board
from srzoo.losses.pixel import L1Loss, MSELoss
from srzoo.models.sr import SRModel
from srzoo.optim.schedules import Iteration, MultiStepRestart, WarmUp
from srzoo.registry import ARCHS
from srzoo.streams import network_seed
from tests.support import criterion, learner

CPU = torch.device("cpu")


def model(net, *, start=0, **options):
    losses = criterion(pixel=(L1Loss(), 1.0), square=(MSELoss(), 0.5))
    return SRModel(g=learner(net, iteration=Iteration(start), **options), criterion=losses)


def batches(count) -> Iterator[Batch]:
    """Random micro-batches of two images; the last one is good for further ones."""
    generator = torch.Generator().manual_seed(5)
    for _ in range(count):
        lq = torch.rand(2, 3, 6, 6, generator=generator)
        yield {"lq": lq, "gt": torch.rand(2, 3, 12, 12, generator=generator), "key": ["a", "b"]}


def test_seeds_of_networks_differ_in_seed_step_and_part():
    seeds = {network_seed(*place) for place in itertools.product(range(4), repeat=3)}
    assert len(seeds) == 4**3
    assert network_seed(1, 2, 3) == network_seed(1, 2, 3)


def dropped_channels(*, start=0, total=3, seed=0, accumulate=2):
    """Channels that dropout keeps, in each micro-batch of a run: {(step, part): (B, C) of bool}."""
    torch.manual_seed(0)
    net = ARCHS.build("SRResNet", {"num_feat": 16, "num_block": 1, "dropout": {"prob": 0.5}}, scale=2)
    recipe, kept = model(net, start=start, accumulate=accumulate), []
    for layer in net.modules():
        if "Dropout" in type(layer).__name__:
            layer.register_forward_hook(lambda *given: kept.append(given[2].abs().amax((2, 3)) > 0))
    source = itertools.cycle(batches(1))
    loop.train(recipe, source, total=total, accumulate=accumulate, seed=seed, device=CPU, hooks=[])
    places = itertools.product(range(start, total), range(accumulate))
    return dict(zip(places, kept, strict=True))


def test_dropout_drops_other_channels_in_each_part_of_each_update():
    run = dropped_channels()
    for (first, mask), (second, other) in itertools.combinations(run.items(), 2):
        assert not torch.equal(mask, other), f"{first} and {second} drop the same channels"
    resumed = dropped_channels(start=1)
    assert all(torch.equal(mask, run[place]) for place, mask in resumed.items())
    elsewhere = dropped_channels(seed=1)
    assert not any(torch.equal(mask, run[place]) for place, mask in elsewhere.items())


def test_the_loop_goes_on_from_the_learners_iteration():
    recipe, steps = model(ARCHS.build("IMDN_RTC", {"num_modules": 1}, scale=2), start=2), []
    hook = lambda step, progress: steps.append((step, recipe.g.iteration.number))  # noqa: E731, ARG005
    loop.train(recipe, batches(3), total=5, accumulate=1, seed=0, device=CPU, hooks=[hook])
    assert steps == [(3, 3), (4, 4), (5, 5)]


def test_a_degradation_gets_the_iteration_and_the_number_of_the_part():
    recipe, seen = model(ARCHS.build("IMDN_RTC", {"num_modules": 1}, scale=2)), []

    def degradation(batch, step, part):
        seen.append((step, part))
        return batch | {"lq": batch["gt"][..., ::2, ::2]}

    raw: list[Any] = [{key: value for key, value in batch.items() if key != "lq"} for batch in batches(4)]
    loop.train(recipe, raw, total=2, accumulate=2, seed=0, device=CPU, hooks=[], degradation=degradation)
    assert seen == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_each_rank_has_other_parts(monkeypatch):
    recipe, seen = model(ARCHS.build("IMDN_RTC", {"num_modules": 1}, scale=2)), []
    monkeypatch.setattr(ranks, "rank", lambda: 1)
    spy = lambda batch, step, part: seen.append((step, part)) or batch  # noqa: E731
    loop.train(recipe, batches(4), total=2, accumulate=2, seed=0, device=CPU, hooks=[], degradation=spy)  # pyright: ignore[reportArgumentType]
    assert seen == [(0, 2), (0, 3), (1, 2), (1, 3)]


def test_lines_and_scalars_are_the_means_of_the_terms_and_the_rate_of_the_coming_update(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    schedule = WarmUp(MultiStepRestart(milestones=(2, 4, 5), gamma=0.1), 2)
    recipe = model(nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2)), schedule=schedule, accumulate=2)
    computed, rates, lines = [], [], []
    step_of = recipe.training_step
    recipe.training_step = lambda batch: computed.append(step_of(batch)) or computed[-1]
    recipe.g.stepper.optimizer.register_step_post_hook(lambda own, *_: rates.append(own.param_groups[0]["lr"]))
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    board = Board(tmp_path, True, 1)
    printing = Print(recipe, board, freq=2, total=5, device=CPU)
    try:
        loop.train(recipe, batches(10), total=5, accumulate=2, seed=0, device=CPU, hooks=[printing])
    finally:
        logger.removeHandler(handler)
    board.close()

    events = EventAccumulator(str(tmp_path))
    events.Reload()
    scalars = {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}
    assert rates == pytest.approx([0.5e-3, 1e-3, 1e-4, 1e-4, 1e-5])
    # After update 2 the coming one is the third, after update 4 the fifth; after the last, one that a longer run makes.
    expected_rates = {2: rates[2], 4: rates[4], 5: schedule(1e-3, 5)}
    assert scalars["lr"] == pytest.approx(expected_rates)
    for number, (step, parts) in enumerate({2: computed[0:4], 4: computed[4:8], 5: computed[8:10]}.items()):
        means = {name: sum(part[name].double().item() for part in parts) / len(parts) for name in ("pixel", "square")}
        for name, mean in means.items():
            assert scalars[f"loss/{name}"][step] == pytest.approx(mean)
        line = progress_line(step, 5, means, expected_rates[step], 1.0, 0.0)
        assert lines[number].split(" steps/s")[0].rsplit("  ", 1)[0] == line.split(" steps/s")[0].rsplit("  ", 1)[0]


def test_speed_counts_updates_and_leaves_pauses_out(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    progress = Progress()
    for _ in range(3):
        now[0] += 2.0
        progress.add_waiting(0.5)
        progress.add_update()
    with progress.pause():
        now[0] += 50.0
    assert progress.take(CPU) == ({}, 0.5, 0.25)
    now[0] += 4.0
    progress.add_update()
    assert progress.take(CPU) == ({}, 0.25, 0.0)
