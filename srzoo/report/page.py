"""The page of `srzoo report`: one HTML file that needs nothing else, neither a network nor a library.

Tables are there without JavaScript; the script adds sorting, sliders and zoom. A content security policy allows this
page's own script and style alone, so that nothing is ever fetched.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from srzoo.report.curves import Panel, curve_section, repeat
from srzoo.report.lam import Overlay, overlay_section
from srzoo.report.markup import Markup, element, joined, table
from srzoo.report.provenance import RunRecord, record_section
from srzoo.report.viewer import PictureSet, blocks, viewer


@dataclass(frozen=True)
class ScoreTable:
    """Scores as a table.

    Args:
        caption: of the table.
        head: cells of its first row.
        rows: cells of the others, the name first.
        notes: lines below it.
        command: that computes it again.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]
    command: str


@dataclass(frozen=True)
class Report:
    """Contents of a page.

    Args:
        title: of the page.
        command: that writes it again.
        summaries: mean scores and comparisons.
        per_image: scores of each image, by dataset.
        panels: curves of the trainings.
        sets: pictures.
        overlays: local attribution maps.
        records: provenance of the runs.
        notes: about the whole report, such as parts that were left out.
    """

    title: str
    command: str
    summaries: Sequence[ScoreTable]
    per_image: Sequence[ScoreTable]
    panels: Sequence[Panel]
    sets: Sequence[PictureSet]
    overlays: Sequence[Overlay]
    records: Sequence[RunRecord]
    notes: Sequence[str] = ()


def page(report: Report) -> str:
    """Return the page."""
    style, script = _asset("report.css"), _asset("report.js")
    sections = _sections(report)
    contents = element(
        "nav",
        element("ul", *(element("li", element("a", title, href=f"#{name}")) for name, (title, _) in sections.items())),
        aria_label="Contents",
    )
    header = element(
        "header",
        element("h1", report.title),
        *(element("p", note, class_="note") for note in report.notes),
        repeat(report.command),
        contents,
    )
    main = element(
        "main",
        *(
            element("section", element("h2", title, id=f"{name}-title"), body, id=name, aria_labelledby=f"{name}-title")
            for name, (title, body) in sections.items()
        ),
        id="content",
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", report.title),
        element("style", style),
    )
    skip = element("a", "Skip to the content", href="#content", class_="skip")
    # The script comes before the pixels, so that the page is at work while the browser still reads them.
    body = element("body", skip, header, main, element("script", script), blocks(report.sets))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sections(report: Report) -> Mapping[str, tuple[str, Markup]]:
    """Return the sections that have something in them: name -> (title, body)."""
    return {
        name: (title, body)
        for name, title, body in (
            ("scores", "Scores", joined(*(_scores(each, sortable=False) for each in report.summaries))),
            ("curves", "Curves", curve_section(report.panels)),
            ("pictures", "Pictures", joined(*(viewer(each, number) for number, each in enumerate(report.sets)))),
            ("attribution", "Local attribution maps", overlay_section(report.overlays)),
            ("images", "Scores of each image", joined(*(_scores(each, sortable=True) for each in report.per_image))),
            ("provenance", "Provenance", record_section(report.records)),
        )
        if body
    }


def _scores(scores: ScoreTable, *, sortable: bool) -> Markup:
    rows = [list(row) for row in scores.rows]
    name = "sortable" if sortable else "scores"
    body = table(list(scores.head), rows, caption=scores.caption, class_=name)
    return joined(body, *(element("p", note, class_="note") for note in scores.notes), repeat(scores.command))


def _asset(name: str) -> Markup:
    """Return a file of this package that goes into the page as it is."""
    return Markup(resources.files("srzoo.report").joinpath("assets", name).read_text(encoding="utf-8"))


def _policy(style: str, script: str) -> str:
    """Return a policy under which the browser runs this style and script, shows embedded images, and does no more."""

    def checksum(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")

    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{checksum(style)}'; "
        f"script-src 'sha256-{checksum(script)}'; base-uri 'none'; form-action 'none'"
    )
