"""Every shipped training option trains: two updates, a validation, a save and an exact resume on small real crops."""

import pytest
import torch
import yaml

from srzoo.checkpoint import read_weights
from srzoo.options import load_options
from srzoo.registry import ARCHS
from tests.options.test_files import WHOLE
from tests.support import ROOT, run_train, write_options, write_photographs

TRAININGS = [path for path in WHOLE if (ROOT / "options" / "train") in path.parents]
# The full size of these is for GPUs; a CPU tries the recipe on fewer groups.
SMALLER = {
    "RRDBNet": {"num_block": 2},
    "DRCT": {"depths": [6], "num_heads": [6]},
    "D2CNet": {"num_group": 1, "num_block": 1},
}


def small(path, tmp_path):
    """The file over small crops of photographs: only data, sizes and steps are changed."""
    options = load_options(path).options
    scale, network = options.scale, options.network_g
    write_photographs(tmp_path / "gt", 4, 48 * scale, 56 * scale)
    side = max(16, getattr(ARCHS[network.type], "multiple_of", 1)) * scale
    train = {"gt_size": side, "batch_size": 2, "num_workers": 0}
    images = {"type": "GTImages", "gt": str(tmp_path / "gt")}
    tree = yaml.safe_load(load_options(path).text)
    tree["datasets"] = {
        "train": {**images, **train, "use_hflip": True, "use_rot": True},
        "val": {"held_out": images},
    }
    tree["network_g"] |= SMALLER.get(network.type, {})
    tree["path"] = {"experiments": str(tmp_path / "experiments")}
    tree["logger"] |= {"use_tb_logger": False}
    tree["train"]["total_iter"] = 2
    tree["data"]["allow_overlap"] = True
    return write_options(tmp_path / "small.yml", tree)


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.stem)
def test_it_trains_validates_saves_and_resumes_exactly(path, tmp_path):
    file = small(path, tmp_path)
    assert run_train(file, "name=straight") == 0
    assert run_train(file, "name=halves", "train.total_iter=1") == 0
    assert run_train(file, "name=halves", resume="auto") == 0
    results = tmp_path / "experiments" / "straight" / "results" / "held_out.json"
    assert results.is_file()
    nets = [
        read_weights(tmp_path / "experiments" / name / "models" / "net_g_2.safetensors").tensors
        for name in ("straight", "halves")
    ]
    assert all(torch.equal(value, nets[1][key]) for key, value in nets[0].items())
