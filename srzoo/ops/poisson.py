"""Poisson sampling for images of 8-bit levels.

An image has at most 256 rates, so on a CPU each sample is one look-up in a table: the alias method, Walker, "An
efficient method for generating discrete random variables with general distributions", ACM TOMS 3(3), 1977. It takes a
fifth of the time of PyTorch's sampler or less (scripts/benchmarks/degradation_ops.py); on GPUs PyTorch's is fast.
"""

import functools
import math

import numpy as np
import torch
from torch import Tensor


def poisson(levels: Tensor, factor: float, seed: int) -> Tensor:
    """Draw a Poisson sample with mean `factor * levels` for each element; int32 on a CPU, else float32.

    Args:
        levels: any shape, int32, 0 to 255.
        factor: rate per level.
        seed: determines the samples on one type of device; CPUs and GPUs differ.
    """
    if levels.device.type != "cpu":
        return torch.poisson(levels * factor, generator=torch.Generator(levels.device).manual_seed(seed))
    table, bits = _alias_table(factor)
    random = _random_bits(levels.numel(), seed)
    column_mask = 2**bits - 1
    entry = table.index_select(0, (random & column_mask).add_(levels.flatten(), alpha=2**bits))  # (numel,)
    # Setting the column bits on both sides leaves a comparison of the upper bits alone.
    kept = (random | column_mask) < entry
    return torch.where(kept, random, entry).bitwise_and_(column_mask).view(levels.shape)  # as `levels`


def _random_bits(count: int, seed: int) -> Tensor:
    """Draw uniform int32 numbers, (count,); NumPy takes half of PyTorch's time."""
    source = np.random.Generator(np.random.SFC64(seed))
    pairs = source.integers(-(2**63), 2**63, size=-(-count // 2), dtype=np.int64)
    return torch.from_numpy(pairs.view(np.int32))[:count]


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)  # cached tensors must work everywhere
def _alias_table(factor: float) -> tuple[Tensor, int]:
    """Return the entries of all 256 levels, (256 * 2^bits,) int32, and `bits`: each level has 2^bits columns.

    The low `bits` of a random number choose a column; its upper bits, a signed integer from -2^(31 - bits), choose
    between the column and its alias. An entry holds the upper bits below which the column is kept, and the alias in
    its low bits. Probabilities are exact to 2^-32.
    """
    rates = np.arange(256)[:, None] * factor  # (256, 1)
    largest = float(rates.max())
    # The probability beyond ten standard deviations is 0 in double precision.
    bits = math.ceil(math.log2(largest + 10 * math.sqrt(largest) + 20))
    counts = np.arange(2**bits)
    log_factorial = np.array([math.lgamma(count + 1) for count in counts])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.exp(np.where(counts == 0, 0, counts * np.log(rates)) - rates - log_factorial)
    share *= len(counts) / share.sum(1, keepdims=True)  # (256, 2^bits), mean 1 per level
    accept, alias, rows = np.ones_like(share), np.tile(counts, (256, 1)), np.arange(256)
    left = share.copy()
    for _ in counts:
        # Fill the smallest remaining column from the largest, then close it.
        poor, rich = left.argmin(1), np.where(np.isinf(left), -np.inf, left).argmax(1)
        accept[rows, poor], alias[rows, poor] = left[rows, poor], rich
        left[rows, rich] -= 1 - left[rows, poor]
        left[rows, poor] = np.inf
    # A full column is its own alias, so that it may fall one unit short of probability 1.
    units = 2 ** (32 - bits)
    bound = np.rint(accept * units).clip(0, units - 1).astype(np.int64) - units // 2
    return torch.from_numpy(((bound << bits) | alias).astype(np.int32).ravel()), bits
