"""A run that continues on another number of ranks: the same samples, and weights equal up to the order of summation."""

from typing import Any

import pytest
import torch

from srzoo.state import load_state
from tests.engine.test_watch import training
from tests.support import run_train, training_options, write_options


@pytest.mark.ranks
@pytest.mark.slow
def test_a_run_continues_on_one_two_and_four_ranks(tmp_path):
    changes = {"train": {"optim_g": {"type": "SGD", "lr": 0.05}}, "datasets": {"val": None}}
    file = write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))
    assert run_train(file, "name=whole", "train.total_iter=8") == 0
    for updates, num_ranks in ((2, 1), (4, 2), (6, 4), (8, 1)):
        arguments = ("--resume", "auto", "--set", f"train.total_iter={updates}")
        with training(tmp_path, *arguments, num_ranks=num_ranks) as process:
            said = process.communicate(timeout=200)[0]
            assert process.returncode == 0, said
    states = [tmp_path / "experiments" / name / "states" / "8.state" for name in ("whole", "run")]
    whole, moved = (dict[str, Any](load_state(path)["model"]) for path in states)
    for network in ("net_g", "net_g_ema"):
        for key, value in whole[network].items():
            torch.testing.assert_close(moved[network][key], value, rtol=1e-5, atol=1e-6)
