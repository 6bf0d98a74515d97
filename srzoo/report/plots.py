"""Plots of quality against cost, and of speed and memory against the size of the input."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srzoo.analysis.figures import require_matplotlib
from srzoo.analysis.profile import Profile
from srzoo.analysis.speed import Pressure
from srzoo.atomic import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SUFFIXES = (".png", ".pdf", ".svg")


def require_plot(file: Path) -> None:
    """Check that a plot can be drawn to a file.

    Raises:
        ValueError: matplotlib is not installed, or the name has no known suffix.
    """
    require_matplotlib()
    if file.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"expected a plot's name that ends in {', '.join(_SUFFIXES)}, got {file}")


def _figure(columns: int) -> "Figure":
    # Without pyplot no window system is touched, and no state is shared.
    from matplotlib.figure import Figure

    return Figure(figsize=(5.5 * columns, 4.5), layout="constrained")


def _save(figure: "Figure", file: Path) -> None:
    kind = file.suffix.lstrip(".").lower()
    write_atomic(file, lambda target: figure.savefig(target, format=kind, dpi=150))


def plot_quality(file: Path, profiles: Sequence[Profile]) -> None:
    """Draw one panel per dataset and metric: score against multiply-adds, with areas as the parameters.

    Attention products are included in the multiply-adds, so that networks of all kinds can be compared.

    Raises:
        ValueError: no profile has scores, the name has no known suffix, or matplotlib is missing.
    """
    require_plot(file)
    measures = list(dict.fromkeys(measure for profile in profiles for measure in profile.quality))
    if not measures:
        raise ValueError("no scores to draw: name result files with --results")
    figure = _figure(len(measures))
    for axes, measure in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        for profile in profiles:
            if measure in profile.quality:
                place = profile.cost.multiply_adds_with_attention_products / 1e9, profile.quality[measure]
                area = 20 + 60 * (profile.cost.params_deployed / 1e6) ** 0.5
                axes.scatter(*place, area, alpha=0.7)
                axes.annotate(profile.name, place, xytext=(5, 5), textcoords="offset points", fontsize=8)
        axes.set(xscale="log", xlabel="multiply-adds with attention products [G]", ylabel=measure)
        axes.grid(visible=True, which="both", alpha=0.3)
    _save(figure, file)


def plot_pressure(file: Path, pressure: Mapping[str, Sequence[Pressure]]) -> None:
    """Draw the latency and the memory of each network against the side of the input.

    Raises:
        ValueError: the name has no known suffix, or matplotlib is missing.
    """
    require_plot(file)
    figure = _figure(2)
    time, memory = figure.subplots(1, 2)
    for name, results in pressure.items():
        done = [(each.side, each.speed) for each in results if each.speed is not None]
        sides = [side for side, _ in done]
        time.plot(sides, [speed.latency_p50_ms for _, speed in done], marker="o", label=name)
        used = [(side, speed.peak_memory_mib) for side, speed in done if speed.peak_memory_mib is not None]
        memory.plot([side for side, _ in used], [mib for _, mib in used], marker="o", label=name)
    for axes, label in ((time, "latency, median [ms]"), (memory, "peak memory of a pass [MiB]")):
        axes.set(xscale="log", yscale="log", xlabel="side of the input [pixels]", ylabel=label)
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend(fontsize=8)
    _save(figure, file)
