"""Loading option files: accepted values, refused values and their messages, resolved paths."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from srzoo.options import OptionsError, load_options
from srzoo.options.paths import resolve_paths
from srzoo.options.plain import plain
from srzoo.options.schema import MetricEntry, NetworkEntry, Options, PathOptions, ValOptions
from tests.support import ROOT, training_options, write_options


@pytest.fixture
def faults(tmp_path):
    """Write a changed training file and return the faults as text."""

    def load(changes=None, *overrides, text=""):
        path = write_options(tmp_path / "x.yml", training_options(tmp_path, **(changes or {})))
        path.write_text(path.read_text() + text)
        with pytest.raises(OptionsError) as error:
            load_options(path, overrides)
        return [str(fault) for fault in error.value.faults]

    return load


def test_resolved_text_loads_to_the_same_options(tmp_path):
    loaded = load_options(write_options(tmp_path / "x.yml", training_options(tmp_path)))
    (tmp_path / "resolved.yml").write_text(loaded.text)
    again = load_options(tmp_path / "resolved.yml")
    assert again.options == loaded.options
    assert again.text == loaded.text
    assert yaml.safe_load(loaded.text)["train"]["optim_g"]["betas"] == [0.9, 0.999]


def test_paths_inside_a_plugins_own_mappings_are_resolved(tmp_path):
    sources = {"mine": {"gt": "photographs", "limit": 3}}
    changes = {"path": {"root": str(tmp_path)}, "datasets": {"train": {"gt": None, "sources": sources}}}
    options = load_options(write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))).options
    assert options.datasets.train is not None
    source = options.datasets.train.args["sources"]["mine"]
    assert (source.gt, source.limit) == (tmp_path / "photographs", 3)


def test_every_path_starts_at_the_root_but_is_kept_as_written(tmp_path):
    path = {"root": "elsewhere", "experiments": "e", "pretrain_network_g": "w.pth"}
    changes = {"path": path, "datasets": {"train": {"gt": "images"}, "val": {"held_out": {"gt": "/far/away"}}}}
    loaded = load_options(write_options(tmp_path / "x.yml", training_options(tmp_path, **changes)))
    options, text = loaded.options, yaml.safe_load(loaded.text)
    assert options.datasets.train is not None
    assert options.path.root == Path("elsewhere")
    assert options.path.pretrain_network_g == Path("elsewhere/w.pth")
    assert options.datasets.train.args["gt"] == Path("elsewhere/images")
    assert options.datasets.val["held_out"].args["gt"] == Path("/far/away")
    # Run folders and training states keep this text, and resuming compares it.
    assert {key: text["path"][key] for key in path} == path
    assert text["datasets"]["train"]["gt"] == "images"


def test_paths_in_lists_start_at_the_root():
    entry = MetricEntry(type="PSNR", args={"files": (Path("a.txt"), Path("/b.txt"))})
    network = NetworkEntry(type="IMDN", args={})
    path, val = PathOptions(root=Path("elsewhere")), ValOptions(metrics={"mine": entry})
    options = resolve_paths(Options(name="run", scale=2, network_g=network, path=path, val=val))
    assert options.val.metrics["mine"].args["files"] == (Path("elsewhere/a.txt"), Path("/b.txt"))


@pytest.mark.parametrize("root", [None, "~/project", "elsewhere"])
def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch, root):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    home = Path(tmp_path / "home")
    changes = {"path": {"root": root, "pretrain_network_g": "a~/w.pth"}, "datasets": {"train": {"gt": "~/images"}}}
    options = load_options(write_options(tmp_path / "x.yml", training_options(tmp_path, **changes))).options
    assert options.datasets.train is not None
    assert options.datasets.train.args["gt"] == home / "images"
    start = home / "project" if root == "~/project" else Path(root or "")
    assert options.path.pretrain_network_g == start / "a~/w.pth"


def test_keys_inside_a_plugins_own_mappings_are_checked(faults):
    sources = {"mine": {"gt": "photographs", "limt": 3}}
    (fault,) = faults({"datasets": {"train": {"gt": None, "sources": sources}}})
    assert "datasets.train.sources.mine.limt: unknown option of GTImages; did you mean 'limit'?" in fault


def test_options_are_frozen_and_typed(tmp_path):
    options = load_options(write_options(tmp_path / "x.yml", training_options(tmp_path))).options
    with pytest.raises(AttributeError):
        options.scale = 3  # pyright: ignore[reportAttributeAccessIssue]
    assert options.train is not None
    assert options.train.optim_g.args["betas"] == (0.9, 0.999)
    assert plain(options)["train"]["losses"] == {"pixel": {"type": "L1Loss", "weight": 1.0}}


def test_all_faults_at_once_each_with_its_line(faults):
    found = faults(
        {
            "scale": "four",
            "network_g": {"num_feats": 12},
            "datasets": {"train": {"gtt_size": 3, "scale": 3}},
            "train": {"optim_g": {"lrr": 1e-4, "betas": [0.9]}, "losses": {"second": {"type": "L2Loss"}}},
            "val": {"metrics": {"psnr": {"protocol": "basicsr"}}},
            "loger": {"print_freq": 3},
        }
    )
    text = "\n".join(found)
    for expected in (
        "scale: expected integer > 0, got 'four'",
        "network_g.num_feats: unknown option of IMDN_RTC; did you mean 'num_feat'",
        "datasets.train.gtt_size: unknown option of GTImages; did you mean 'gt_size'",
        "datasets.train.scale: is set by the framework",
        "train.optim_g.lrr: unknown option of Adam; did you mean 'lr'?",
        "train.optim_g.betas[1]: required option of Adam is missing",
        "train.losses.second: unknown loss 'L2Loss'; did you mean 'L1Loss'",
        "val.metrics.psnr.protocol: expected basicsr-y | basicsr-rgb",
        "loger: unknown option; did you mean 'logger'?",
    ):
        assert expected in text, f"{expected!r} not in\n{text}"
    assert all("x.yml:" in line for line in found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a b"}, "name: expected a name of letters"),
        ({"name": "../escape"}, "name: expected a name of letters"),
        ({"scale": True}, "scale: expected integer > 0, got True"),
        ({"scale": None}, "scale: required option is missing; expected integer > 0: magnification"),
        ({"scale": 0}, "scale: expected integer > 0, got 0"),
        ({"network_g": None}, "network_g: required option is missing"),
        ({"network_g": {"type": None}}, "network_g: `type` is missing: which network? known: Bicubic"),
        ({"network_g": {"type": "IMDN_AS", "num_modules": 6}}, "scale: the network IMDN_AS works at scale 1, got 2"),
        ({"network_g": {"num_feat": 12.5}}, "network_g.num_feat: expected integer > 0, got 12.5"),
        ({"datasets": {"train": {"gt_size": 33}}}, "gt_size: expected a multiple of the scale 2, got 33"),
        ({"train": {"accumulate": 3}}, "train.accumulate: batch_size 4 is not divisible by 3 micro-batches"),
        ({"train": {"ema_decay": 1}}, "train.ema_decay: expected number >= 0 < 1, got 1"),
        ({"train": None}, "datasets.train: there is data to train on but no `train` section"),
        ({"datasets": {"train": None}}, "train: there is nothing to train on: add datasets.train"),
        ({"val": {"metrics": None}}, "datasets.val: nothing is measured on these: add val.metrics"),
        ({"val": {"tile_rule": "acs", "tile": 32}}, "val.tile: tile_rule: acs chooses the crops itself: remove this"),
        ({"val": {"tile_rule": "drct"}}, "val.tile_rule: drct is a rule for tiles: add val.tile, or remove it"),
        ({"datasets": {"train": {"enlarge": "mirror"}}}, "enlarge: expected true or false or bicubic | each_side"),
        ({"network_g": {"type": "SRResNet", "num_modules": None, "init": "kaiming"}}, "expected published | torch"),
        ({"datasets": {"val": {"a.b": {"type": "GTImages", "gt": "x"}}}}, "expected a name of letters"),
        ({"total_iter": 5}, "total_iter: unknown option; known: base, compile, data"),
        ({"train": {"losses": {}}, "datasets": {"val": {"x": 3}}}, "datasets.val.x: expected block with `type:`"),
        ({"plugins": ["missing.py"]}, "plugins[0]: plugin file"),
    ],
)
def test_each_fault_has_a_plain_message(faults, changes, message):
    found = faults(changes)
    assert any(message in fault for fault in found), found


def test_a_key_of_another_section_is_pointed_to(faults):
    assert any("there is train.total_iter" in fault for fault in faults({"total_iter": 5}))


def test_overrides_are_checked_too(faults):
    (fault,) = faults({}, "train.total_itre=3")
    assert fault.startswith("--set train.total_itre=3: train.total_itre: unknown option; did you mean 'total_iter'")


def test_misspelt_keys_with_null_are_refused(faults):
    assert any("train.grad_clp: unknown option" in fault for fault in faults({}, "train.grad_clp=null"))


def test_environment_variables_are_for_paths_only(tmp_path, monkeypatch, faults):
    monkeypatch.setenv("SRZOO_TEST_DATA", str(tmp_path / "train"))
    path = write_options(tmp_path / "x.yml", training_options(tmp_path))
    options = load_options(path, ["datasets.train.gt=${env:SRZOO_TEST_DATA}/deep"]).options
    assert options.datasets.train is not None
    assert options.datasets.train.args["gt"] == tmp_path / "train" / "deep"
    assert any("is for paths only" in fault for fault in faults({"name": "${env:HOME}"}))
    assert any("SRZOO_UNSET is not set" in fault for fault in faults({"plugins": ["${env:SRZOO_UNSET}/a.py"]}))
    assert any("SRZOO_UNSET is not set" in fault for fault in faults({"path": {"root": "${env:SRZOO_UNSET}"}}))


def test_relative_paths_start_at_the_root(tmp_path):
    path = write_options(tmp_path / "x.yml", training_options(tmp_path, path={"root": "elsewhere", "experiments": "e"}))
    options = load_options(path).options
    assert str(options.run_folder) == "elsewhere/e/run"


def test_broken_yaml_is_one_fault_and_not_five(tmp_path):
    (tmp_path / "x.yml").write_text("name: run\nscale: [2\n")
    with pytest.raises(OptionsError) as error:
        load_options(tmp_path / "x.yml")
    assert len(error.value.faults) == 1


def test_a_missing_file_is_a_plain_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nope.yml does not exist"):
        load_options(tmp_path / "nope.yml")


def test_faults_are_found_before_data_or_device_are_touched(tmp_path):
    bad = write_options(tmp_path / "x.yml", training_options(tmp_path, scale="four", name="bad"))
    script = ROOT / "srzoo" / "train.py"
    done = subprocess.run(
        [sys.executable, str(script), "-opt", str(bad)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "scale: expected integer > 0, got 'four'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "experiments").exists()
