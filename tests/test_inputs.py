"""Files that decide a training: changed ones are listed and refused when it is resumed, moved ones are not."""

import shutil
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from srzoo.data.fingerprint import FileMark, changes, record_of_files
from srzoo.engine.inputs import encoded, refuse_other_inputs
from srzoo.images import write_image
from srzoo.inputs import inputs_of
from srzoo.options import load_options
from srzoo.state import load_state, save_state
from tests.support import photograph, run_train, training_options, write_options


@pytest.fixture
def file(tmp_path):
    """Option file of a run that has done two of its four updates."""
    file = write_options(tmp_path / "x.yml", training_options(tmp_path))
    assert run_train(file, "train.total_iter=2") == 0
    return file


def state_of(tmp_path, step, name="run"):
    return tmp_path / "experiments" / name / "states" / f"{step}.state"


def test_changed_data_is_listed_and_refused_or_accepted(file, tmp_path, capsys):
    (tmp_path / "train" / "01.png").unlink()
    (tmp_path / "train" / "03.png").rename(tmp_path / "train" / "new.png")
    write_image(tmp_path / "train" / "02.png", photograph(96, 120, top=5))
    assert run_train(file, resume="auto") == 2
    message = capsys.readouterr().err
    for part in (
        "the state after 2 updates was trained with other files",
        "datasets.train: 2 missing: '01', '03'",
        "datasets.train: 1 new: 'new'",
        "datasets.train: 1 changed: '02'",
        "--accept-changes",
    ):
        assert part in message
    assert not state_of(tmp_path, 4).exists()
    assert run_train(file, resume="auto", accept_changes=True) == 0
    assert "continuing with other files than before" in capsys.readouterr().out
    assert "datasets.train: 1 changed: '02'" in (tmp_path / "experiments" / "run" / "train.log").read_text()
    # From now on, these are the files of the run.
    assert run_train(file, "train.total_iter=5", resume="auto") == 0


def test_data_and_run_may_move(file, tmp_path, monkeypatch):
    assert run_train(file, "name=whole") == 0
    shutil.move(tmp_path / "train", tmp_path / "elsewhere" / "images")
    shutil.copytree(tmp_path / "experiments" / "run", tmp_path / "runs" / "renamed")
    monkeypatch.setenv("PLACE", str(tmp_path / "elsewhere"))
    moved = ("datasets.train.gt=${env:PLACE}/images", f"path.experiments={tmp_path / 'runs'}", "name=renamed")
    assert run_train(file, *moved, resume="auto") == 0
    monkeypatch.chdir(tmp_path)
    shutil.copytree("elsewhere", "third")
    rooted = (f"path.root={tmp_path}", "datasets.train.gt=third/images", f"path.experiments={tmp_path / 'runs'}")
    assert run_train(file, *rooted, "name=renamed", "train.total_iter=5", resume="auto") == 0
    assert run_train(file, *moved, "train.total_iter=6", resume="auto") == 0
    states = state_of(tmp_path, 4, "whole"), tmp_path / "runs" / "renamed" / "states" / "4.state"
    loaded: list[Any] = [load_state(path)["model"] for path in states]
    one, other = (model["net_g"] for model in loaded)
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_options_that_are_no_paths_are_compared_as_before(file, capsys):
    assert run_train(file, "datasets.train.use_rot=false", resume="auto", accept_changes=True) == 2
    assert "datasets.train.use_rot: True then, False now" in capsys.readouterr().err


def test_states_without_a_record_resume_and_say_so(file, tmp_path, capsys):
    state = {key: value for key, value in load_state(state_of(tmp_path, 2)).items() if key != "inputs"}
    save_state(state_of(tmp_path, 2), state)
    shutil.move(tmp_path / "train", tmp_path / "moved")
    # Without a record, nothing shows that another path leads to the same data.
    assert run_train(file, f"datasets.train.gt={tmp_path / 'moved'}", resume="auto") == 2
    assert "datasets.train.gt: " in capsys.readouterr().err
    shutil.move(tmp_path / "moved", tmp_path / "train")
    assert run_train(file, resume="auto") == 0
    assert "does not record the files of its training: they are not compared" in capsys.readouterr().out
    assert "inputs" in load_state(state_of(tmp_path, 4))


