"""Figures of analyses: labelled, with colour scales that colour-blind readers can tell apart.

matplotlib belongs to the extra `report` and is imported when a figure is drawn.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from srzoo.atomic import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# Perceptually uniform maps: one for amounts, one for signed values (both readable without red-green vision).
AMOUNT, SIGNED = "viridis", "PuOr"
# Colours of curves by Okabe & Ito, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = "osD^vPX*"


def require_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises:
        ValueError: matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise ValueError('pictures need matplotlib: pip install "srzoo[report]"')


def require_colours(cmap: str) -> None:
    """Check the name of a colour map.

    Raises:
        ValueError: matplotlib has no such map.
    """
    from matplotlib import colormaps

    if cmap not in colormaps:
        raise ValueError(f"--cmap {cmap!r}: expected a colour map of matplotlib, such as viridis, cividis or magma")


def new_figure(width: float, height: float, title: str = "") -> "Figure":
    """Return an empty figure [inches]."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def new_panels(rows: int, columns: int, *, side: float = 2.6, title: str = "") -> "tuple[Figure, list[Axes]]":
    """Return a figure of rows x columns panels, and the panels row by row; `side` is that of a panel [inches]."""
    figure = new_figure(columns * side, rows * side + 0.5, title)
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def show_image(axes: "Axes", image: np.ndarray, title: str) -> None:
    """Show an image (H, W, 3) or (H, W) in [0, 1] in true colours, clipped."""
    axes.imshow(np.clip(image, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])


def show_map(
    axes: "Axes",
    values: np.ndarray,
    title: str,
    *,
    label: str,
    cmap: str = AMOUNT,
    low: float | None = None,
    high: float | None = None,
    extent: tuple[float, float, float, float] | None = None,
) -> "AxesImage":
    """Show a map (H, W) with its colour scale.

    Args:
        axes: panel.
        values: of the map.
        title: of the panel.
        label: of the colour scale, with the unit in brackets.
        cmap: colours.
        low: value at the lower end of the scale; None: the smallest.
        high: value at the upper end; None: the largest.
        extent: left, right, bottom and top of the map on the axes.
    """
    shown = axes.imshow(values, cmap=cmap, vmin=low, vmax=high, interpolation="nearest", extent=extent)
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7)
    bar = axes.figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return shown


def mark_square(
    axes: "Axes", top: float, left: float, size: float, colour: str = "#D55E00", *, label: str = "", edge: bool = True
) -> None:
    """Outline a square of pixels.

    Args:
        axes: panel.
        top: first row.
        left: first column.
        size: side of the square [pixels].
        colour: of the line.
        label: in the legend; empty: none.
        edge: with a white edge, for images of any colour.
    """
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    # Pixel centres lie on whole numbers.
    square = Rectangle((left - 0.5, top - 0.5), size, size, fill=False, edgecolor=colour, linewidth=1.5, label=label)
    if edge:
        square.set_path_effects([withStroke(linewidth=3, foreground="white")])
    axes.add_patch(square)


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix."""
    from matplotlib import rc_context

    # Without the date, and with fixed names inside SVG files, the same figure gives the same file.
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[path.suffix[1:]]
    with rc_context({"svg.hashsalt": "srzoo"}):
        write_atomic(path, lambda file: figure.savefig(file, format=path.suffix[1:], dpi=150, metadata=undated))
