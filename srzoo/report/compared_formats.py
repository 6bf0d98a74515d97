"""Tables of a comparison as text, Markdown and LaTeX."""

from srzoo.report.compared import DIFFERENCES_HEAD, Compared, Mark, difference_rows, score_head, score_rows
from srzoo.report.compared_notes import Looks
from srzoo.report.costs import Rows, aligned, markdown_table
from srzoo.report.scores import cost_head, latex_text

_IN_TEXT = Looks()
_IN_MARKDOWN = Looks(best="bold", second="underlined")
_IN_LATEX = Looks(best="bold", second="underlined")


def text(compared: Compared) -> str:
    """Return the tables and their notes as aligned text."""
    marks = {"best": f" {_IN_TEXT.best}", "second": f" {_IN_TEXT.second}", None: ""}

    def write(cell: str, mark: Mark | None, star: bool) -> str:
        return f"{cell}{_IN_TEXT.star * star}{marks[mark]}"

    differences = difference_rows(compared.comparison, _IN_TEXT.approximate)
    parts = [
        aligned([score_head(compared), *score_rows(compared, write)]),
        f"compared with {compared.comparison.baseline}:\n" + aligned([DIFFERENCES_HEAD, *differences], texts=3),
        "\n".join(compared.notes(_IN_TEXT)),
    ]
    return "\n\n".join(parts)


def markdown(compared: Compared) -> str:
    """Return the tables and their notes in Markdown."""
    around = {"best": ("**", "**"), "second": ("<u>", "</u>"), None: ("", "")}

    def write(cell: str, mark: Mark | None, star: bool) -> str:
        return f"{around[mark][0]}{cell}{around[mark][1]}{_markdown_text(_IN_MARKDOWN.star) * star}"

    scores = [[_markdown_text(name), *cells] for name, *cells in score_rows(compared, write)]
    heads = [[_markdown_text(head) for head in row] for row in (score_head(compared), DIFFERENCES_HEAD)]
    differences = difference_rows(compared.comparison, _IN_MARKDOWN.approximate)
    parts = [
        markdown_table([heads[0], *scores]),
        f"Compared with {_markdown_text(compared.comparison.baseline)}:",
        markdown_table([heads[1], *([_markdown_text(cell) for cell in row] for row in differences)]),
        "\n".join(f"* {_markdown_text(note)}" for note in compared.notes(_IN_MARKDOWN)),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown_text(words: str) -> str:
    """Return text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_<>[]~" else letter for letter in words)


def latex(compared: Compared) -> str:
    r"""Return a ``table`` without packages: scores under a head of sets and metrics, differences, and a caption."""
    around = {"best": (r"\textbf{", "}"), "second": (r"\underline{", "}"), None: ("", "")}
    # Without width, so that numbers stay aligned.
    stars = {True: r"\rlap{$^{*}$}", False: ""}

    def write(cell: str, mark: Mark | None, star: bool) -> str:
        shown = cell.replace(" ± ", r"\,$\pm$\,")
        return f"{around[mark][0]}{shown}{around[mark][1]}{stars[star]}"

    scores = [[latex_text(name), *cells] for name, *cells in score_rows(compared, write)]
    differences = [
        [*map(latex_text, row[:3]), *map(_latex_number, row[3:-1]), row[-1]]
        for row in difference_rows(compared.comparison, r"\sim ")
    ]
    heads = _latex_heads(compared)
    lines = [
        r"\begin{table}",
        r"\centering",
        *_tabular("l" + "r" * (len(scores[0]) - 1), heads, scores),
        "",
        r"\medskip",
        *_tabular("lllr" + "r" * 7 + "l", [" & ".join(map(latex_text, DIFFERENCES_HEAD))], differences),
        rf"\caption{{{' '.join(map(_latex_sentence, compared.notes(_IN_LATEX)))}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_heads(compared: Compared) -> list[str]:
    """Return two lines of head: datasets over their metrics."""
    costs = cost_head(timed=compared.timed)
    groups: dict[str, list[str]] = {}
    for dataset, metric in compared.columns:
        groups.setdefault(dataset, []).append(metric)
    # Columns come set by set, so that each set is one span.
    spans = [rf"\multicolumn{{{len(metrics)}}}{{c}}{{{latex_text(dataset)}}}" for dataset, metrics in groups.items()]
    metrics = [latex_text(metric) for group in groups.values() for metric in group]
    return [" & ".join([*[""] * (1 + len(costs)), *spans]), " & ".join(["network", *costs, *metrics])]


def _latex_number(cell: str) -> str:
    """Return a cell in mathematics: a hyphen would be too short for a minus."""
    return "--" if cell == "-" else f"${cell}$"


def _latex_sentence(note: str) -> str:
    shown = latex_text(note).replace("<", "$<$").replace(">", "$>$").replace("±", r"$\pm$")
    return f"{shown}."


def _tabular(columns: str, heads: list[str], rows: Rows) -> list[str]:
    body = [" & ".join(row) + r" \\" for row in rows]
    top = [rf"{head} \\" for head in heads]
    return [rf"\begin{{tabular}}{{{columns}}}", r"\hline", *top, r"\hline", *body, r"\hline", r"\end{tabular}"]
