"""Settings of the whole suite."""

import pytest
from hypothesis import settings

from srzoo import registry
from srzoo.engine.log import logger

# Speed is measured in scripts/benchmarks, never by a test.
settings.register_profile("srzoo", deadline=None)
settings.load_profile("srzoo")

FAMILIES = [value for value in vars(registry).values() if isinstance(value, registry.Registry)]


def pytest_collection_modifyitems(items):
    """Run the longest tests first, so that no process is left with one of them when the others have finished."""
    marks = {item: item.get_closest_marker("slow") for item in items}
    items.sort(key=lambda item: -marks[item].kwargs.get("minutes", 1) if marks[item] else 0)


@pytest.fixture(autouse=True)
def _plugins_end_with_their_test(monkeypatch):
    """Forget the plugins that a test registers, so that later tests see the built-in ones alone."""
    for family in FAMILIES:
        assert list(family)  # the built-in members are registered when they are first looked at
        monkeypatch.setattr(family, "_members", dict(family._members))


@pytest.fixture(autouse=True)
def _handlers_of_the_log_end_with_their_test():
    """Remove the handlers that a run inside a test has added: they write to the captured output of that test."""
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate, level = before
    logger.setLevel(level)
