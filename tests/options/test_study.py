"""Studies in option files: variants, seeds, tests, and every fault with its line."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srzoo.chain import weights_after
from srzoo.command import Arguments, execute
from srzoo.commands import options_show
from srzoo.options import OptionsError, is_study, load_chain, load_options, load_study
from srzoo.options.inheritance import OptionFiles
from srzoo.options.limits import MAX_VARIANTS
from srzoo.options.sweep import read_sweep
from tests.support import training_options, write_options

NETWORK = {"type": "SRResNet", "num_feat": 8, "num_block": 4, "num_modules": None}
GRID = {"network_g.dropout.prob": [0.3, 0.7], "network_g.dropout.position": ["last", "half"]}
TEST = {
    "scale": 2,
    "datasets": {"test": {"own": {"type": "GTImages", "gt": "somewhere"}}},
    "val": {"metrics": {"psnr": {"type": "PSNR", "protocol": "reflash-rgb"}}},
}


@pytest.fixture
def load(tmp_path):
    """Return a function that loads a study of these options."""

    def loaded(sweep, *overrides, test=None, **changes):
        options = training_options(tmp_path, network_g=NETWORK, name="study", **changes) | {"sweep": sweep}
        if test is not None:
            write_options(tmp_path / "test.yml", test)
            options["test"] = "test.yml"
        return load_study(write_options(tmp_path / "study.yml", options), overrides, weights_after)

    return loaded


def faults_of(load, *arguments, **changes):
    with pytest.raises(OptionsError) as error:
        load(*arguments, **changes)
    return "\n".join(map(str, error.value.faults))


def test_a_grid_is_all_combinations_with_every_seed(load, tmp_path):
    study = load(GRID | {"seed": [3, 5]})
    assert [variant.name for variant in study.variants] == [
        "prob-0.3_position-last", "prob-0.3_position-half", "prob-0.7_position-last", "prob-0.7_position-half"
    ]  # fmt: skip
    assert study.folder == tmp_path / "experiments" / "study"
    # The first seed of every variant comes first, so that a stopped study has a whole table.
    assert [run.seed for run in study.runs] == [3] * 4 + [5] * 4
    last = study.runs[-1].training
    assert last.options.network_g.args["dropout"].prob == 0.7
    assert last.options.network_g.args["dropout"].position == "half"
    assert last.options.run_folder == study.folder / "prob-0.7_position-half_s5"
    assert (last.options.seed, yaml.safe_load(last.text)["seed"]) == (5, 5)


def test_the_options_of_a_run_are_a_complete_file(load, tmp_path):
    run = load(GRID).runs[0]
    (tmp_path / "run.yml").write_text(run.training.text)
    assert load_options(tmp_path / "run.yml") == run.training


def test_named_variants_come_before_the_grid(load):
    study = load({"variants": {"none": {"network_g.dropout": None}, "wide": {"network_g": {"num_feat": 12}}}, **GRID})
    assert [variant.name for variant in study.variants][:3] == ["none", "wide", "prob-0.3_position-last"]
    args = [run.training.options.network_g.args for run in study.runs]
    assert (args[0]["dropout"], args[1]["num_feat"], args[1]["num_block"]) == (None, 12, 4)


def test_seeds_alone_repeat_one_variant(load):
    study = load({"seed": [0, 1]})
    assert [run.name for run in study.runs] == ["base_s0", "base_s1"]


def test_variants_with_equal_options_are_trained_once(load):
    sweep = {"network_g.dropout.prob": [0.0, 0.5], "network_g.dropout.position": ["last", "half"]}
    study = load(sweep | {"variants": {"none": {"network_g.dropout": None}, "same": {"network_g.num_feat": 8}}})
    same = {variant.name: variant.same_as for variant in study.variants}
    assert same == {
        "none": "", "same": "none", "prob-0.0_position-last": "none", "prob-0.0_position-half": "none",
        "prob-0.5_position-last": "", "prob-0.5_position-half": "",
    }  # fmt: skip
    assert [run.variant for run in study.runs] == ["none", "prob-0.5_position-last", "prob-0.5_position-half"]


def test_options_that_change_a_training_make_other_variants(load):
    sweep = {"train.optim_g.lr": [1e-3, 1e-4], "train.ema_decay": [0.9, 0.99]}
    assert [variant.same_as for variant in load(sweep).variants] == [""] * 4


def test_a_test_takes_network_scale_and_weights_from_the_training(load, tmp_path):
    sweep = {"network_g.num_feat": [8, 12], "seed": [0, 4]}
    study = load(sweep, test=TEST | {"network_g": {"type": "Bicubic"}, "path": {"pretrain_network_g": "other.pth"}})
    run = study.runs[-1]
    options = run.test.options
    assert (options.network_g, options.scale, options.seed) == (run.training.options.network_g, 2, 4)
    assert options.path.pretrain_network_g == weights_after(run.training.options)
    assert options.run_folder == tmp_path / "experiments" / "study" / "test" / "num_feat-12_s4"
    assert options.val.metrics["psnr"].args["protocol"] == "reflash-rgb"
    assert list(options.datasets.test) == ["own"]
    assert options.train is None


def test_overrides_reach_the_trainings_the_study_and_the_test_file(load):
    overrides = ["train.total_iter=7", "sweep.seed=[1]", "sweep.network_g.dropout.prob=[0.1]", "name=other"]
    overrides += ["test.datasets.test.own.gt=elsewhere"]
    study = load(GRID, *overrides, test=TEST)
    assert [run.name for run in study.runs] == ["prob-0.1_position-last_s1", "prob-0.1_position-half_s1"]
    assert study.folder.name == "other"
    assert study.runs[0].training.options.train.total_iter == 7
    assert study.runs[0].test.options.datasets.test["own"].args["gt"].name == "elsewhere"
    assert len(load(GRID, "sweep.network_g.dropout.prob=null").runs) == 2


def test_all_faults_are_reported_at_once_with_their_lines(load, tmp_path):
    sweep = {"network_g.dropout.pob": [0.3], "train.ema_decay": [0.9, 7], "seed": [1, 1], "scale": 3}
    found = faults_of(load, sweep, "train.total_itr=3", "sweep.network_g.num_feat=8")
    lines = (tmp_path / "study.yml").read_text().splitlines()
    line = {key: next(n for n, text in enumerate(lines, 1) if text.startswith(f"  {key}")) for key in sweep}
    file = tmp_path / "study.yml"
    assert f"{file}:{line['network_g.dropout.pob'] + 1}: network_g.dropout.pob: unknown option" in found
    assert "did you mean 'prob'?" in found
    assert f"{file}:{line['train.ema_decay'] + 2}: train.ema_decay: expected number" in found
    assert f"{file}:{line['seed']}: sweep.seed: given twice: 1" in found
    assert f"{file}:{line['scale']}: sweep.scale: expected a list of values, got 3" in found
    assert "--set train.total_itr=3: train.total_itr: unknown option; did you mean 'total_iter'?" in found
    assert "--set sweep.network_g.num_feat=8: sweep.network_g.num_feat: expected a list of values, got 8" in found


def test_a_fault_of_one_variant_names_it(load):
    found = faults_of(load, {"network_g.dropout.position": ["last", "block_9"]})
    assert found.count("dropout position must be") == 1
    assert "variant position-block_9: SRResNet: dropout position" in found


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ({"variants": {"a": {"seed": 1}}}, "sweep.variants.a.seed: seeds are repetitions"),
        ({"name": ["a", "b"]}, "sweep.name: a study names the run of each training itself"),
        ({"path.experiments": ["a", "b"]}, "a study places the run"),
        ({"variants": {"a": {"path": {"experiments": "b"}}}}, "a study places the run"),
        ({"variants": {"a b": {"scale": 2}}}, "expected a name that can be a folder"),
        ({"variants": {"a": 3}}, "expected options, such as"),
        ({"variants": {}}, "expected names of variants"),
        ({"variants": {"scale-2": {"scale": 3}}, "scale": [2, 3]}, "is the name of a variant of the grid too"),
        ({"scale": [2, 2]}, "sweep.scale: given twice: 2"),
        ({"scale..x": [2]}, "expected keys with dots between them"),
        ({"seed": [-1]}, "sweep.seed: expected a list of integers >= 0, got [-1]"),
        ({"seed": 3}, "sweep.seed: expected a list of integers >= 0, got 3"),
        ({"scale": []}, "expected a list of values, got []"),
        ([1], "expected options, each with a list of values, or `variants`, got [1]"),
        ({"seed": list(range(MAX_VARIANTS + 1))}, "expected at most 100 seeds"),
        ({"train.total_iter": list(range(1, MAX_VARIANTS + 2))}, f"expected at most {MAX_VARIANTS} variants"),
    ],
)  # fmt: skip
def test_a_wrong_sweep_says_so(load, sweep, expected):
    assert expected in faults_of(load, sweep)


def test_values_that_are_written_alike_get_different_names(load, tmp_path):
    with pytest.raises(OptionsError):  # a text is no probability
        load({"network_g.dropout.prob": [0.1, "0.1"]})
    found = read_sweep(tmp_path / "study.yml", (), OptionFiles()).variants
    assert list(found) == ["prob-0.1", "prob-0.1.2"]
    with pytest.raises(OptionsError):
        load({"train.optim_g.lr": [1e-3], "train.lr": [[0.5, None], {"a": True}]})
    found = read_sweep(tmp_path / "study.yml", (), OptionFiles()).variants
    assert list(found) == ["optim_g.lr-0.001_train.lr-0.5-none", "optim_g.lr-0.001_train.lr-true"]


def test_an_override_of_a_swept_option_is_refused(load):
    assert "is swept: change sweep.network_g.dropout.prob" in faults_of(load, GRID, "network_g.dropout.prob=0.1")


def test_a_wrong_test_file_says_so(load, tmp_path):
    assert "expected 2, the scale of the trainings, got 4" in faults_of(load, GRID, test=TEST | {"scale": 4})
    assert "nothing to test on: add datasets.test" in faults_of(load, GRID, test={"scale": 2})
    assert "did you mean 'metrics'?" in faults_of(load, GRID, test=TEST | {"val": {"metrcs": {}}})
    assert "this study has no test file" in faults_of(load, GRID, "test.val.fused=true")
    assert "nothing to compare: add `test` or datasets.val" in faults_of(load, GRID, datasets={"val": None})
    (tmp_path / "test.yml").unlink()
    assert "test.yml does not exist" in faults_of(load, GRID, "test=test.yml")


def test_a_sweep_of_a_chain_is_refused(load):
    assert "a chain of trainings cannot be swept" in faults_of(load, GRID, stages={"a": {}, "b": {}})


def test_other_commands_name_srzoo_sweep(load, tmp_path):
    load(GRID)
    file = tmp_path / "study.yml"
    assert is_study(file)
    for loading in (lambda: load_options(file), lambda: load_chain(file, (), weights_after)):
        with pytest.raises(OptionsError, match=r"study.yml:\d+: sweep: this is a study .* srzoo sweep -opt"):
            loading()


def test_a_file_without_a_sweep_is_no_study(tmp_path):
    file = write_options(tmp_path / "x.yml", training_options(tmp_path) | {"sweeep": GRID})
    with pytest.raises(OptionsError, match="this is no study; did you mean `sweep` by 'sweeep'"):
        load_study(file, (), weights_after)
    file = write_options(tmp_path / "y.yml", training_options(tmp_path) | {"seed": 1})
    with pytest.raises(OptionsError, match="this is no study; to train it use `srzoo train"):
        load_study(file, (), weights_after)


def test_options_show_prints_every_variant(load, tmp_path, capsys):
    load({"variants": {"none": {"network_g.dropout": None}, "zero": {"network_g.dropout": {"prob": 0.0}}}}, test=TEST)
    arguments = Arguments(file=tmp_path / "study.yml", set=[], plugins=False)
    assert execute(options_show.run, arguments) == 0
    said = capsys.readouterr().out
    assert "--- # variant none, seed 0 of 1" in said
    assert "# variant zero has the options of none" in said
    assert [document["name"] for document in yaml.safe_load_all(said)] == ["none_s0", "none_s0"]


NUMBERS = st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True)


@given(widths=NUMBERS, rates=NUMBERS, seeds=st.lists(st.integers(0, 99), max_size=3, unique=True))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_plan_has_each_combination_once(load, widths, rates, seeds):
    sweep = {"network_g.num_feat": widths, "train.optim_g.lr": [rate * 1e-4 for rate in rates]}
    study = load(sweep | ({"seed": seeds} if seeds else {}))
    combinations = {
        (run.training.options.network_g.args["num_feat"], run.training.options.train.optim_g.args["lr"], run.seed)
        for run in study.runs
    }
    expected = {(width, rate * 1e-4, seed) for width in widths for rate in rates for seed in seeds or [0]}
    assert combinations == expected
    folders = [run.training.options.run_folder for run in study.runs]
    assert len(set(folders)) == len(study.runs) == len(expected)
    assert {folder.parent for folder in folders} == {study.folder}
