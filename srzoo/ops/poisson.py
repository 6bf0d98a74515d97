"""Poisson numbers for images of 8-bit levels.

An image has 256 rates at most, so on a CPU each number comes from a table by one look-up: the alias method, Walker,
"An efficient method for generating discrete random variables with general distributions", ACM TOMS 3(3), 1977. That
takes a fifth of the time of PyTorch's sampler or less (scripts/benchmarks/degradation_ops.py); GPUs have a fast one.
"""

import functools
import math

import numpy as np
import torch
from torch import Tensor


def poisson(levels: Tensor, factor: float, seed: int) -> Tensor:
    """Whole numbers with mean `factor * levels`, one for each element; int32 on a CPU, else float32.

    Args:
        levels: from 0 to 255, int32.
        factor: rate per level.
        seed: what the numbers are a function of, on one kind of device.
    """
    if levels.device.type != "cpu":
        return torch.poisson(levels * factor, generator=torch.Generator(levels.device).manual_seed(seed))
    table, bits = _table(factor)
    random = _random_bits(levels.numel(), seed)
    columns = 2**bits - 1
    entry = table.index_select(0, (random & columns).add_(levels.flatten(), alpha=2**bits))
    kept = (random | columns) < entry
    return torch.where(kept, random, entry).bitwise_and_(columns).view(levels.shape)


def _random_bits(count: int, seed: int) -> Tensor:
    """int32 numbers, each of which is as likely as any other; NumPy makes them in half of PyTorch's time."""
    source = np.random.Generator(np.random.SFC64(seed))
    pairs = source.integers(-(2**63), 2**63, size=-(-count // 2), dtype=np.int64)
    return torch.from_numpy(pairs.view(np.int32))[:count]


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must serve everywhere
def _table(factor: float) -> tuple[Tensor, int]:
    """(entries of all 256 levels one after the other, log2 of the number of columns of each).

    The last bits of a random number choose the column; the others, a number from -2^(31 - bits) up, decide between the
    column and its alias. An entry is what the others must stay below to keep the column, followed by the alias in the
    last bits. Probabilities are exact to 2^-32.
    """
    rates = np.arange(256)[:, None] * factor
    largest = float(rates.max())
    # Beyond ten standard deviations nothing is left that a double could tell from 0.
    bits = math.ceil(math.log2(largest + 10 * math.sqrt(largest) + 20))
    counts = np.arange(2**bits)
    log_factorial = np.array([math.lgamma(count + 1) for count in counts])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.exp(np.where(counts == 0, 0, counts * np.log(rates)) - rates - log_factorial)
    share *= len(counts) / share.sum(1, keepdims=True)
    accept, alias, rows = np.ones_like(share), np.tile(counts, (256, 1)), np.arange(256)
    left = share.copy()
    for _ in counts:
        # The poorest column is filled up by the richest.
        poor, rich = left.argmin(1), np.where(np.isinf(left), -np.inf, left).argmax(1)
        accept[rows, poor], alias[rows, poor] = left[rows, poor], rich
        left[rows, rich] -= 1 - left[rows, poor]
        left[rows, poor] = np.inf
    # A column that fills itself is its own alias: it may fall one unit short of certain.
    units = 2 ** (32 - bits)
    bound = np.rint(accept * units).clip(0, units - 1).astype(np.int64) - units // 2
    return torch.from_numpy(((bound << bits) | alias).astype(np.int32).ravel()), bits
