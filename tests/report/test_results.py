"""Results read from files: what is in them, what is wrong with them, and which are seeds of one network."""

import json
import math

import pytest
import yaml

from srzoo.report.results import read_groups, read_results
from srzoo.report.seeds import gather
from tests.report.result_files import content, write_result, write_training


def test_a_run_is_read_with_everything_that_decides_its_scores(tmp_path):
    run = write_result(tmp_path / "a", "Set5", [30.0, "inf"])
    write_result(tmp_path / "a", "Set14", [28.0, 29.0, 27.0])
    options = {"datasets": {"test": {"Set5": {"modcrop": 12}, "Set14": {}}}, "seed": 3}
    (run / "options_test.yml").write_text(yaml.safe_dump(options, sort_keys=False))
    (result,) = read_results([run])
    assert (result.name, result.run, result.weights, result.seed) == ("a", run, "w-a", None)
    assert result.network == {"type": "IMDN", "scale": 4, "num_feat": 64}
    assert list(result.sets) == ["Set5", "Set14"], "in the order of the option file"
    scores = result.sets["Set5"]
    assert scores.keys == ("img_000", "img_001")
    assert scores.values["psnr"].tolist() == [30.0, math.inf]
    assert scores.protocols["psnr"]["crop_border"] == 4
    assert (scores.inference["tile"], scores.data_sha256, scores.scale) == (None, "data-Set5", 4)
    assert scores.data == {"modcrop": 12}
    assert scores.machine["device"] == "cpu"
    assert scores.higher_is_better("psnr")


@pytest.mark.parametrize("metric", [{"type": "NIQE"}, {"type": "NoSuchMetric"}])
def test_older_results_know_the_direction_of_a_metric_by_the_options(tmp_path, metric):
    run = write_result(tmp_path / "a", "Set5", [4.0, 5.0])
    (run / "options_test.yml").write_text(yaml.safe_dump({"val": {"metrics": {"psnr": metric}}}))
    (result,) = read_results([run])
    assert result.sets["Set5"].higher_is_better("psnr") == (metric["type"] != "NIQE")


def test_files_of_one_run_are_one_result_however_they_are_named(tmp_path):
    for name in ("a", "b"):
        for dataset in ("Set5", "Set14", "deep/down"):
            write_result(tmp_path / name, dataset, [30.0, 31.0])
    everything = sorted(tmp_path.glob("*/results/*.json"))
    for words in ([tmp_path / "a", tmp_path / "b"], everything, [tmp_path / "a" / "results", *everything]):
        found = read_results(words)
        assert [result.name for result in found] == ["a", "b"]
    assert list(found[0].sets) == ["Set14", "Set5", "deep/down"]
    loose = tmp_path / "copied.json"
    loose.write_text(everything[0].read_text())
    (result,) = read_results([loose])
    assert (result.name, result.run) == ("copied", None)


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    runs = [write_result(tmp_path / place / "run", "Set5", [30.0]) for place in ("x", "y")]
    assert [result.name for result in read_results(runs)] == ["x/run", "y/run"]
    files = [tmp_path / place / "scores.json" for place in ("x", "y")]
    for file in files:
        file.write_text(json.dumps(content("Set5", [30.0])))
    assert [result.name for result in read_results(files)] == ["x/scores", "y/scores"]
    with pytest.raises(ValueError, match="run is given twice, under two names"):
        read_results([f"a={runs[0]}", f"b={runs[0]}"])
    named = gather(read_results([f"first={files[0]}", f"second={files[1]}"]))
    assert [method.name for method in named.methods] == ["first", "second"]


