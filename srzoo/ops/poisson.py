"""Poisson numbers for images of 8-bit levels.

An image has 256 rates at most, so on a CPU each number comes from a table by one look-up: the alias method, Walker,
"An efficient method for generating discrete random variables with general distributions", ACM TOMS 3(3), 1977. That
takes half the time of a general sampler (scripts/benchmarks/degradations.py); GPUs have a fast one.
"""

import functools
import math

import numpy as np
import torch
from torch import Tensor


def poisson(levels: Tensor, factor: float, source: torch.Generator) -> Tensor:
    """Numbers with mean `factor * levels`, one for each element, float32.

    Args:
        levels: from 0 to 255, int32.
        factor: rate per level.
        source: what the numbers are drawn from, on the device of `levels`.
    """
    if levels.device.type != "cpu":
        return torch.poisson(levels * factor, generator=source)
    table, bits = _table(factor)
    random = torch.empty(levels.shape, dtype=torch.int32).random_(generator=source)
    column = random >> (31 - bits)
    entry = table[(levels << bits).add_(column)]
    kept = random.bitwise_and_(2 ** (31 - bits) - 1) < entry >> bits
    return torch.where(kept, column, entry.bitwise_and_(2**bits - 1)).float()


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept must serve everywhere
def _table(factor: float) -> tuple[Tensor, int]:
    """(entries of all 256 levels one after the other, log2 of the number of columns of each).

    A random number has 31 bits, those that choose the column first; the others decide between the column and its alias.
    An entry is the chance of the column in units of the latter's, followed by the alias. Probabilities are exact to
    2^-31.
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
    units = 2 ** (31 - bits)
    kept = np.rint(accept * units).clip(0, units - 1).astype(np.int32)
    return torch.from_numpy(((kept << bits) | alias.astype(np.int32)).ravel()), bits
