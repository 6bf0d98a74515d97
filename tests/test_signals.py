"""Handling of the signals that stop a training or a study."""

import os
import signal
import threading

from srzoo import signals


def test_copies_of_a_signal_are_not_a_second_one(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    first, second = [], []
    with signals.listening(first.append, second.append):
        for after, number in ((0, signal.SIGTERM), (1, signal.SIGTERM), (2.9, signal.SIGINT), (3, signal.SIGHUP)):
            now[0] = 100.0 + after
            os.kill(os.getpid(), number)
    assert (first, second) == ([signal.SIGTERM], [signal.SIGHUP])


def test_handlers_are_put_back_after_an_error():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    try:
        with signals.listening(lambda _: None, lambda _: None):
            assert all(signal.getsignal(number) not in before for number in signals.SIGNALS)
            raise ValueError
    except ValueError:
        assert [signal.getsignal(number) for number in signals.SIGNALS] == before


def test_another_thread_works_without_signals():
    inside = []

    def work() -> None:
        with signals.listening(lambda _: None, lambda _: None):
            inside.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [True]


def test_the_name_of_a_signal_is_written_with_the_text(capfd):
    signals.say(signal.SIGHUP, "the trainings save and stop")
    assert capfd.readouterr().err == "SIGHUP: the trainings save and stop\n"
