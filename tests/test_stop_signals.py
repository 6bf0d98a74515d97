"""Handlers of the signals that stop a training or a study."""

import signal

import pytest

from srzoo.stop_signals import SIGNALS, handled_by


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_ignored_signals_stay_ignored(number):
    received = []
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with handled_by(lambda number, _: received.append(number)):
            for each in SIGNALS:
                signal.raise_signal(each)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert received == [each for each in SIGNALS if each != number]