BROKEN = {
    "": "it is empty: the run was perhaps stopped",
    "{": "it is no JSON",
    "[" * 100_000: "it is no JSON",
    "\xff": "it is no JSON",
    "[1]": "it is not a result file of `srzoo test`",
    "{}": "it has no list of images",
    json.dumps(content("Set5", [])): "it has no images",
    json.dumps(content("Set5", [None])): "a score of psnr is None, expected a number",
    json.dumps(content("Set5", ["nan"])): "a score of psnr is 'nan'",
    json.dumps(content("Set5", [True])): "a score of psnr is True",
    json.dumps(content("Set5", [1.0]) | {"images": [{"key": "a"}]}): "its images have no scores",
    json.dumps(content("Set5", [1.0]) | {"images": [{"key": "a", "psnr": 1.0}] * 2}): "several images have the name a",
    json.dumps(content("Set5", [1.0]) | {"images": [{"key": "a", "psnr": 1.0}, {"key": "b"}]}): "there is no 'psnr'",
    json.dumps(content("Set5", [1.0]) | {"images": [1]}): "expected names and values",
    json.dumps(content("Set5", [1.0]) | {"protocols": {}}): "there is no 'psnr'",
    json.dumps({key: value for key, value in content("Set5", [1.0]).items() if key != "inference"}): "no 'inference'",
    json.dumps(content("Set5", [1.0]) | {"network": {}}): "there is no 'scale'",
    json.dumps(content("Set5", [1.0]) | {"network": None}): "expected names and values, got None",
}


@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_a_broken_file_is_named_with_its_fault(tmp_path, number):
    text, fault = list(BROKEN.items())[number]
    file = tmp_path / "results" / "Set5.json"
    file.parent.mkdir()
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"fault\(s\) in the results") as caught:
        read_results([file])
    (_, line) = str(caught.value).splitlines()
    assert line.startswith(f"  {file}: ")
    assert fault in line


