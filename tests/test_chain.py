"""Chains of trainings: each stage from the weights of the one before; resumed and reported as one."""

from pathlib import Path

import pytest
import torch
import yaml

from srzoo.chain import weights_after
from srzoo.options import OptionsError, load_chain, load_options
from srzoo.weights import read_weights
from tests.support import ROOT, run_train, training_options, write_options


@pytest.fixture
def chain(tmp_path):
    """x2 for two updates, x4 from it for two more, x4 alone for one."""
    stages = {
        "x2": {"train": {"total_iter": 2}},
        "x4": {"scale": 4, "path": {"load": "partial"}, "train": {"total_iter": 2, "optim_g": {"lr": 1e-4}}},
        "alone": {"seed": 1, "scale": 4, "path": {"pretrain_network_g": None}, "train": {"total_iter": 1}},
    }
    network = {"type": "SRResNet", "num_feat": 4, "num_block": 1}
    options = training_options(tmp_path, name="chain", stages=stages, network_g=network)
    del options["network_g"]["num_modules"]
    return write_options(tmp_path / "chain.yml", options)


def weights(tmp_path, stage, step, run="chain"):
    return read_weights(tmp_path / "experiments" / run / stage / "models" / f"net_g_{step}.safetensors").tensors


def test_each_stage_starts_from_the_one_before_unless_it_names_weights(chain, tmp_path):
    loaded = load_chain(chain, (), weights_after)
    assert list(loaded) == ["x2", "x4", "alone"]
    assert loaded["x2"].options.path.pretrain_network_g is None
    first = tmp_path / "experiments" / "chain" / "x2" / "models" / "net_g_2.safetensors"
    assert loaded["x4"].options.path.pretrain_network_g == first
    assert loaded["alone"].options.path.pretrain_network_g is None
    assert loaded["x4"].options.run_folder == tmp_path / "experiments" / "chain" / "x4"
    assert loaded["x4"].options.train is not None
    assert loaded["x4"].options.train.optim_g.args["lr"] == 1e-4


def test_overrides_reach_every_stage_or_one(chain):
    overrides = ["train.total_iter=7", "stages.x4.train.ema_decay=0", "seed=3"]
    loaded = load_chain(chain, overrides, weights_after)
    trainings = [stage.options.train for stage in loaded.values()]
    assert [training and training.total_iter for training in trainings] == [7, 7, 7]
    assert [training and training.ema_decay for training in trainings] == [0.9, 0, 0.9]
    assert {stage.options.seed for stage in loaded.values()} == {3}


def test_an_override_of_one_stage_wins_over_one_of_all_in_any_order(chain):
    overrides = ["stages.x4.train.total_iter=300", "train.total_iter=100"]
    for given in (overrides, overrides[::-1]):
        trainings = [stage.options.train for stage in load_chain(chain, given, weights_after).values()]
        assert [training and training.total_iter for training in trainings] == [100, 300, 100]


def test_an_override_of_a_stage_that_is_not_there_is_refused(chain, tmp_path):
    with pytest.raises(OptionsError, match=r"stages.x44: no stage of that name; did you mean 'x4'"):
        load_chain(chain, ["stages.x44.train.total_iter=3"], weights_after)
    single = write_options(tmp_path / "single.yml", training_options(tmp_path))
    with pytest.raises(OptionsError, match=r"no stage of that name; this file has none"):
        load_chain(single, ["stages.x4.train.total_iter=3"], weights_after)


@pytest.mark.parametrize("path", sorted((ROOT / "options" / "train").rglob("*.yml")), ids=lambda path: path.stem)
def test_shipped_chains_run_below_their_own_name(path):
    written = yaml.safe_load(path.read_text())
    if path.name.startswith("_") or "sweep" in written:
        return
    for name, loaded in load_chain(path, (), weights_after).items():
        folder = Path("experiments") / written["name"] / name
        assert loaded.options.run_folder == folder


def test_a_chain_can_be_inherited_from_another_folder(tmp_path):
    write_options(tmp_path / "there" / "one.yml", training_options(tmp_path, train={"total_iter": 9}))
    (tmp_path / "there" / "chain.yml").write_text("name: chain\nstages:\n  one: {base: one.yml}\n")
    (tmp_path / "mine.yml").write_text("name: mine\nbase: there/chain.yml\nseed: 5\n")
    (loaded,) = load_chain(tmp_path / "mine.yml", (), weights_after).values()
    assert loaded.options.run_folder == tmp_path / "experiments" / "mine" / "one"
    assert loaded.options.train is not None
    assert loaded.options.train.total_iter == 9


def test_weights_of_the_stage_before_are_read_as_srzoos_whatever_the_first_stage_reads(chain):
    overrides = ["path.pretrain_network_g=published.pth", "path.param_key_g=params_ema"]
    loaded = load_chain(chain, [f"stages.x2.{override}" for override in overrides], weights_after)
    assert loaded["x2"].options.path.param_key_g == "params_ema"
    assert loaded["x4"].options.path.param_key_g == "auto"


def test_problems_of_later_stages_are_reported_before_the_first_starts(chain, tmp_path, capsys):
    wrong = [
        f"stages.{name}.datasets.train.gt={tmp_path / place}" for name, place in (("x4", "here"), ("alone", "there"))
    ]
    assert run_train(chain, *wrong) == 2
    said = capsys.readouterr().err
    assert "stage x4: " in said
    assert "here does not exist" in said
    assert "stage alone: " in said
    assert "there does not exist" in said
    assert not (tmp_path / "experiments" / "chain" / "x2").exists()


