"""`srzoo compare`: whether networks differ, image by image, with tables for papers."""

import argparse
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.command import Arguments
from srzoo.commands.arguments import SIZES, add_overwrite, check_target, describe, input_size
from srzoo.keys import SUB_IMAGE

if TYPE_CHECKING:
    from srzoo.analysis.comparison import Comparison
    from srzoo.analysis.cost import Cost
    from srzoo.analysis.scored import Method
    from srzoo.analysis.speed import Speed
    from srzoo.report.results import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the results, the scores to compare and the files to write."""
    describe(
        parser,
        "Compare networks by the scores of every image that `srzoo test` has written: mean differences with intervals, "
        "Wilcoxon's signed-rank test adjusted for the number of comparisons (Holm), sign test, effect sizes, and the "
        "tables of a paper. Results under unlike protocols, crops, tiles, precision or data are refused. "
        "docs/comparing.md explains the numbers.",
        "experiments/test_Bicubic_x4 experiments/test_IMDN_x4",
        "experiments/*/results/Set14.json --baseline test_IMDN_x4 --latex table.tex --plot figures",
        "plain=run_s0,run_s1,run_s2 dropout=drop_s0,drop_s1,drop_s2 --metric psnr --markdown table.md",
    )
    parser.add_argument(
        "results", nargs="+", metavar="RESULT_OR_RUN",
        help="result files or run folders; NAME=RUN names a row, NAME=RUN,RUN,... is one network with several seeds",
    )  # fmt: skip
    parser.add_argument(
        "--baseline", metavar="NAME", help="network that the others are compared with (default: the first)"
    )
    parser.add_argument(
        "--dataset", nargs="+", metavar="NAME", help="datasets to compare on (default: all that two networks have)"
    )
    parser.add_argument(
        "--metric", nargs="+", metavar="NAME", help="metrics to compare by (default: all that two networks have)"
    )
    parser.add_argument(
        "--allow", nargs="+", default=[], metavar="FACT", choices=["tile_rule", "tile", "ensemble", "precision"],
        help="compare although the networks were applied differently in tile_rule, tile, ensemble or precision "
        "(default: refuse)",
    )  # fmt: skip
    parser.add_argument(
        "--crops", type=_pattern, default=SUB_IMAGE, metavar="REGEX",
        help="end of the names of crops of one image, which count as one; '' if all files are independent, '/[^/]+$' "
        "if those of a folder are not (default: _s and three digits, as `srzoo data subimages` names them)",
    )  # fmt: skip
    parser.add_argument(
        "--input", type=input_size, default=SIZES["ntire"], metavar="WxH",
        help=f"LQ image whose costs the table has: WIDTHxHEIGHT or one of {', '.join(SIZES)} (default: ntire, 256x256)",
    )  # fmt: skip
    parser.add_argument(
        "--latency", action="store_true", help="measure latency on this machine too (default: leave it out)"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables (default: print them only)")
    parser.add_argument("--latex", type=Path, metavar="FILE", help="write the tables (default: print them only)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write all numbers, a line each (default: none)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers and images (default: none)")
    parser.add_argument(
        "--plot", type=Path, metavar="DIR",
        help="draw a figure per dataset and metric, the scores and the differences of every image (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--format", nargs="+", default=["svg"], choices=["svg", "pdf"], metavar="FORMAT",
        help="of the figures beside PNG: svg, pdf or both (default: svg)",
    )  # fmt: skip
    add_overwrite(parser, "files that exist")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error
    return text


def run(arguments: Arguments) -> None:
    """Compare the results and print or write the tables.

    Raises:
        ValueError: results are damaged, or cannot be compared; files exist.
    """
    from srzoo.analysis.comparison import Choices, compare, compare_all_pairs
    from srzoo.atomic import require_writable, write_text
    from srzoo.engine.log import log_to, logger
    from srzoo.report import compared_formats, compared_numbers
    from srzoo.report.compared import Compared
    from srzoo.report.results import read_results
    from srzoo.report.seeds import gather

    log_to()
    formats = {
        "markdown": compared_formats.markdown,
        "latex": compared_formats.latex,
        "csv": compared_numbers.csv_text,
        "json": compared_numbers.json_text,
    }
    targets = {getattr(arguments, name): write for name, write in formats.items() if getattr(arguments, name)}
    for target in targets:
        check_target(target, arguments.overwrite)
    if arguments.plot:
        require_writable(arguments.plot / "figure")
    found = gather(read_results(arguments.results))
    baseline = _baseline(found.methods, arguments.baseline)
    others = [method for method in found.methods if method is not baseline]
    choices = Choices(
        datasets=arguments.dataset, metrics=arguments.metric, allow=arguments.allow, crops=arguments.crops
    )
    comparison = compare(baseline, others, choices)
    figures = _figures(comparison, arguments)
    # Before anything is written; the names of the figures need the comparison.
    for target in (file for files in figures.values() for file in files):
        check_target(target, arguments.overwrite)
    pairs = compare_all_pairs([baseline, *others], choices)
    costs, remarks = _costs(found.results, arguments)
    shown = Compared([baseline, *others], comparison, pairs, costs, [*found.notes, *remarks])
    logger.info(compared_formats.text(shown))
    for target, write in targets.items():
        write_text(target, write(shown))
        logger.info(f"wrote {target}")
    _draw(comparison, figures)


def _baseline(methods: "Sequence[Method]", name: str | None) -> "Method":
    """Return the network that the others are compared with.

    Raises:
        ValueError: no network has this name.
    """
    import difflib

    names = [method.name for method in methods]
    if name is not None and name not in names:
        near = difflib.get_close_matches(name, names, 1)
        known = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        raise ValueError(f"--baseline: no network has the name {name!r}; {known}")
    return methods[0 if name is None else names.index(name)]


def _costs(
    results: "Mapping[str, Sequence[Result]]", arguments: Arguments
) -> "tuple[dict[str, tuple[Cost | None, Speed | None]], list[str]]":
    """Return the costs of each network, and remarks on what they mean and on those that are unknown."""
    import torch

    from srzoo import ranks
    from srzoo.report.network_costs import costs_of
    from srzoo.report.scores import note

    device = ranks.initialise() if arguments.latency else torch.device("cpu")
    costs: dict[str, tuple[Cost | None, Speed | None]] = {}
    remarks: list[str] = []
    for name, runs in results.items():
        try:
            costs[name] = costs_of(runs[0].network, arguments.input, device if arguments.latency else None)
        except (ValueError, LookupError) as error:
            remarks.append(f"{name}: costs are unknown: {error}")
    name = ranks.device_name(device) if arguments.latency else None
    return costs, [*remarks, note(arguments.input, name).rstrip(".")]


def _figures(comparison: "Comparison", arguments: Arguments) -> "dict[tuple[str, str], list[Path]]":
    """Return the files of the figure of each dataset and metric; none without --plot.

    Raises:
        ValueError: matplotlib is missing.
    """
    from srzoo.analysis.figures import require_matplotlib
    from srzoo.keys import file_of

    if arguments.plot is None:
        return {}
    require_matplotlib()
    kinds = dict.fromkeys(["png", *arguments.format])
    return {
        (row.dataset, row.metric): [
            file_of(arguments.plot, f"{row.dataset}_{row.metric}", f".{kind}") for kind in kinds
        ]
        for row in comparison.rows
    }


def _draw(comparison: "Comparison", figures: "Mapping[tuple[str, str], Sequence[Path]]") -> None:
    """Write the figures, each in all formats."""
    if not figures:
        return
    from srzoo.analysis.figures import write_figure
    from srzoo.engine.log import logger
    from srzoo.report.compared_plots import figure_of

    for (dataset, metric), files in figures.items():
        figure = figure_of(comparison, dataset, metric)
        for file in files:
            write_figure(file, figure)
        logger.info("wrote " + ", ".join(map(str, files)))
