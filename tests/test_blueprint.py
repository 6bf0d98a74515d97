"""Networks built without memory, and stopped where no memory would hold them."""

import contextlib
import sys

import pytest
import torch
from torch import nn

from srzoo import blueprint as bounds
from srzoo.blueprint import NetworkTooLargeError, blueprint
from srzoo.registry import ARCHS, DISCRIMINATORS

untraced = pytest.mark.skipif(sys.gettrace() is not None, reason="another tool traces, and only one can")


def registrations():
    return {name: dict(hooks) for name, hooks in vars(bounds.module).items() if name.endswith("_registration_hooks")}


@pytest.fixture
def low(monkeypatch):
    """Bounds of which a loop in a constructor soon has more."""
    monkeypatch.setattr(bounds, "MAX_PARTS", 400)
    monkeypatch.setattr(bounds, "MAX_LINES", 30_000)


def test_a_blueprint_is_the_network_without_memory():
    with blueprint() as counts:
        net = ARCHS.build("IMDN", {}, scale=4)
    plain = ARCHS.build("IMDN", {}, scale=4)
    assert all(value.is_meta for value in net.state_dict().values())
    assert {key: value.shape for key, value in net.state_dict().items()} == {
        key: value.shape for key, value in plain.state_dict().items()
    }
    assert counts.weights >= sum(parameter.numel() for parameter in plain.parameters())
    assert counts.parts >= len(list(plain.modules())) - 1 + len(list(plain.parameters()))


def test_bounds_are_above_the_largest_networks():
    large = [("RCAN", {}), ("DRCT", {"depths": (6,) * 12, "num_heads": (6,) * 12}), ("D2CNet", {})]
    for name, options in large:
        with blueprint() as counts:
            ARCHS.build(name, options, scale=4)
        assert counts.parts * 2 < bounds.MAX_PARTS
        assert counts.weights * 100 < bounds.MAX_WEIGHTS
        assert counts.lines * 3 < bounds.MAX_LINES


def integer_options(registry):
    for name in registry:
        for option, parameter in registry.parameters(name).items():
            if parameter.annotation not in (bool, float) and "int" in str(parameter.annotation):
                yield registry, name, option, isinstance(parameter.default, tuple)


@untraced
@pytest.mark.parametrize("size", [100_000, 3_000])
@pytest.mark.parametrize(
    ("registry", "name", "option", "is_list"), [*integer_options(ARCHS), *integer_options(DISCRIMINATORS)]
)
@pytest.mark.usefixtures("low")
def test_every_count_and_width_stops_at_the_bounds(registry, name, option, is_list, size):
    scale = next(iter(getattr(registry[name], "scales", None) or (4,)))
    value = (size,) * 6 if is_list else size
    # A constructor may refuse it in its own words.
    with blueprint() as counts, contextlib.suppress(NetworkTooLargeError, ValueError):
        registry.build(name, {option: value}, scale=scale)
    assert counts.parts <= bounds.MAX_PARTS + 1
    assert counts.lines <= bounds.MAX_LINES + 1


class Unregistered(nn.Module):
    """A module that keeps its parts in a list, where PyTorch does not see them."""

    def __init__(self, count):
        super().__init__()
        self.parts = [[nn.ReLU() for _ in range(count)]]


@untraced
@pytest.mark.usefixtures("low")
def test_parts_that_are_never_registered_are_bounded():
    with pytest.raises(NetworkTooLargeError, match="more than 30,000 steps in its constructor"), blueprint():
        Unregistered(10**9)


@untraced
@pytest.mark.usefixtures("low")
def test_loops_without_layers_are_bounded():
    visited = []
    with pytest.raises(NetworkTooLargeError, match="steps in its constructor"), blueprint():
        visited.extend(width for width in range(10**9))
    assert len(visited) <= bounds.MAX_LINES


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Conv2d(10**9, 10**9, 99),
        lambda: nn.Linear(10**30, 4),
        lambda: nn.Linear(200_000, 200_000),
        lambda: nn.Module().register_buffer("table", torch.zeros(10**6, 10**6)),
        lambda: nn.Sequential(*[nn.Linear(50_000, 50_000, bias=False) for _ in range(10**6)]),
    ],
)
def test_weights_that_no_memory_holds_are_refused(build):
    with pytest.raises(NetworkTooLargeError, match=r"more than 10,000,000,000 weights|no memory holds"), blueprint():
        build()


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), TypeError("missing argument"), ValueError("no")]
)
def test_other_errors_pass_unchanged_and_nothing_stays_behind(error):
    before, trace = registrations(), sys.gettrace()
    with pytest.raises(type(error), match=str(error)), blueprint():
        raise error
    assert registrations() == before
    assert sys.gettrace() is trace
    assert not nn.Linear(1, 1).weight.is_meta


def test_a_debugger_is_left_alone():
    def tracer(*_):
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with blueprint():
            assert sys.gettrace() is tracer
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
