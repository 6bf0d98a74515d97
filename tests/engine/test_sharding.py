"""Whole trainings with sharded networks: equal to those with whole ones, whatever the number of ranks."""

import json
from typing import Any

import pytest
import torch

from srzoo.state import load_state
from srzoo.weights import read_weights
from tests.engine.test_watch import training
from tests.support import merged, run_train, training_options, write_options

# Updates follow gradients, whose sums have another order; Adam's follow their signs, which may then differ near zero.
SGD = {"type": "SGD", "lr": 0.05, "momentum": 0.9}
TRAINED = {"network_g": {"num_modules": 2}, "train": {"optim_g": SGD, "accumulate": 2, "grad_clip": 0.1}}
GAN = merged(
    TRAINED,
    {
        "network_d": {"type": "UNetDiscriminatorSN", "num_feat": 8},
        "model": {"type": "GANModel", "net_d_iters": 2, "net_d_init_iters": 1},
        "train": {"optim_d": SGD, "losses": {"gan": {"type": "GANLoss", "weight": 0.1}}},
    },
)
D2C = TRAINED | {
    "network_g": {"type": "D2CNet", "num_modules": None, "num_feat": 16, "num_group": 1, "num_block": 1},
    "model": {"type": "D2CModel", "stage": "convergence"},
}


def run(folder, name, *overrides, num_ranks):
    """Train under torchrun."""
    with training(folder, "--set", f"name={name}", *overrides, num_ranks=num_ranks) as process:
        said = process.communicate(timeout=250)[0]
        assert process.returncode == 0, said
        return said


def state_of(folder, name, step=4):
    return dict[str, Any](load_state(folder / "experiments" / name / "states" / f"{step}.state")["model"])


def assert_close(one, other, share=1e-4):
    """Nested values are of the same names, types, shapes and, up to a share of a tensor's largest value, values."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key, value in one.items():
            assert_close(value, other[key], share)
    elif isinstance(one, list):
        for pair in zip(one, other, strict=True):
            assert_close(*pair, share)
    elif isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=share * float(one.abs().max()) + 1e-6)
    else:
        assert one == other


@pytest.mark.ranks
@pytest.mark.slow
def test_two_ranks_with_a_shard_each_equal_one_with_the_whole_network(tmp_path):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **TRAINED))
    assert run_train(file, "name=one") == 0
    said = run(tmp_path, "two", "parallel=fsdp", num_ranks=2)
    assert said.count("parallel: fsdp divides IMDN_RTC among 2 ranks, 2 blocks and the rest") == 1
    assert_close(state_of(tmp_path, "one"), state_of(tmp_path, "two"))
    one, two = (tmp_path / "experiments" / name for name in ("one", "two"))
    for weights in ("net_g_4.safetensors", "best.safetensors"):
        expected, found = (read_weights(folder / "models" / weights) for folder in (one, two))
        assert_close(dict(expected.tensors), dict(found.tensors))
        assert expected.metadata["arch"] == found.metadata["arch"]
    expected, found = (json.loads((folder / "results" / "held_out.json").read_text()) for folder in (one, two))
    assert [image["key"] for image in found["images"]] == [image["key"] for image in expected["images"]]
    assert found["mean"] == pytest.approx(expected["mean"], rel=1e-4)


@pytest.mark.ranks
@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [GAN, D2C, TRAINED | {"precision": "bf16"}, TRAINED | {"precision": "fp16"}],
    ids=["gan", "d2c", "bf16", "fp16"],
)
def test_recipes_and_precisions_train_as_with_whole_networks(tmp_path, changes):
    write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    for parallel in ("ddp", "fsdp"):
        run(tmp_path, parallel, f"parallel={parallel}", num_ranks=2)
    # Where paths meet, gradients in half precision are summed in another order: one rounding of bf16 is 0.4 %.
    share = 2e-2 if "precision" in changes else 1e-4
    assert_close(state_of(tmp_path, "ddp"), state_of(tmp_path, "fsdp"), share)


@pytest.mark.ranks
@pytest.mark.slow(minutes=2)
def test_shards_continue_on_any_number_of_ranks_and_as_whole_networks(tmp_path):
    file = write_options(
        tmp_path / "x.yml", training_options(tmp_path, **TRAINED, datasets={"train": {"batch_size": 8}})
    )
    assert run_train(file, "name=whole", "train.total_iter=8") == 0
    for updates, num_ranks, parallel in ((2, 2, "fsdp"), (4, 4, "fsdp"), (6, 1, "ddp"), (7, 2, "ddp"), (8, 2, "fsdp")):
        resume = ("--resume", "auto") if updates > 2 else ()
        overrides = (f"train.total_iter={updates}", f"parallel={parallel}")
        said = run(tmp_path, "moved", *overrides, *resume, num_ranks=num_ranks)
        assert updates == 2 or f"at step {updates - (2 if updates < 7 else 1)}" in said
    assert_close(state_of(tmp_path, "whole", 8), state_of(tmp_path, "moved", 8))
