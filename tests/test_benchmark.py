"""`srzoo test` over several option files: one table, in every format, and nothing half done."""

import csv
import json

import pytest

from srzoo.cli import parse
from srzoo.command import execute
from srzoo.report.scores import ScoredNetwork, formatted
from srzoo.weights import save_weights
from tests.support import run_test, training_options, write_options


def files(tmp_path, **changes):
    """Return option files of bicubic interpolation and of an untrained network on the same images."""
    from srzoo.registry import ARCHS

    test = {"held_out": {"type": "GTImages", "gt": str(tmp_path / "val")}}
    common = {"train": None, "datasets": {"train": None, "val": None, "test": test}} | changes
    save_weights(tmp_path / "net.safetensors", ARCHS.build("IMDN_RTC", {"num_modules": 1}, scale=2), {})
    networks = {
        "plain": {"network_g": {"type": "Bicubic", "num_modules": None}},
        "net_a": {"path": {"pretrain_network_g": str(tmp_path / "net.safetensors")}},
    }
    return [
        write_options(tmp_path / f"{name}.yml", training_options(tmp_path, name=name, **common, **own))
        for name, own in networks.items()
    ]


def scored(*words):
    arguments = parse(["test", *map(str, words)])
    return execute(arguments.run, arguments)


def test_several_files_end_with_one_table(tmp_path, capsys):
    first, second = files(tmp_path)
    table = tmp_path / "t.csv"
    assert scored("-opt", first, "-opt", second, "--table", table, "--input", "16x12") == 0
    plain, net = csv.DictReader(table.open())
    assert plain["network"] == "plain (Bicubic x2)"
    assert (plain["parameters"], plain["multiply-adds"]) == ("0", "0")
    assert int(net["multiply-adds"]) > 0
    assert float(net["latency [ms]"]) > 0
    for row, name in ((plain, "plain"), (net, "net_a")):
        results = json.loads((tmp_path / "experiments" / name / "results" / "held_out.json").read_text())
        assert float(row["held_out psnr"]) == results["mean"]["psnr"]
        assert float(row["held_out ssim"]) == results["mean"]["ssim"]
    printed = capsys.readouterr().out
    assert "net_a (IMDN_RTC x2)" in printed
    assert "LQ image of 16x12" in printed


def test_nothing_is_scored_if_one_file_has_results_already_or_is_wrong(tmp_path, capsys):
    first, second = files(tmp_path)
    assert run_test(second) == 0
    assert scored("-opt", first, second) == 2
    assert "from an earlier run" in capsys.readouterr().err
    assert scored("-opt", first, first, "--no-latency") == 2
    assert "give each another `name`" in capsys.readouterr().err
    assert scored("-opt", first, tmp_path / "nowhere.yml") == 2
    assert scored("-opt", first, "--table", tmp_path / "t.doc") == 2
    assert "ends in .md, .tex, .csv" in capsys.readouterr().err
    assert not (tmp_path / "experiments" / "plain").exists()
    table = tmp_path / "t.md"
    assert scored("-opt", first, second, "--overwrite", "--table", table, "--no-latency") == 0
    assert table.read_text().startswith(
        "| network | parameters | multiply-adds | held_out psnr | held_out ssim |\n|---"
    )


NETWORKS = [
    ScoredNetwork("a_b", {"Set5 psnr": 30.123}, None, None),
    ScoredNetwork("c", {"Set14 ssim": 0.9}, None, None),
]


@pytest.mark.parametrize(
    ("suffix", "lines"),
    [
        (".md", ["| a_b | unknown | unknown | 30.12 | - |", "| c | unknown | unknown | - | 0.9000 |"]),
        (".tex", [r"\begin{tabular}{lrrrr}", r"a\_b & unknown & unknown & 30.12 & - \\", "% below"]),
        (".csv", ["network,parameters,multiply-adds,Set5 psnr,Set14 ssim", "a_b,unknown,unknown,30.123,"]),
    ],
)
def test_formats_of_the_table(tmp_path, suffix, lines):
    text = formatted(NETWORKS, tmp_path / f"t{suffix}", "below")
    for line in lines:
        assert line in text.splitlines()
