"""Curves of losses and scores over the updates of trainings, as inline SVG with the best value marked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srzoo.report.markup import Markup, element, joined

# Size of the drawing and of its margins: left, right, top, bottom.
_WIDTH, _HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 72, 28, 14, 40
# Points of a line beyond which only every k-th is drawn.
_MAX_POINTS = 1000
# Lines that report.css has colours and dashes for.
NUM_STYLES = 8


@dataclass(frozen=True)
class Panel:
    """Curves of one quantity.

    Args:
        title: the quantity, with its unit.
        curves: name of a run -> {update: value}.
        higher_is_better: which values are best; None: none is marked.
        command: that draws it again.
    """

    title: str
    curves: Mapping[str, Mapping[int, float]]
    higher_is_better: bool | None
    command: str

    def best(self, name: str) -> tuple[int, float] | None:
        """Return (update, value) of the first best value of a curve; None if none is marked."""
        curve = self.curves[name]
        if self.higher_is_better is None or not curve:
            return None
        sign = 1 if self.higher_is_better else -1
        return max(curve.items(), key=lambda item: (sign * item[1], -item[0]))


def figure_of(panel: Panel) -> Markup:
    """Return the figure of a panel: drawing, legend with the best values, and the values as a table."""
    return element(
        "figure",
        _drawing(panel),
        element("figcaption", element("strong", panel.title), _legend(panel), repeat(panel.command)),
        class_="panel",
    )


def repeat(command: str) -> Markup:
    """Return the line below a figure that names the command which repeats it."""
    return element("p", "Repeat: ", element("code", command), class_="repeat")


def _legend(panel: Panel) -> Markup:
    items = []
    for style, name in enumerate(panel.curves):
        line = element("line", x1=0, y1=5, x2=28, y2=5, class_=f"line {_style(style)}")
        swatch = element("svg", line, viewBox="0 0 28 10", width=28, height=10, aria_hidden="true")
        best, (last, value) = panel.best(name), list(panel.curves[name].items())[-1]
        words = f" {name}: {_short(value)} after {last:,}"
        if best is not None:
            words += f", best {_short(best[1])} after {best[0]:,}"
        items.append(element("li", swatch, words))
    return element("ul", *items, class_="legend")


def _drawing(panel: Panel) -> Markup:
    steps = [step for curve in panel.curves.values() for step in curve]
    values = [value for curve in panel.curves.values() for value in curve.values()]
    # Losses fall by orders of magnitude: a logarithmic axis shows the end of the training too.
    logarithmic = panel.higher_is_better is None and min(values) > 0 and max(values) > 10 * min(values)
    across = _Axis(min(steps), max(steps), _LEFT, _WIDTH - _RIGHT)
    down = _Axis(min(values), max(values), _HEIGHT - _BOTTOM, _TOP, logarithmic)
    parts = [element("title", f"{panel.title} over updates"), element("desc", _description(panel))]
    for value in down.ticks():
        y = down.place(value)
        parts.append(element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(element("text", _short(value), x=_LEFT - 8, y=y + 4, text_anchor="end"))
    for value in across.ticks():
        x = across.place(value)
        parts.append(element("line", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM, class_="grid"))
        parts.append(element("text", f"{value:,.0f}", x=x, y=_HEIGHT - _BOTTOM + 18, text_anchor="middle"))
    parts.append(element("text", "updates", x=(_LEFT + _WIDTH) / 2, y=_HEIGHT - 4, text_anchor="middle"))
    for style, (name, curve) in enumerate(panel.curves.items()):
        points = " ".join(f"{across.place(step):.1f},{down.place(value):.1f}" for step, value in _thinned(curve))
        parts.append(element("polyline", points=points, class_=f"line {_style(style)}"))
        if (best := panel.best(name)) is not None:
            note = element("title", f"best of {name}: {_short(best[1])} after {best[0]:,} updates")
            place = {"cx": across.place(best[0]), "cy": down.place(best[1])}
            parts.append(element("g", note, element("circle", **place, r=5, class_=f"best {_style(style)}")))
    return element("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", class_="curves")


def _description(panel: Panel) -> str:
    """Describe the curves for readers who do not see them."""
    sentences = []
    for name, curve in panel.curves.items():
        first, last = next(iter(curve.items())), list(curve.items())[-1]
        sentence = f"{name}: from {_short(first[1])} after {first[0]:,} to {_short(last[1])} after {last[0]:,}"
        if (best := panel.best(name)) is not None:
            sentence += f", best {_short(best[1])} after {best[0]:,}"
        sentences.append(sentence)
    return "; ".join(sentences)


def _style(index: int) -> str:
    return f"c{index % NUM_STYLES}"


def _thinned(curve: Mapping[int, float]) -> Sequence[tuple[int, float]]:
    """Return at most about _MAX_POINTS points, the last one always."""
    points = list(curve.items())
    every = math.ceil(len(points) / _MAX_POINTS)
    return points[::every] if every == 1 or (len(points) - 1) % every == 0 else [*points[::every], points[-1]]


@dataclass(frozen=True)
class _Axis:
    """Values [low, high] on places [start, end] of the drawing."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the place of a value."""
        low, high, at = (math.log10(each) if self.logarithmic else each for each in (self.low, self.high, value))
        # A constant curve lies in the middle.
        share = 0.5 if high == low else (at - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self) -> list[float]:
        """Return round values inside the axis."""
        if self.high == self.low:
            return [self.low]
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            # One label per power of ten, fewer over many, more over few.
            factors = (1,) if last - first > 3 else (1, 2, 5)
            powers = range(first, last + 1, math.ceil((last - first) / 8))
            labels = [factor * 10.0**power for power in powers for factor in factors]
            return [label for label in labels if self.low <= label <= self.high]
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]


def _short(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if 0.01 <= abs(value) < 1e5 or value == 0 else f"{value:.3g}"


def curve_section(panels: Sequence[Panel]) -> Markup:
    """Return the figures of all panels that have curves."""
    return joined(*(figure_of(panel) for panel in panels if any(panel.curves.values())))
