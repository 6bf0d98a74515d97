"""Estimates of docs/scaling.md: the page has the tables that the script computes, and the formula is the stated one."""

import importlib.util
import sys

import pytest

from tests.support import ROOT

spec = importlib.util.spec_from_file_location("scaling", ROOT / "scripts" / "scaling.py")
assert spec is not None
assert spec.loader is not None
scaling = importlib.util.module_from_spec(spec)
sys.modules["scaling"] = scaling
spec.loader.exec_module(scaling)


def test_the_page_has_the_tables_of_the_script():
    assert scaling.tables() in (ROOT / "docs" / "scaling.md").read_text()


def test_a_ring_sends_nearly_twice_the_gradients_over_each_link():
    assert scaling.exchange(10**9, 1) == 0
    # 8 GPUs of one node: 2 * 7/8 of 1 GB at 240 GB/s, and 14 hops of 3 us.
    assert scaling.exchange(10**9, 8) == pytest.approx(1.75 / 240 + 14 * 3e-6)
    # Two nodes: 15/16 at 20 GB/s, 2 hops between nodes, 28 within.
    assert scaling.exchange(10**9, 16) == pytest.approx(1.875 / 20 + 2 * 10e-6 + 28 * 3e-6)


def test_only_the_last_bucket_is_waited_for_while_backward_hides_the_others():
    gpu = scaling.Gpu("test", 1e12)
    size = 4 * scaling.BUCKET  # four buckets
    slow = scaling.Training(parameters=size // 4, forward=10**12, batch=8)
    total, waiting = scaling.step(slow, gpu, 1, 8)
    assert waiting == pytest.approx(scaling.exchange(scaling.BUCKET, 8))
    assert total == pytest.approx(3 + waiting)  # 1 s forward, 2 s backward
    idle = scaling.Training(parameters=size // 4, forward=0, batch=8)
    assert scaling.step(idle, gpu, 1, 8)[1] == pytest.approx(4 * scaling.exchange(scaling.BUCKET, 8))
