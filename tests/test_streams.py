"""Random streams: reproducible, independent, and the same in every version."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from srzoo.streams import Purpose, network_seed, stream


@given(st.integers(0, 2**31), st.integers(0, 10**7), st.integers(0, 4096))
def test_streams_are_reproducible_and_apart(seed, step, slot):
    draw = stream(seed, Purpose.SAMPLE, step, slot).random(4)
    np.testing.assert_array_equal(draw, stream(seed, Purpose.SAMPLE, step, slot).random(4))
    for other in (
        stream(seed + 1, Purpose.SAMPLE, step, slot), stream(seed, Purpose.ORDER, step, slot),
        stream(seed, Purpose.SAMPLE, step + 1, slot), stream(seed, Purpose.SAMPLE, step, slot + 1),
    ):  # fmt: skip
        assert not np.array_equal(draw, other.random(4))


def test_seeds_of_the_network_differ_in_seed_step_and_part():
    seeds = [network_seed(*address) for address in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_addresses_stay_as_they_are_so_that_runs_can_be_repeated():
    expected = np.random.Generator(np.random.Philox(key=[5, 3], counter=[0, 0, 7, 11])).random(3)
    np.testing.assert_array_equal(stream(5, Purpose.DEGRADATION, 11, 7).random(3), expected)
    numbers = {"SAMPLE": 0, "ORDER": 1, "NETWORK": 2, "DEGRADATION": 3, "SHARED_DEGRADATION": 4, "POOL": 5}
    assert {purpose.name: purpose.value for purpose in Purpose} == numbers
