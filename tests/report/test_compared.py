"""Tables of a comparison: marks, words and numbers in every format."""

import csv
import functools
import io
import json
import re

import numpy as np
import pytest
import torch

from srzoo.analysis.comparison import Choices, compare, compare_all_pairs
from srzoo.analysis.scored import Method
from srzoo.analysis.speed import measure_speed
from srzoo.report import network_costs
from srzoo.report.compared import Compared
from srzoo.report.compared_formats import latex, markdown, text
from srzoo.report.compared_notes import p_text
from srzoo.report.compared_numbers import csv_text, json_text
from srzoo.report.network_costs import costs_of
from tests.analysis.scored_networks import network, set_scores

CHOICES = Choices(num_resamples=300)
SMALL = {"type": "IMDN_RTC", "scale": 2, "num_modules": 1}


def compared(*methods, choices=CHOICES, costs=None):
    comparison = compare(methods[0], methods[1:], choices)
    return Compared(methods, comparison, compare_all_pairs(methods, choices), costs or {})


def three(n=14, names=("plain_0", "a&b", "50%|#1")):
    """Return networks of which each is better than the one before, on n images and on five of them."""
    base = np.linspace(25, 33, n)
    gains = [0 * base, np.linspace(0.1, 0.3, n), np.linspace(0.6, 0.9, n)]
    methods = []
    for name, gain in zip(names, gains, strict=True):
        whole = {"psnr": base + gain, "ssim": base / 40 + gain / 100}
        few = {metric: values[:5] for metric, values in whole.items()}
        methods.append(Method(name, {name: {"Set_14": set_scores(whole), "Set5": set_scores(few)}}))
    return methods


