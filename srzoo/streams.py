"""Random streams addressed by (seed, purpose, step, sample), independent of anything drawn before.

Counter-based generators (Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) start at any
point at no cost, so that a resumed run, another number of workers or another number of ranks draws the same numbers.
"""

import enum

import numpy as np


class Purpose(enum.IntEnum):
    """Use of a stream; streams of different purposes are independent. Changing a number changes every run."""

    SAMPLE = 0  # image, crop and flips of one training sample
    ORDER = 1  # permutation of an epoch
    NETWORK = 2  # dropout
    DEGRADATION = 3  # one sample's degradation
    SHARED_DEGRADATION = 4  # numbers that a batch shares
    POOL = 5  # choice of pairs from the pool


def stream(seed: int, purpose: Purpose, major: int, minor: int = 0) -> np.random.Generator:
    """Return the generator of (seed, purpose, major, minor).

    Args:
        seed: of the run, non-negative and below 2^64, like the two below.
        purpose: use of the numbers.
        major: step or epoch.
        minor: sample of a batch, part of a batch, or stage.
    """
    # The two low words of the counter advance while numbers are drawn; the two high words hold the address.
    counter = np.array([0, 0, minor, major], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64), counter=counter))


def network_seed(seed: int, step: int, part: int) -> int:
    """Return PyTorch's seed for one micro-batch of one step; dropout inside the network draws from it."""
    return int(stream(seed, Purpose.NETWORK, step, part).integers(2**63))