def test_all_faults_are_listed_at_once(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    study = tmp_path / "study"
    write_result(study / "one", "Set5", [30.0])
    mixed = write_result(tmp_path / "mixed", "Set5", [30.0])
    write_result(mixed, "Set14", [30.0], weights="others")
    (tmp_path / "bad.json").write_text("")
    with pytest.raises(ValueError, match=r"5 fault\(s\) in the results") as caught:
        read_results([tmp_path / "nowhere", empty, study, mixed, tmp_path / "bad.json"])
    message = str(caught.value)
    assert f"{tmp_path / 'nowhere'} does not exist" in message
    assert f"{empty} holds no results" in message
    assert f"{study} holds runs (one): name them, such as {study}/*" in message
    assert "Set5.json: the scores on Set5 are of another network or other weights than those on Set14" in message
    assert f"{tmp_path / 'bad.json'}: it is empty" in message


def test_a_path_with_an_equals_sign_or_a_comma_is_a_path(tmp_path):
    run = write_result(tmp_path / "prob=0.5,last", "Set5", [30.0])
    assert read_results([run])[0].name == "prob=0.5,last"
    assert read_results([f"half={run}"])[0].group == "half"
    assert read_groups([("half", [run])])[0].group == "half"


def test_named_runs_are_the_seeds_of_one_network(tmp_path):
    runs = [write_result(tmp_path / f"run_{number}", "Set5", [30.0 + number]) for number in range(3)]
    write_result(runs[0], "Set14", [20.0], weights="w-run_0")
    found = gather(read_results([f"net={','.join(map(str, runs))}"]))
    (method,) = found.methods
    assert (method.name, list(method.seeds)) == ("net", ["run_0", "run_1", "run_2"])
    assert method.seed_means("Set5", "psnr").tolist() == [30.0, 31.0, 32.0]
    assert found.notes == ["net: not every seed was scored on Set14, which is left out"]


def test_runs_that_are_no_seeds_are_refused(tmp_path):
    first, second, third = (write_result(tmp_path / name, "Set5", [30.0]) for name in "abc")
    write_result(second, "Set5", [30.0], weights="w-a")
    write_result(third, "Set5", [30.0], network={"type": "RCAN", "scale": 4})
    with pytest.raises(ValueError, match="a and b have the same weights: they are one seed") as caught:
        gather(read_results([f"net={first},{second},{third}"]))
    assert "b and c are different networks, not seeds of one" in str(caught.value)


def trained(folder, name, seed, **options):
    """Write a training and the test of its weights, in folders of their own."""
    weights = write_training(folder / name, seed, **options)
    return write_result(folder / f"test_{name}", "Set5", [30.0 + seed], weights=f"w-{name}", path=weights)


def test_trainings_that_differ_in_nothing_but_their_seed_are_grouped(tmp_path):
    runs = [trained(tmp_path, f"plain_s{seed}", seed) for seed in range(2)]
    runs += [trained(tmp_path, f"dropout_s{seed}", seed, prob=0.5) for seed in range(3)]
    runs.append(trained(tmp_path, "longer", 7, total_iter=9))
    results = read_results(runs)
    assert [result.seed for result in results] == [0, 1, 0, 1, 2, 7]
    found = gather(results)
    assert {method.name: len(method.seeds) for method in found.methods} == {
        "test_plain": 2, "test_dropout": 3, "test_longer": 1
    }  # fmt: skip
    assert found.notes[0] == ("test_plain: 2 seeds of one training: test_plain_s0 (seed 0), test_plain_s1 (seed 1)")


def test_trainings_are_found_after_their_folders_have_moved(tmp_path):
    runs = [trained(tmp_path / "old", f"plain_s{seed}", seed) for seed in range(2)]
    (tmp_path / "old").rename(tmp_path / "new")
    moved = [tmp_path / "new" / run.name for run in runs]
    assert [result.seed for result in read_results(moved)] == [0, 1]


@pytest.mark.parametrize("change", ["same seed", "other weights", "no training"])
def test_runs_that_may_be_different_trainings_are_not_grouped(tmp_path, change):
    first = trained(tmp_path, "a", 0)
    second = trained(tmp_path, "b", 0 if change == "same seed" else 1)
    if change == "other weights":
        weights = tmp_path / "b" / "models" / "net_g_4.safetensors"
        write_result(second, "Set5", [30.0], path=weights.rename(weights.with_name("net_g_2.safetensors")))
    if change == "no training":
        (tmp_path / "b" / "options.yml").unlink()
    assert [method.name for method in gather(read_results([first, second])).methods] == ["test_a", "test_b"]


def test_scores_of_validation_say_so(tmp_path):
    weights = write_training(tmp_path / "run", 5)
    run = write_result(tmp_path / "run", "held_out", [30.0], step=4, path=weights)
    found = gather(read_results([run]))
    assert found.notes == ["run: run was scored on held_out by validation, after 4 updates of its training"]
    assert found.results["run"][0].seed == 5
    assert found.results["run"][0].sets["held_out"].data == {"type": "GTImages"}


def test_a_test_comes_before_validation_with_other_weights(tmp_path):
    run = write_result(tmp_path / "run", "held_out", [30.0], step=4, weights="last")
    write_result(run, "Set5", [31.0], weights="best")
    (result,) = read_results([run])
    assert (list(result.sets), result.weights) == (["Set5"], "best")
    assert gather([result]).notes == ["run: validation on held_out is left out: the test had other weights"]
    write_result(run, "Set5", [31.0], weights="last")
    assert list(read_results([run])[0].sets) == ["Set5", "held_out"]


def test_a_folder_of_copies_is_no_run(tmp_path):
    files = [tmp_path / "results" / f"{name}.json" for name in ("IMDN", "RCAN")]
    files[0].parent.mkdir()
    for file in files:
        file.write_text(json.dumps(content("Set5", [30.0], weights={"path": "w", "sha256": file.stem})))
    assert [(result.name, result.run) for result in read_results(files)] == [("IMDN", None), ("RCAN", None)]


def test_a_second_file_of_a_dataset_is_refused(tmp_path):
    run = write_result(tmp_path / "a", "Set5", [30.0])
    (run / "results" / "Set5_old.json").write_text((run / "results" / "Set5.json").read_text())
    with pytest.raises(ValueError, match=r"Set5_old.json: a second file with scores on Set5"):
        read_results([run])
    with pytest.raises(ValueError, match="net= names no run"):
        read_results(["net=", run / "results" / "Set5.json"])