def markdown_tables(words):
    """Parse the tables of a Markdown text: lists of rows of cells, escapes resolved."""
    tables = []
    for block in re.findall(r"(?:^\|.*\|\n)+", words, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", line.strip())[1:-1] for line in block.strip().splitlines()]
        assert {cell.strip("-") for cell in rows[1]} == {""}
        plain = [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in (rows[0], *rows[2:])]
        assert {len(row) for row in plain} == {len(rows[0])}
        tables.append(plain)
    return tables


def test_markdown_has_both_tables_with_marks_where_networks_are_told_apart():
    words = markdown(compared(*three()))
    scores, differences = markdown_tables(words)
    assert scores[0] == [
        "network",
        "parameters",
        "multiply-adds",
        "Set_14 psnr",
        "Set_14 ssim",
        "Set5 psnr",
        "Set5 ssim",
    ]
    by_name = {row[0]: row[1:] for row in scores[1:]}
    assert list(by_name) == ["plain_0", "a&b", "50%|#1"]
    assert by_name["plain_0"] == ["unknown", "unknown", "29.00", "0.7250", "26.23", "0.6558"]
    assert by_name["a&b"][2:4] == ["<u>29.20</u>*", "<u>0.7270</u>*"]
    assert by_name["50%|#1"][2:4] == ["**29.75***", "**0.7325***"]
    # Five images tell nothing apart, so nothing is marked there.
    assert [row[-2:] for row in by_name.values()] == [["26.23", "0.6558"], ["26.36", "0.6571"], ["26.88", "0.6622"]]
    assert [row[:3] for row in differences[1:3]] == [["Set_14", "psnr", "a&b"], ["Set_14", "psnr", "50%|#1"]]
    head = differences[0]
    first = dict(zip(head, differences[1], strict=True))
    assert (first["n"], first["difference"], first["verdict"]) == ("14", "+0.2000", "distinguishable")
    assert first["p"] == "0.0001"
    assert re.fullmatch(r"\[\+0\.\d{4}, \+0\.\d{4}\]", first["95 % interval"])
    assert [row[-1] for row in differences[-4:]] == ["not distinguishable"] * 4


def test_notes_say_what_was_tested_and_what_cannot_be_shown():
    words = text(compared(*three()))
    assert "p adjusted for 8 comparisons: 2 sets x 2 metrics x 2 networks" in words
    assert "(Holm over 12 comparisons: 2 sets x 2 metrics x 3 pairs of networks)" in words
    assert (
        "Set5: 5 images cannot give a p below 0.0625: no difference on them is distinguishable, however large" in words
    )
    assert "9 images can show one among 8 comparisons" in words
    assert "protocols: psnr: basicsr-y; ssim: basicsr-y" in words
    assert words.count("not distinguishable") == 4
    assert "*: distinguishable from plain_0; [1]: best, [2]: second" in words


def test_a_few_more_images_help_only_behind_smaller_p_values():
    base = np.linspace(25, 33, 7)
    methods = [network(name, base + gain * np.linspace(0.1, 0.2, 7)) for gain, name in enumerate("abcde")]
    words = text(compared(*methods))
    assert "7 images give a p of 0.0156 at best, 0.0625 after Holm if it is the smallest of 4" in words
    assert "8 images can show one in any case" in words
    alone = text(compared(*methods[:2]))
    assert " images cannot" not in alone
    assert "Holm over" not in alone


def test_undecided_comparisons_say_which_difference_would_show():
    generator = np.random.default_rng(0)
    base = np.linspace(25, 33, 20)
    shown = compared(network("a", base), network("b", base + 0.1 * generator.standard_normal(20)))
    (row,) = shown.comparison.rows
    assert not row.distinguishable
    assert (
        f"Set14 psnr: 20 images with differences as spread as these show a mean difference of {row.detectable:.4f}"
        in text(shown)
    )


def test_approximate_p_values_are_marked_with_their_reason():
    base = np.linspace(25, 33, 12)
    words = text(compared(network("a", base), network("b", base + np.repeat([0.25, 0.5], 6))))
    assert "~0.00" in words
    assert "exact except ~, by normal approximation (Set14 psnr b: (" in words


def test_crops_infinite_scores_and_accepted_tiles_are_noted():
    keys = (*(f"x_s{number:03}" for number in range(4)), "y", "z")
    values = np.array([30.0, 31, 32, 33, 34, np.inf])
    first = network("a", values, keys=keys)
    second = network("b", values, keys=keys, inference={"tile": 64, "tile_overlap": 8})
    words = text(compared(first, second, choices=Choices(num_resamples=100, allow=["tile"])))
    assert "Set14: 5 files show 2 images: scores are averaged over the crops of an image first" in words
    assert "Set14 psnr b: left out, as a score is infinite: z" in words
    assert "accepted: Set14: tile: whole images in a; 64 with overlap 8 in b" in words


def test_files_of_a_single_image_show_nothing():
    keys = tuple(f"x_s{number:03}" for number in range(20))
    base = np.linspace(25, 33, 20)
    shown = compared(network("a", base, keys=keys), network("b", base + 1, keys=keys))
    assert "Set14: one image says nothing about others" in text(shown)
    assert "--crops '' if its files are independent images" in text(shown)


def test_long_lists_are_cut():
    values = np.array([30.0, 31, *[np.inf] * 12])
    words = text(compared(network("a", values), network("b", values + 1)))
    assert "infinite: img_002, " in words
    assert "img_009, ... (4 more)" in words


def test_seeds_are_counted_and_their_interval_is_half_a_margin():
    base = np.linspace(25, 33, 12)
    several = network("a", base, base + 0.1, base + 0.2), network("b", base + 3, base + 3.1)
    words = text(compared(*several, network("c", base)))
    # A standard deviation of 0.1 times Student's 4.303 / sqrt(3).
    assert "29.10 ± 0.25" in words
    assert "seeds: a 3, b 2, c 1\n± is half the 95 % interval of the mean over seeds (Student's t)" in words
    assert "of several seeds also that the interval over seeds and images excludes 0" in words
    assert "one seed of c says nothing about its others" in words
    assert "bootstrap over seeds and images, widened for few seeds" in words
    assert r"\,$\pm$\," in latex(compared(*several))


def balanced(words):
    """Check that braces, environments and mathematics are closed, and that rows have as many cells as columns."""
    plain = re.sub(r"\\[\\&%$#_{}]", "", words)
    depth = 0
    for letter in plain:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        assert depth >= 0
    assert depth == 0
    assert plain.count("$") % 2 == 0
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", words):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", words, re.DOTALL):
        for line in body.splitlines():
            if line.startswith(r"\hline"):
                continue
            assert line.endswith(r" \\")
            cells = re.split(r"(?<!\\)&", line)
            spanned = sum(int(number) - 1 for number in re.findall(r"\\multicolumn\{(\d+)\}", line))
            assert len(cells) + spanned == len(columns)
    assert not re.search(r"(?<!\\)[#%]", words)
    assert not re.search(r"(?<!\\)_", words)
    return True


