"""Trainings continue to the last bit after faults: a kill for every recipe; all faults, and the storm itself."""

import json
import subprocess
import sys

import pytest

from tests.support import ROOT

RECIPES = ("sr", "gan", "d2c", "pool", "accumulate", "dropout")
FAULTS = (
    "kill", "kill_ranks", "kill_one_rank", "kill_while_writing", "kill_worker", "stop", "stop_twice", "fill_disk",
    "flip_bit", "truncate", "empty_results",
)  # fmt: skip


def python(folder, *arguments):
    """Run Python with this checkout and the folder of scripts; return the finished process."""
    command = [sys.executable, *map(str, arguments)]
    path = f"{ROOT}:{ROOT / 'scripts'}"
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def storm(folder, *arguments):
    """Run the storm; return the finished process and the results by line."""
    results = folder / "results.jsonl"
    done = python(folder, ROOT / "scripts" / "storm.py", "--results", results, *arguments)
    return done, [json.loads(line) for line in results.read_text().splitlines()]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Kill a training of each recipe at a random moment, and twice while it saves; return verdicts by recipe.

    Death 23 is in the second save of each start: the first leaves a state to continue from.
    """
    code = (
        "import faults, json, sys, storm; from pathlib import Path\n"
        "storm.import_all(); here = storm.Storm(Path.cwd())\n"
        "storm.FAULTS['kill_in_a_save'] = lambda attempt: attempt.start(prepare=faults.die_at(23)).finish(90)\n"
        "struck = ['kill', 'kill_in_a_save', 'kill_in_a_save']\n"
        "cases = [storm.Case(seed, recipe, 1, struck) for seed, recipe in enumerate(storm.RECIPES)]\n"
        "json.dump({case.recipe: here.examine(case) for case in cases}, sys.stdout)"
    )
    done = python(tmp_path_factory.mktemp("killed"), "-c", code)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.slow
def test_a_killed_training_continues_to_the_last_bit(killed, recipe):
    assert killed.keys() == set(RECIPES)
    assert killed[recipe] == ["exact", ""]


@pytest.mark.slow
@pytest.mark.ranks
@pytest.mark.parametrize("fault", FAULTS)
def test_after_any_fault_a_training_continues_to_the_last_bit(tmp_path, fault):
    done, results = storm(tmp_path, "--fault", fault, "--cases", "3", "--seed", "0")
    assert [result["verdict"] for result in results] == ["exact"] * 3, done.stdout
    assert done.returncode == 0


@pytest.mark.slow
def test_a_storm_continues_with_other_seeds_and_repeats_a_case_on_demand(tmp_path):
    for arguments in (["--cases", "1"], ["--cases", "1"], ["--cases", "1", "--seed", "1", "--again"]):
        done, results = storm(tmp_path, "--only", "dropout", "--fault", "kill", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    first, second, again = (result["seed"] for result in results)
    assert first < second
    assert again in (first, second)
    assert {result["recipe"] for result in results} == {"dropout"}
    assert "1 cases: 1 exact, 0 inexact, 0 lost" in done.stdout


@pytest.mark.slow
def test_the_storm_tells_inexact_from_exact_and_names_the_place(tmp_path):
    code = (
        "import storm, torch, sys\n"
        "one = {'state': {'net': {'w': torch.ones(2)}, 'step': 3}, 'images': [{'psnr': 30.0}]}\n"
        "other = {'state': {'net': {'w': torch.tensor([1, 1 + 2**-23])}, 'step': 3}, 'images': [{'psnr': 30.5}]}\n"
        "assert list(storm._differences(one, one)) == []\n"
        "print(*storm._differences(one, other), *storm._differences({}, {'a': 1}), sep='; ')\n"
        "print(sorted(storm.FAULTS), storm.Case.drawn(7) == storm.Case.drawn(7))"
    )
    done = python(tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    places, rest = done.stdout.splitlines()
    assert places == (
        "images[0].psnr: 30.0 undisturbed, 30.5 disturbed; state.net.w differs; a: None undisturbed, 1 disturbed"
    )
    assert rest == f"{sorted(FAULTS)} True"
