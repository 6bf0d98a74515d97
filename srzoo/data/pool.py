"""A pool of finished pairs, so that a batch holds samples of many batches' degradations.

The classical way out where all samples of a batch share a resize factor: Wang et al., "Real-ESRGAN", ICCVW 2021,
arXiv:2107.10833, section 4.1 ("training pair pool").
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from srzoo import ranks

Pair = tuple[Tensor, Tensor, str]


class PairPool:
    """Pairs (lq, gt, key) of this process; batches pass as they are until it is full, then change places with some.

    Args:
        size: pairs of all processes together.
        device: where the pairs are kept.

    Raises:
        ValueError: the processes do not divide `size` evenly.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        if size % ranks.world_size():
            raise ValueError(f"degradation.pool: {size} cannot be shared evenly by {ranks.world_size()} processes")
        self.size, self.device = size // ranks.world_size(), device
        self.pairs: list[Pair] = []

    def exchanged(self, pairs: list[Pair], stream: np.random.Generator) -> list[Pair]:
        """As many pairs, drawn from the pool without replacement, which takes these in their place."""
        if len(self.pairs) + len(pairs) <= self.size:
            self.pairs += pairs
            return pairs
        places = stream.choice(self.size, len(pairs), replace=False)
        drawn = [self.pairs[place] for place in places]
        for place, pair in zip(places, pairs, strict=True):
            self.pairs[place] = pair
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """All processes' pairs; called on all of them."""
        mine = [(lq.cpu(), gt.cpu(), key) for lq, gt, key in self.pairs]
        pairs = [pair for theirs in ranks.gather(mine) for pair in theirs]
        if not pairs:
            return {}
        lq, gt, keys = zip(*pairs, strict=True)
        return {"lq": torch.stack(lq), "gt": torch.stack(gt), "key": list(keys)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back this process's part; as many processes as before get exactly what they had."""
        if state:
            pairs = list(zip(state["lq"].to(self.device), state["gt"].to(self.device), state["key"], strict=True))
            share = len(pairs) // ranks.world_size()
            self.pairs = pairs[ranks.rank() * share :][:share]
