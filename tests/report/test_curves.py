"""Curves of trainings as SVG."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srzoo.report.curves import NUM_STYLES, Panel, curve_section, figure_of


def drawing(panel):
    """Parse the SVG of a panel, which is XML too."""
    (text,) = re.findall(r"<svg viewBox=\"0 0 640.*?</svg>", figure_of(panel))
    return ET.fromstring(text)


def points(svg):
    return [
        [tuple(map(float, point.split(","))) for point in (line.get("points") or "").split()]
        for line in svg.iter("polyline")
    ]


@pytest.mark.parametrize(("higher", "step", "value"), [(True, 100, 31.5), (False, 50, 30.0)])
def test_the_first_best_value_is_marked(higher, step, value):
    panel = Panel("psnr on Set5", {"run": {50: 30.0, 100: 31.5, 150: 31.5}}, higher, "srzoo report run")
    svg = drawing(panel)
    (line,) = points(svg)
    (mark,) = svg.iter("circle")
    assert (float(mark.get("cx") or "nan"), float(mark.get("cy") or "nan")) == pytest.approx(
        line[[50, 100, 150].index(step)], abs=0.06
    )
    assert f"best {value:g} after {step}" in figure_of(panel)


def test_losses_have_no_best_and_fall_on_a_logarithmic_axis():
    svg = drawing(Panel("loss: pixel", {"run": {1: 1.0, 2: 0.1, 3: 0.01}}, None, "srzoo report run"))
    (line,) = points(svg)
    assert not list(svg.iter("circle"))
    # Equal factors are equal distances.
    assert line[1][1] - line[0][1] == pytest.approx(line[2][1] - line[1][1], abs=0.2)


def test_curves_are_told_apart_by_more_than_colour_and_described_in_words():
    curves = {f"run {number}": {1: float(number), 2: 5.0} for number in range(NUM_STYLES)}
    svg = drawing(Panel("psnr", curves, True, "srzoo report run"))
    styles = [line.get("class") for line in svg.iter("polyline")]
    assert len(set(styles)) == NUM_STYLES
    assert svg.get("role") == "img"
    assert "run 3: from 3 after 1 to 5 after 2, best 5 after 2" in (svg.findtext("desc") or "")


def test_long_curves_are_thinned_but_keep_their_end():
    curve = {step: 1.0 / step for step in range(1, 100_004)}
    (line,) = points(drawing(Panel("loss", {"run": curve}, None, "srzoo report run")))
    assert len(line) < 1100
    assert line[-1][0] == max(x for x, _ in line) == 612


def test_panels_without_values_are_left_out():
    assert curve_section([Panel("psnr", {}, True, "srzoo report run")]) == ""


VALUES = st.floats(-1e6, 1e6, allow_nan=False) | st.floats(1e-9, 1e9)


@settings(max_examples=50)
@given(st.dictionaries(st.integers(1, 10**7), VALUES, min_size=1, max_size=20), st.sampled_from([True, False, None]))
def test_everything_lies_inside_the_drawing(values, higher):
    panel = Panel("x", {"run": dict(sorted(values.items()))}, higher, "srzoo report run")
    svg = drawing(panel)
    for x, y in points(svg)[0]:
        assert 0 <= x <= 640
        assert 0 <= y <= 280
    assert len(list(svg.iter("text"))) < 40
