"""Tables of costs, as text and in Markdown."""

from collections.abc import Mapping, Sequence

from srzoo.analysis.profile import CONVENTION, Profile
from srzoo.analysis.speed import Pressure

Rows = list[list[str]]
_PRESSURE_HEAD = ["input", "p50 [ms]", "p95 [ms]", "memory [MiB]"]


def rows(profiles: Sequence[Profile]) -> Rows:
    """Return the cells of a table, its head first; columns after multiply-adds that no network needs are left out."""
    head = ["network", "parameters", "deployed", "multiply-adds", "attention products", "activations", "convolutions"]
    table = [[*head, "p50 [ms]", "p95 [ms]", "images/s", "memory [MiB]"]]
    for profile in profiles:
        cost, speed = profile.cost, profile.speed
        cells = [
            profile.name,
            f"{cost.params:,}",
            f"{cost.params_deployed:,}",
            in_units(cost.multiply_adds),
            in_units(cost.attention_product_multiply_adds),
            in_units(cost.activations),
            f"{cost.conv_calls:,}",
        ]
        if speed is None:
            cells += [""] * 4
        else:
            cells += [f"{speed.latency_p50_ms:.1f}", f"{speed.latency_p95_ms:.1f}", f"{speed.images_per_second:.2f}"]
            cells.append(_memory(speed.peak_memory_mib))
        table.append(cells)
    empty = {"", "0"}
    always = head.index("multiply-adds")
    used = [place for place in range(len(table[0])) if place <= always or {row[place] for row in table[1:]} - empty]
    return [[row[column] for column in used] for row in table]


def in_units(number: int) -> str:
    """Write a number with four digits and the unit K, M, G or T."""
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.4g} {unit}"
    return str(number)


def _memory(mib: float | None) -> str:
    return "-" if mib is None else f"{mib:,.0f}"


def _notes(size: tuple[int, int], conditions: Mapping[str, str | int] | None) -> list[str]:
    """Return the lines below a table: input, convention, and the conditions of what was measured."""
    notes = [f"Input {size[0]}x{size[1]} (width x height); {CONVENTION}."]
    if conditions is not None:
        notes.append("Measured: " + ", ".join(f"{name} {value}" for name, value in conditions.items()) + ".")
    return notes


def _pressure_rows(results: Sequence[Pressure]) -> Rows:
    table = [_PRESSURE_HEAD]
    for result in results:
        cells = [f"{result.side}x{result.side}"]
        if result.speed is None:
            cells += [result.ended, "", ""]
        else:
            speed = result.speed
            cells += [f"{speed.latency_p50_ms:.1f}", f"{speed.latency_p95_ms:.1f}", _memory(speed.peak_memory_mib)]
        table.append(cells)
    return table


def text(table: Rows, size: tuple[int, int], conditions: Mapping[str, str | int] | None) -> str:
    """Format a table with aligned columns and its notes."""
    return "\n".join([aligned(table), *_notes(size, conditions)])


def text_of_pressure(results: Sequence[Pressure]) -> str:
    """Format the pressure test of a network."""
    return aligned(_pressure_rows(results))


def aligned(table: Rows, texts: int = 1) -> str:
    """Format rows of cells in columns: the first `texts` aligned to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:texts], widths[:texts], strict=True)]
        cells += [cell.rjust(width) for cell, width in zip(row[texts:], widths[texts:], strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def markdown(
    table: Rows,
    size: tuple[int, int],
    conditions: Mapping[str, str | int] | None,
    pressure: Mapping[str, Sequence[Pressure]],
) -> str:
    """Format a table in Markdown, with its notes and the pressure tests."""
    parts = [markdown_table(table), *_notes(size, conditions)]
    for name, results in pressure.items():
        parts += [f"Pressure test of {name}:", markdown_table(_pressure_rows(results))]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Rows) -> str:
    """Format rows of cells, the head first, as a table in Markdown."""
    # A bar would end a cell.
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in table]
    return "\n".join([lines[0], "|---" * len(table[0]) + "|", *lines[1:]])