def test_a_stage_does_not_continue_on_other_weights_than_it_began_from(chain, capsys):
    assert run_train(chain, "stages.x4.train.total_iter=1", "stages.alone=null") == 0
    assert run_train(chain, "stages.x2.train.total_iter=3", resume="auto") == 2
    assert "stage x4: it began from" in capsys.readouterr().err


def test_weights_named_by_a_stage_below_the_root_are_recognised_when_it_continues(chain, tmp_path):
    assert run_train(chain, "name=first", "stages.x4=null", "stages.alone=null") == 0
    saved = tmp_path / "experiments" / "first" / "x2" / "models" / "net_g_2.safetensors"
    saved.rename(tmp_path / "w.safetensors")
    overrides = [f"path.root={tmp_path}", "stages.x2.path.pretrain_network_g=w.safetensors", "stages.x4=null"]
    overrides.append("stages.alone=null")
    assert run_train(chain, *overrides) == 0
    assert run_train(chain, *overrides, resume="auto") == 0


def test_other_options_for_a_stage_that_is_done_are_refused(chain, capsys):
    assert run_train(chain, "stages.x4=null", "stages.alone=null") == 0
    assert run_train(chain, "stages.x2.train.optim_g.lr=1.0", resume="auto") == 2
    assert "was trained under other options" in capsys.readouterr().err


def test_a_chain_runs_and_reports(chain, tmp_path, capsys):
    assert run_train(chain) == 0
    said = capsys.readouterr().out
    assert "stage 2 of 3: x4" in said
    # Partial loading says what it kept and what it began anew.
    assert "upconv2.weight" in said
    table = said[said.rindex("stage  ") :].splitlines()
    assert [line.split()[:2] for line in table[1:]] == [["x2", "2"], ["x4", "2"], ["alone", "1"]]
    assert "held_out psnr" in table[2]
    # Two updates at 1e-4 leave the second stage near the first, and not near the third.
    key = "conv_first.weight"
    first, second, third = (weights(tmp_path, *stage)[key] for stage in (("x2", 2), ("x4", 2), ("alone", 1)))
    assert (second - first).abs().max() < 1e-3
    assert (third - first).abs().max() > 1e-2


def test_an_interrupted_chain_continues_exactly(chain, tmp_path, capsys):
    assert run_train(chain, "name=straight") == 0
    assert run_train(chain, "name=halves", "stages.x4.train.total_iter=1", "stages.alone=null") == 0
    capsys.readouterr()
    assert run_train(chain, "name=halves") == 2
    assert "exists already and is left as it is" in capsys.readouterr().err
    assert run_train(chain, "name=halves", resume="auto") == 0
    for stage in (("x2", 2), ("x4", 2), ("alone", 1)):
        straight, halves = (weights(tmp_path, *stage, run=run) for run in ("straight", "halves"))
        assert all(torch.equal(value, halves[key]) for key, value in straight.items())


def test_a_stage_may_have_a_base(tmp_path):
    base = training_options(tmp_path, train={"total_iter": 9})
    write_options(tmp_path / "base.yml", base)
    file = tmp_path / "chain.yml"
    file.write_text("name: chain\nstages:\n  one: {base: base.yml}\n  two: {base: base.yml, train: {total_iter: 3}}\n")
    loaded = load_chain(file, (), weights_after)
    assert [stage.options.train and stage.options.train.total_iter for stage in loaded.values()] == [9, 3]
    assert [stage.options.run_folder.parts[-2:] for stage in loaded.values()] == [("chain", "one"), ("chain", "two")]


def test_all_faults_of_all_stages_are_reported_with_their_lines(tmp_path):
    options = training_options(tmp_path)
    options["stages"] = {"a": {"train": {"total_itr": 3}}, "b": {"scale": "two"}}
    file = write_options(tmp_path / "chain.yml", options)
    lines = file.read_text().splitlines()
    with pytest.raises(OptionsError) as caught:
        load_chain(file, (), weights_after)
    text = str(caught.value)
    assert f"chain.yml:{1 + lines.index('      total_itr: 3')}: train.total_itr: unknown option" in text
    assert f"chain.yml:{1 + lines.index('    scale: two')}: scale: expected integer > 0, got 'two'" in text


def test_malformed_chains_are_refused(chain, tmp_path, capsys):
    for stages in ([], {"one": 3}, "x"):
        file = write_options(tmp_path / "bad.yml", training_options(tmp_path) | {"stages": stages})
        with pytest.raises(OptionsError, match="stages: expected one or more named stages"):
            load_chain(file, (), weights_after)
    with pytest.raises(OptionsError, match="a chain of trainings is for train"):
        load_options(chain)
    assert run_train(chain, resume="somewhere.state") == 2
    assert "a chain of trainings finds its states itself" in capsys.readouterr().err
    with pytest.raises(OptionsError, match="stage: unknown option; did you mean 'stages'"):
        load_options(write_options(tmp_path / "typo.yml", training_options(tmp_path) | {"stage": {}}))


def test_the_command_line_shows_every_stage(chain, capsys):
    import sys

    from srzoo import cli

    sys.argv = ["srzoo", "options", "show", str(chain)]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    shown = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [options["name"] for options in shown] == ["x2", "x4", "alone"]


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a/b", ".hidden"])
def test_a_chain_whose_name_is_no_folder_is_refused(chain, tmp_path, name):
    with pytest.raises(OptionsError, match=r"name: expected a name that can be a folder"):
        load_chain(chain, [f"name={name}"], weights_after)
    assert not (tmp_path / "experiments").exists()