@pytest.mark.parametrize("names", [("plain_0", "a&b", "50%|#1"), ("x\\y", "{~^}", "$z$")])
def test_latex_is_complete(names):
    words = latex(compared(*three(names=names)))
    assert balanced(words)
    assert r"\multicolumn{2}{c}{Set\_14} & \multicolumn{2}{c}{Set5}" in words
    assert r"\textbf{29.75}\rlap{$^{*}$}" in words
    assert r"\underline{29.20}\rlap{$^{*}$}" in words
    assert "bold: best, underlined: second" in words
    assert "$[+0." in words


def test_costs_are_those_of_the_deployed_network(monkeypatch):
    methods = three()
    cost, speed = costs_of(SMALL, (16, 12), None)
    words = text(compared(*methods, costs={"plain_0": (cost, speed)}))
    assert re.search(rf"plain_0 +{cost.params_deployed / 1000:.4g} K", words)
    assert "latency" not in words
    monkeypatch.setattr(network_costs, "measure_speed", functools.partial(measure_speed, runs=2, warm_up=1))
    timed = costs_of(SMALL, (16, 12), torch.device("cpu"))
    assert timed[0] == cost
    assert timed[1] is not None
    assert "latency [ms]" in text(compared(*methods, costs={"plain_0": timed}))
    with pytest.raises(LookupError):
        costs_of(SMALL | {"type": "NoSuchNetwork"}, (16, 12), None)


def test_csv_and_json_have_all_digits():
    shown = compared(*three())
    rows = list(csv.DictReader(io.StringIO(csv_text(shown))))
    content = json.loads(json_text(shown))
    assert len(rows) == len(content["comparisons"]) == 8
    for line, entry, row in zip(rows, content["comparisons"], shown.comparison.rows, strict=True):
        for numbers in (line, entry):
            assert float(numbers["difference"]) == row.difference
            assert float(numbers["p_holm"]) == row.p_holm
        assert (line["distinguishable"], entry["distinguishable"]) == (str(row.distinguishable), row.distinguishable)
        assert [image["difference"] for image in entry["images"]] == row.differences.tolist()
        assert float(line["mean"]) - float(line["baseline_mean"]) == pytest.approx(row.difference)
    assert content["family"] == str(shown.comparison.family)
    assert [entry["name"] for entry in content["networks"]] == [method.name for method in shown.methods]
    assert content["networks"][0]["mean_of_runs"]["Set5"]["psnr"] == [shown.methods[0].mean("Set5", "psnr")]
    assert len(content["pairs"]) == 12
    # JSON has no infinity.
    assert {entry["detectable_difference"] for entry in content["comparisons"][4:]} == {None}


@pytest.mark.parametrize(
    ("p", "written"), [(0.0625, "0.0625"), (0.00005, "0.0001"), (0.0000499, "<0.0001"), (1, "1.0000")]
)
def test_p_values_have_four_decimals(p, written):
    assert p_text(p) == written


def test_figures_show_every_image():
    pytest.importorskip("matplotlib")
    from srzoo.report.compared_plots import figure_of

    methods = three()
    shown = compared(*methods)
    figure = figure_of(shown.comparison, "Set_14", "psnr")
    assert len(figure.axes) == 4
    left, right = figure.axes[:2]
    points = np.asarray(left.collections[0].get_offsets())
    row = shown.comparison.rows[0]
    assert np.allclose(points, np.stack([row.baseline_scores, row.candidate_scores], 1))
    heights = np.asarray(right.collections[-1].get_offsets())[:, 1]
    assert np.allclose(heights, np.sort(row.differences))
    assert [label.get_text() for label in right.get_xticklabels()] == list(row.images)
    assert "distinguishable" in right.get_title()