def test_a_changed_plugin_is_noticed(tmp_path):
    plugin = tmp_path / "my_loss.py"
    source = (
        "import torch\nfrom srzoo.registry import LOSSES\n\n@LOSSES.register\nclass MyLoss(torch.nn.Module):\n"
        "    '''Mine.'''\n    def __init__(self) -> None:\n        super().__init__()\n\n"
        "    def forward(self, sr, gt):\n        return (sr - gt).abs().mean()\n"
    )
    plugin.write_text(source)
    options = training_options(tmp_path, plugins=[str(plugin)], train={"losses": {"pixel": {"type": "MyLoss"}}})
    loaded = load_options(write_options(tmp_path / "x.yml", options))
    assert ("plugins", 0) in loaded.path_keys
    dataset: Any = TensorDataset(torch.zeros(7))
    fewer: Any = TensorDataset(torch.zeros(6))
    before = encoded(inputs_of(loaded.options, dataset))
    assert before.keys() == {"datasets.train", "datasets.train.gt", "plugins.0"}
    plugin.write_text(source.replace("abs()", "square()"))
    with pytest.raises(ValueError, match=r"plugins\.0: 1 changed"):
        refuse_other_inputs(3, before, encoded(inputs_of(loaded.options, dataset)), accept_changes=False)
    plugin.write_text(source)
    refuse_other_inputs(3, before, encoded(inputs_of(loaded.options, dataset)), accept_changes=False)
    # Of a user's dataset, the length and the files in its folders count.
    shorter = encoded(inputs_of(loaded.options, fewer))
    with pytest.raises(ValueError, match=r"datasets\.train: 1 changed: 'samples'"):
        refuse_other_inputs(3, before, shorter, accept_changes=False)
    (tmp_path / "train" / "00.png").unlink()
    with pytest.raises(ValueError, match=r"datasets\.train\.gt: 1 missing: '00\.png'"):
        refuse_other_inputs(3, before, encoded(inputs_of(loaded.options, dataset)), accept_changes=False)


def test_above_the_limit_names_and_sizes_decide(file, tmp_path, capsys):
    assert run_train(file, "data.hash_limit=0", "name=large", "train.total_iter=2") == 0
    assert "GB are more than data.hash_limit" in capsys.readouterr().out
    image = tmp_path / "train" / "02.png"
    raw = bytearray(image.read_bytes())
    image.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert run_train(file, "name=large", resume="auto") == 0
    assert run_train(file, resume="auto") == 2
    image.write_bytes(raw + b"x")
    assert run_train(file, "name=large", "train.total_iter=5", "data.hash_limit=0", resume="auto") == 2
    assert "1 changed: '02'" in capsys.readouterr().err


def test_the_order_of_images_counts_and_long_lists_are_shortened():
    marks = {f"{number}": FileMark(number, "ab") for number in range(9)}
    assert changes(marks, marks) == []
    assert changes(marks, dict(reversed(marks.items()))) == ["in another order"]
    assert changes(marks, {}) == ["9 missing: '0', '1', '2', '3', ... (5 more)"]
    assert not FileMark(1, "abcdef").differs(FileMark(1, "abc"))
    assert FileMark(1, "abcdef").differs(FileMark(1, "abd"))


def test_names_may_be_any_text(tmp_path):
    (tmp_path / "image").write_bytes(b"x")
    files = record_of_files({"a\nb \udcff'": tmp_path / "image"})
    record = encoded({"datasets.train": files, "empty": record_of_files({})})
    assert record["datasets.train"].startswith("a\nb \udcff'\0001\0002d711642b726")
    save_state(tmp_path / "1.state", {"model": {}, "data": {}, "step": 1, "options": "", "inputs": record})
    assert load_state(tmp_path / "1.state").get("inputs") == record
    refuse_other_inputs(1, record, record, accept_changes=False)
