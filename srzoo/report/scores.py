"""One table of networks, datasets and metrics, with costs: as text, Markdown, LaTeX or CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from srzoo.analysis.cost import Cost
from srzoo.analysis.seeds import SeedMean
from srzoo.analysis.speed import Speed
from srzoo.report.costs import Rows, in_units, markdown_table

SUFFIXES = (".md", ".tex", ".csv")
# The note below tables with :func:`with_margin`.
MARGIN = "± is half the 95 % interval of the mean over seeds (Student's t)"


@dataclass(frozen=True)
class ScoredNetwork:
    """Scores and costs of a network.

    Args:
        name: of the row.
        scores: "dataset metric" -> mean score.
        cost: of its deployed form; None: not countable.
        speed: None: not measured.
    """

    name: str
    scores: Mapping[str, float]
    cost: Cost | None
    speed: Speed | None


def rows(networks: Sequence[ScoredNetwork], *, exact: bool = False) -> Rows:
    """Return the cells of the table, its head first; `exact`: numbers as they are, for programs."""
    measures = list(dict.fromkeys(measure for network in networks for measure in network.scores))
    timed = any(network.speed is not None for network in networks)
    table = [["network", *cost_head(timed=timed), *measures]]
    for network in networks:
        cells = [network.name, *cost_cells(network.cost, network.speed, timed=timed, exact=exact)]
        table.append(cells + [score_cell(network.scores.get(measure), exact=exact) for measure in measures])
    return table


def cost_head(*, timed: bool) -> list[str]:
    """Return the heads of the columns of costs; `timed`: with latency."""
    return ["parameters", "multiply-adds", *(["latency [ms]"] if timed else [])]


def cost_cells(cost: Cost | None, speed: Speed | None, *, timed: bool, exact: bool = False) -> list[str]:
    """Return the cells of the costs of a network, under :func:`cost_head`."""
    cells = ["unknown", "unknown"]
    if cost is not None:
        # Papers on transformers count attention products too; the sum compares all kinds of networks.
        numbers = cost.params_deployed, cost.multiply_adds_with_attention_products
        cells = [str(number) if exact else in_units(number) for number in numbers]
    if timed:
        cells.append(_cell(None if speed is None else speed.latency_p50_ms, 1, exact))
    return cells


def score_cell(value: float | None, *, exact: bool = False) -> str:
    """Write a score as papers do: SSIM and the like with more decimals than PSNR."""
    return _cell(value, 2 if value is None or abs(value) > 1 else 4, exact)


def with_margin(mean: str, spread: SeedMean) -> str:
    """Append to a mean over seeds, as it was written, half of its 95 % interval with as many decimals."""
    decimals = len(mean.partition(".")[2])
    return mean if spread.margin is None else f"{mean} ± {spread.margin:.{decimals}f}"


def _cell(value: float | None, decimals: int, exact: bool) -> str:
    if value is None:
        return "" if exact else "-"
    return repr(value) if exact else f"{value:.{decimals}f}"


def note(size: tuple[int, int], device: str | None) -> str:
    """Return the line below the table: what its costs mean; `device`: where latency was measured, None: nowhere."""
    latency = "" if device is None else f", median latency on {device}"
    return (
        f"Costs of the deployed form for an LQ image of {size[0]}x{size[1]}: parameters, multiply-adds (1 per "
        f"multiply-add, attention products included){latency}."
    )


def formatted(networks: Sequence[ScoredNetwork], file: Path, below: str) -> str:
    """Return the table in the format of a file's suffix, with a note below it (not in CSV).

    Raises:
        ValueError: the suffix is none of :data:`SUFFIXES`.
    """
    if file.suffix == ".md":
        return f"{markdown_table(rows(networks))}\n\n{below}\n"
    if file.suffix == ".tex":
        return _latex(rows(networks), below)
    if file.suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows(networks, exact=True))
        return text.getvalue()
    raise ValueError(f"expected a table's name that ends in {', '.join(SUFFIXES)}, got {file}")


def _latex(table: Rows, below: str) -> str:
    """Return a tabular without packages: names to the left, numbers to the right."""
    lines = [" & ".join(map(latex_text, row)) + r" \\" for row in table]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'r' * (len(table[0]) - 1)}}}",
            r"\hline",
            lines[0],
            r"\hline",
            *lines[1:],
            r"\hline",
            r"\end{tabular}",
            f"% {below}",
            "",
        ]
    )


def latex_text(text: str) -> str:
    """Return text that LaTeX shows as it is."""
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(words.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
