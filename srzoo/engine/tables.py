"""Tables as text."""

from collections.abc import Mapping, Sequence


def score_table(title: str, scores: Mapping[str, Mapping[str, float]], metrics: Mapping[str, object]) -> str:
    """Format mean scores: one row per dataset, one column per metric with its protocol."""
    heads = [f"{name} ({_protocol(metric)})" for name, metric in metrics.items()]
    rows = [[title, *heads]]
    for dataset, means in scores.items():
        rows.append([dataset, *(_number(means.get(name)) for name in metrics)])
    return table(rows)


def conditions_line(inference: Mapping[str, object], weights: str, device: str) -> str:
    """Describe in one line, below a table, how its scores came about."""
    tile, rule, fused = inference["tile"], inference["tile_rule"], ", merged form" if inference["fused"] else ""
    applied = "whole images" if tile is None else f"tiles of {tile} with {inference['tile_overlap']} overlap"
    if tile == "auto":
        applied = "tiles as large as memory allows"
    if rule != "exact":
        applied += f" (tile_rule {rule})"
    if inference["ensemble"] != "none":
        applied += f", self-ensemble {inference['ensemble']}"
    padding = "no padding" if inference["padding"] == "none" else f"padding {inference['padding']}"
    return f"{applied}{fused}, {inference['precision']}, {padding}; weights {weights}; {device}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Format rows of text with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _number(value: float | None) -> str:
    # Papers give SSIM with more decimals than PSNR.
    return "-" if value is None else f"{value:.{5 if value <= 1 else 4}f}"


def _protocol(metric: object) -> str:
    return getattr(getattr(metric, "protocol", None), "name", type(metric).__name__)
