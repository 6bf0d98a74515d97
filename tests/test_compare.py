"""`srzoo compare` from result files to tables and figures, and its exit codes."""

import json

import numpy as np
import pytest

from srzoo.analysis import figures
from srzoo.cli import parse
from srzoo.command import execute
from tests.report.result_files import write_result, write_training
from tests.support import run_test, training_options, write_options


def compared(*words):
    arguments = parse(["compare", *map(str, words)])
    return execute(arguments.run, arguments)


@pytest.fixture
def runs(tmp_path):
    """Write runs of two networks, the second better by 0.1 to 0.3 dB, on 14 images and on five of them."""
    base = np.linspace(25, 33, 14)
    for name, gain in (("first", 0), ("second", 1)):
        scores = base + gain * np.linspace(0.1, 0.3, 14)
        write_result(tmp_path / name, "Set14", scores.tolist())
        write_result(tmp_path / name, "Set5", scores[:5].tolist())
    return tmp_path / "first", tmp_path / "second"


def test_tables_and_numbers_are_written(runs, tmp_path, capsys):
    files = [tmp_path / "out" / f"t.{kind}" for kind in ("md", "tex", "csv", "json")]
    words = [word for file, option in zip(files, ("markdown", "latex", "csv", "json"), strict=True)
             for word in (f"--{option}", file)]  # fmt: skip
    assert compared(*runs, *words, "--input", "8x8") == 0
    printed = capsys.readouterr().out
    assert "compared with first:" in printed
    assert "2 comparisons: 2 sets x 1 metric x 1 network" in printed
    assert "Set5: 5 images cannot give a p below 0.0625" in printed
    rows = [line.split() for line in printed.splitlines() if line.startswith("Set") and " psnr " in line]
    verdicts = {row[0]: "not" not in row for row in rows}
    assert verdicts == {"Set14": True, "Set5": False}
    content = json.loads(files[3].read_text())
    assert content["baseline"] == "first"
    assert [entry["n"] for entry in content["comparisons"]] == [14, 5]
    assert "\\textbf{" in files[1].read_text()
    assert "not distinguishable" in files[0].read_text()


def test_figures_are_written_in_the_formats_asked_for(runs, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    words = [*runs, "--dataset", "Set14", "--plot", tmp_path / "figures", "--format", "svg", "pdf"]
    assert compared(*words) == 0
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {
        f"Set14_psnr.{kind}" for kind in ("png", "svg", "pdf")
    }
    assert compared(*words) == 2
    assert "Set14_psnr.png exists" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--markdown", "--latex", "--csv", "--json", "--plot"])
def test_outputs_that_cannot_be_written_are_refused_before_the_work(runs, tmp_path, monkeypatch, capsys, option):
    monkeypatch.setattr("srzoo.report.results.read_results", lambda *_: pytest.fail("the work began"))
    (tmp_path / "file").write_text("")
    assert compared(*runs, option, tmp_path / "file" / "out") == 2
    assert "is a file, and a folder is needed" in capsys.readouterr().err


def test_the_baseline_is_the_first_or_the_one_named(runs, capsys):
    assert compared(*runs, "--baseline", "second", "--dataset", "Set14") == 0
    printed = capsys.readouterr().out
    assert "compared with second:" in printed
    assert "-0.2000" in printed
    assert "Set5" not in printed
    assert compared(*runs, "--baseline", "secnd") == 2
    assert "no network has the name 'secnd'; did you mean 'second'?" in capsys.readouterr().err


def test_wrong_calls_end_with_a_message(runs, tmp_path, capsys, monkeypatch):
    assert compared(runs[0]) == 2
    assert "two or more networks" in capsys.readouterr().err
    assert compared(runs[0], tmp_path / "nowhere") == 2
    assert "nowhere does not exist" in capsys.readouterr().err
    table = tmp_path / "t.md"
    table.write_text("mine")
    assert compared(*runs, "--markdown", table) == 2
    assert table.read_text() == "mine"
    assert "replace it with --overwrite" in capsys.readouterr().err
    assert compared(*runs, "--markdown", table, "--overwrite") == 0
    with pytest.raises(SystemExit):
        parse(["compare", "a", "b", "--crops", "("])
    assert "is no regular expression" in capsys.readouterr().err
    monkeypatch.setattr(figures, "find_spec", {}.get)
    assert compared(*runs, "--plot", tmp_path / "figures") == 2
    assert 'pip install "srzoo[report]"' in capsys.readouterr().err


def test_unlike_results_are_refused_unless_the_difference_is_accepted(runs, capsys):
    inference = {"tile_rule": "exact", "tile": 64, "tile_overlap": 32, "ensemble": "none", "precision": "float32"}
    write_result(runs[1], "Set5", [30.0] * 5, inference=inference, data_sha256="other")
    assert compared(*runs) == 2
    message = capsys.readouterr().err
    assert "Set5: checksum of the images: data-Set5 in first; other in second" in message
    assert "Set5: tile: whole images in first; 64 with overlap 32 in second" in message
    write_result(runs[1], "Set5", [30.0] * 5, inference=inference)
    assert compared(*runs, "--allow", "tile") == 0
    assert "accepted: Set5: tile: whole images in first" in capsys.readouterr().out


def test_seeds_are_given_or_found(tmp_path, capsys):
    base = np.linspace(25, 33, 14)
    for kind, gain in (("plain", 0), ("dropout", 1)):
        for seed in range(2):
            weights = write_training(tmp_path / f"{kind}_s{seed}", seed, prob=gain / 2)
            scores = (base + gain + 0.01 * seed).tolist()
            write_result(tmp_path / f"test_{kind}_s{seed}", "Set14", scores, path=weights)
    found = sorted(tmp_path.glob("test_*"), reverse=True)
    assert compared(*found) == 0
    printed = capsys.readouterr().out
    assert "test_plain: 2 seeds of one training: test_plain_s1 (seed 1), test_plain_s0 (seed 0)" in printed
    assert "seeds: test_plain 2, test_dropout 2" in printed
    given = [f"{kind}={tmp_path}/test_{kind}_s0,{tmp_path}/test_{kind}_s1" for kind in ("plain", "dropout")]
    assert compared(*given) == 0
    assert "seeds: plain 2, dropout 2" in capsys.readouterr().out


def test_networks_of_other_places_have_unknown_costs(runs, capsys):
    network = {"type": "MyNetwork", "scale": 4}
    for dataset, n in (("Set5", 5), ("Set14", 14)):
        write_result(runs[1], dataset, [30.0 + image for image in range(n)], network=network)
    assert compared(*runs) == 0
    assert "second: costs are unknown: " in capsys.readouterr().out


def test_results_of_a_test_can_be_compared(tmp_path, capsys):
    test = {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}}
    common = {"train": None, "datasets": {"train": None, "val": None, "test": test}}
    for name, changes in (("plain", {}), ("grey", {"val": {"metrics": {"psnr": {"protocol": "imdn-y"}}}})):
        network = {"network_g": {"type": "Bicubic", "num_modules": None}}
        options = training_options(tmp_path, name=name, **common, **network, **changes)
        assert run_test(write_options(tmp_path / f"{name}.yml", options)) == 0
    runs = [tmp_path / "experiments" / name for name in ("plain", "grey")]
    assert compared(*runs, "--metric", "ssim") == 0
    assert "2 images cannot give a p below 0.5" in capsys.readouterr().out
    assert compared(*runs) == 2
    assert "held_out psnr: name: basicsr-y in plain; imdn-y in grey" in capsys.readouterr().err
