"""Speed and memory: what is timed, and where the pressure test ends."""

import time

import pytest
import torch

from srzoo.analysis import speed
from srzoo.analysis.speed import hardware, measure_speed, peak_memory, pressure_test

CPU = torch.device("cpu")


def test_percentiles_and_throughput_are_those_of_the_timed_passes(monkeypatch):
    clock = iter([0.0, 0.0, 0.0, *(x for d in (1.0, 3.0, 2.0, 4.0) for x in (0.0, d))])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    calls = []
    measured = measure_speed(lambda lq: calls.append(lq) or lq.repeat(1, 1, 2, 2), torch.rand(1, 3, 50, 100), runs=4)
    assert (measured.warm_up, measured.runs) == (3, 4)
    assert len(calls) == 8  # one more for the memory
    assert measured.latency_p50_ms == 2500
    assert measured.latency_p95_ms == pytest.approx(3850)
    assert measured.images_per_second == pytest.approx(0.4)
    assert measured.output_megapixels_per_second == pytest.approx(0.4 * 0.02)


def test_slow_networks_are_timed_twice_at_least_and_warmed_up_once():
    calls = []
    measured = measure_speed(lambda lq: calls.append(0) or lq, torch.rand(1, 3, 4, 4), seconds=0.0)
    assert (measured.warm_up, measured.runs) == (1, 2)


def test_peak_memory_is_that_of_a_pass():
    def run(lq):
        # Two of 32 MiB at once, which are freed again.
        return lq + torch.ones(2**23).add(1).sum()

    first, again = (peak_memory(run, torch.rand(1, 3, 8, 8)) for _ in range(2))
    if first is None:
        pytest.skip("not measurable on this system")
    assert first == pytest.approx(64, abs=6)
    assert again == pytest.approx(64, abs=6)


def test_the_pressure_test_ends_when_memory_is_full():
    def run(lq):
        if lq.shape[-1] > 16:
            raise torch.OutOfMemoryError("full")
        return lq

    results = list(pressure_test(run, 1, CPU, sides=(8, 16, 32, 64)))
    assert [(each.side, each.ended) for each in results] == [(8, ""), (16, ""), (32, "out of memory")]
    assert results[-1].speed is None

    def broken(_):
        raise RuntimeError("sizes differ")

    with pytest.raises(RuntimeError, match="sizes differ"):
        list(pressure_test(broken, 1, CPU, sides=(8,)))


@pytest.mark.parametrize(
    ("patched", "value", "reason"),
    [("free_memory", lambda _: 1000, "MiB, 0 are free"), (None, None, "longer than 0 s")],
)
def test_the_pressure_test_ends_before_it_would_kill_or_stall_the_process(monkeypatch, patched, value, reason):
    if patched:
        monkeypatch.setattr(speed, patched, value)
        monkeypatch.setattr(speed, "peak_memory", lambda *_: 1.0)
    results = list(pressure_test(lambda lq: lq, 1, CPU, sides=(8, 16, 32), limit=60 if patched else 0))
    assert [each.side for each in results] == [8, 16]
    assert reason in results[-1].ended


def test_hardware_names_processor_threads_and_versions():
    facts = hardware(CPU)
    assert facts["threads"] == torch.get_num_threads()
    assert facts["torch"] == torch.__version__
    assert facts["cpu"]
