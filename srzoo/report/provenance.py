"""Provenance of runs: the facts, records and protocols behind the numbers of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srzoo.report.curves import repeat
from srzoo.report.markup import Markup, element, joined, table


@dataclass(frozen=True)
class RunRecord:
    """Provenance of one run; nothing in it names a path of the machine.

    Args:
        name: of the run.
        facts: (fact, value), such as commit, versions, network, weights.
        commands: command lines of training and test.
        protocols: "dataset metric" -> settings of its protocol.
        texts: title -> text of a file, such as the options.
    """

    name: str
    facts: Sequence[tuple[str, str]]
    commands: Sequence[str]
    protocols: Mapping[str, Mapping[str, object]]
    texts: Mapping[str, str]


def record_section(records: Sequence[RunRecord]) -> Markup:
    """Return the records of all runs, folded; they open without JavaScript."""
    return joined(*(_record(record) for record in records))


def _record(record: RunRecord) -> Markup:
    facts = element(
        "dl", *(joined(element("dt", fact), element("dd", value)) for fact, value in record.facts), class_="facts"
    )
    return element(
        "details",
        element("summary", element("h3", record.name)),
        facts,
        *(repeat(command) for command in record.commands),
        _cards(record),
        *(
            element("details", element("summary", title), element("pre", text, tabindex="0"))
            for title, text in record.texts.items()
        ),
        class_="record",
    )


def _cards(record: RunRecord) -> Markup:
    """Return a table of the protocols; equal ones share a column."""
    columns: list[tuple[list[str], Mapping[str, object]]] = []
    for measure, settings in record.protocols.items():
        for names, known in columns:
            if known == settings:
                names.append(measure)
                break
        else:
            columns.append(([measure], settings))
    if not columns:
        return Markup()
    keys = dict.fromkeys(key for _, settings in columns for key in settings)
    rows = [[key, *(_word(settings.get(key)) for _, settings in columns)] for key in keys]
    head = ["setting", *(", ".join(names) for names, _ in columns)]
    return table(head, rows, caption=f"Protocols of {record.name}")


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)
