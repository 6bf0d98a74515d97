"""The guard over other ranks and loader processes, without its thread: looks at a store and at processes made here."""

import math

import pytest
from torch.distributed import HashStore  # pyright: ignore[reportPrivateImportUsage]  # documented, but not in __all__

from srzoo import ranks
from srzoo.engine import guard
from srzoo.engine.guard import INTERVAL, PATIENCE, Guard

LOOKS = math.floor(PATIENCE / INTERVAL)  # without a sign of life that are still patient


@pytest.fixture
def two(monkeypatch):
    """Guards of two ranks that share a store, by number."""
    store = HashStore()
    monkeypatch.setattr(guard, "_store", lambda: store)
    guards = [Guard(), Guard()]

    def look(rank):
        with monkeypatch.context() as patch:
            patch.setattr(ranks, "rank", lambda: rank)
            patch.setattr(ranks, "world_size", lambda: 2)
            return guards[rank]._lost_rank()

    return look


@pytest.mark.parametrize("lost", [0, 1])
def test_a_rank_without_a_sign_of_life_is_lost_after_25_seconds(two, lost):
    other = 1 - lost
    two(lost)
    assert [two(other) for _ in range(LOOKS + 1)] == [""] * (LOOKS + 1)
    assert two(other).startswith(f"rank {lost} has not answered for 25 s")


def test_a_job_that_was_suspended_as_a_whole_has_lost_nobody(two, monkeypatch):
    # Whatever the clock says meanwhile, the ranks did not look.
    for hours in range(4):
        monkeypatch.setattr("time.monotonic", lambda hours=hours: 3600.0 * hours)
        assert two(0) == ""
        assert two(0) == ""  # rank 0 goes on before rank 1
        assert two(1) == ""


def test_a_store_that_answers_again_was_not_lost(two, monkeypatch):
    def silent(*_):
        raise RuntimeError("Connection reset by peer")

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(HashStore, "add", silent)
            assert {two(0) for _ in range(LOOKS)} == {""}
        assert two(0) == ""
    monkeypatch.setattr(HashStore, "add", silent)
    assert {two(0) for _ in range(LOOKS)} == {""}
    assert "the ranks have no connection any more" in two(0)


def test_a_loader_process_that_was_stopped_for_a_while_is_not_lost(monkeypatch):
    states = {7: "T", 8: "S"}
    monkeypatch.setattr(guard, "_children", lambda: set(states))
    monkeypatch.setattr(guard, "_state", states.__getitem__)
    watching = Guard()
    assert {watching._stopped_loader() for _ in range(LOOKS + 1)} == {""}
    states[7] = "S"
    assert watching._stopped_loader() == ""
    states[7] = "T"
    assert {watching._stopped_loader() for _ in range(LOOKS + 1)} == {""}
    assert watching._stopped_loader() == "loader process 7 has been stopped for 25 s"
