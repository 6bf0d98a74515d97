"""Random numbers as a function of (seed, step, sample), never of what a process did before.

Counter-based generators (Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) start anywhere
at no cost, so that a resumed run, another number of workers or another number of ranks draws the same numbers.
"""

import enum

import numpy as np


class Purpose(enum.IntEnum):
    """What a stream is for; different purposes never share numbers."""

    SAMPLE = 0
    ORDER = 1
    NETWORK = 2
    DEGRADATION = 3
    SHARED_DEGRADATION = 4
    POOL = 5


def stream(seed: int, purpose: Purpose, major: int, minor: int = 0) -> np.random.Generator:
    """An independent generator for one (seed, purpose, major, minor); non-negative integers below 2^63."""
    counter = np.array([0, 0, minor, major], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64), counter=counter))


def network_seed(seed: int, step: int, part: int) -> int:
    """Seed of what happens inside the network (dropout, say) in one part of the batch of one step."""
    return int(stream(seed, Purpose.NETWORK, step, part).integers(2**63))
