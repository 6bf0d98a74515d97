"""Progress of long loops off a terminal."""

import functools
import sys
import threading

import pytest

from srzoo import progress


@pytest.fixture
def _clock(monkeypatch):
    """Time that passes by ten seconds whenever it is read."""
    ticks = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))


@pytest.mark.usefixtures("_clock")
def test_a_line_every_half_minute_says_how_many_are_done(capsys):
    assert list(progress.shown(list(range(8)), "Set5")) == list(range(8))
    assert capsys.readouterr().err.splitlines() == ["Set5: 2 of 8 img", "Set5: 5 of 8 img"]


@pytest.mark.usefixtures("_clock")
def test_the_number_of_items_may_be_given_or_unknown(capsys):
    list(progress.shown(iter(range(3)), "checking train", 9))
    list(progress.shown(iter(range(3)), "degrading", unit="files"))
    assert capsys.readouterr().err.splitlines() == ["checking train: 2 of 9 img", "degrading: 2 files"]


def test_short_loops_print_nothing(capsys):
    list(progress.shown(range(100), "Set5"))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    assert list(progress.shown(range(3), "Set5")) == [0, 1, 2]
    assert "Set5" in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_a_meter_shows_images_and_megapixels_per_second(terminal, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "tqdm", functools.partial(progress.tqdm, mininterval=0))
    held = threading.Lock()
    meter = progress.Meter("upscale", 4, held)
    for _ in range(2):
        now[0] += 20
        meter.add(30_000_000)
    error = capsys.readouterr().err
    assert meter.rate() == "0.05 img/s, 1.50 MP/s"
    meter.close()
    if terminal:
        assert "2/4" in error
        assert "1.50 MP/s" in error
    else:  # a line every half minute
        assert error == "upscale: 2 of 4 img, 0.05 img/s, 1.50 MP/s\n"
    assert not held.locked()
