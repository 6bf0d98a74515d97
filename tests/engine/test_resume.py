"""States of earlier versions: options that they do not have, and options whose names have changed since."""

import pytest
import yaml

from srzoo.engine.resume import starting_state
from srzoo.engine.run_folder import RunFolder
from srzoo.state import save_state


@pytest.fixture
def resume(tmp_path):
    """(options of the state, options now) -> the step to continue from."""

    def run(before, now):
        folder = RunFolder(tmp_path)
        save_state(folder.state_of(3), {"model": {}, "data": {}, "step": 3, "options": yaml.safe_dump(before)})
        state, _ = starting_state(folder, "auto", yaml.safe_dump(now), 10)
        assert state is not None
        return state["step"]

    return run


def test_options_added_since_have_their_earlier_effect(resume):
    before = {"datasets": {"train": {"gt_size": 64}}, "network_g": {"type": "SRResNet"}}
    now = {
        "datasets": {"train": {"gt_size": 64, "round_lq": True, "lq_multiple": 1}},
        "network_g": {"type": "SRResNet", "init": "published"},
    }
    assert resume(before, now) == 3
    for key, value in (("round_lq", False), ("lq_multiple", 2)):
        changed = {**now, "datasets": {"train": {**now["datasets"]["train"], key: value}}}
        with pytest.raises(ValueError, match=f"datasets.train.{key}: (True|1) then, {value} now"):
            resume(before, changed)


def test_the_kernel_that_checks_expect_may_differ(resume):
    options = {"datasets": {"train": {"gt_size": 64}}}
    assert resume(options, {"datasets": {"train": {"gt_size": 64, "lq_kernel": "pil"}}}) == 3


def test_dropout_in_every_second_block_was_called_half(resume):
    before = {"network_g": {"type": "SRResNet", "dropout": {"position": "half"}}}
    same = {"network_g": {"type": "SRResNet", "init": "published", "dropout": {"position": "every_2"}}}
    other = {"network_g": {"type": "SRResNet", "init": "published", "dropout": {"position": "half"}}}
    assert resume(before, same) == 3
    with pytest.raises(ValueError, match=r"network_g\.dropout\.position: 'every_2' then, 'half' now"):
        resume(before, other)
    assert resume(other, other) == 3
    before["network_g"]["dropout"]["position"] = ["quarter", "last"]
    same["network_g"]["dropout"]["position"] = ["every_4", "last"]
    assert resume(before, same) == 3
