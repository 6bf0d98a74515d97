"""A pool of finished pairs, so that a batch holds samples of many batches' degradations.

The classical way out where all samples of a batch share a resize factor: Wang et al., "Real-ESRGAN", ICCVW 2021,
arXiv:2107.10833, section 4.1 ("training pair pool").
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from srzoo import ranks


class PairPool:
    """Samples of this process; batches pass as they are until it is full, then change places with some of it.

    Args:
        size: samples of all processes together.

    Raises:
        ValueError: the processes do not divide `size` evenly.
    """

    def __init__(self, size: int) -> None:
        if size % ranks.world_size():
            raise ValueError(f"degradation.pool: {size} cannot be shared evenly by {ranks.world_size()} processes")
        self.size = size // ranks.world_size()
        self.images: dict[str, Tensor] = {}
        self.keys: list[str] = []

    def exchanged(self, batch: dict[str, Any], stream: np.random.Generator) -> dict[str, Any]:
        """A batch drawn from the pool without replacement, which takes this one ("lq", "gt", "key") in its place."""
        images: dict[str, Tensor] = {name: batch[name] for name in ("lq", "gt")}
        keys: list[str] = batch["key"]
        if len(self.keys) + len(keys) <= self.size:
            held = self.images or {name: new[:0] for name, new in images.items()}
            self.images = {name: torch.cat([held[name].to(new), new]) for name, new in images.items()}
            self.keys = self.keys + keys
            return batch
        places = stream.choice(self.size, len(keys), replace=False)
        index = torch.from_numpy(places).to(batch["gt"].device)
        # After resuming, the pool is on the CPU once.
        self.images = {name: held.to(index.device) for name, held in self.images.items()}
        drawn = {name: held[index] for name, held in self.images.items()}
        for name, new in images.items():
            self.images[name].index_copy_(0, index, new)
        drawn_keys = [self.keys[place] for place in places]
        for place, key in zip(places, keys, strict=True):
            self.keys[place] = key
        return batch | drawn | {"key": drawn_keys}

    def state_dict(self) -> dict[str, Any]:
        """All processes' samples; called on all of them."""
        everyone = ranks.gather(({name: images.cpu() for name, images in self.images.items()}, self.keys))
        keys = [key for _, theirs in everyone for key in theirs]
        return {name: torch.cat([images[name] for images, _ in everyone]) for name in self.images} | {"key": keys}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back this process's part; as many processes as before get exactly what they had."""
        share = len(state["key"]) // ranks.world_size()
        mine = slice(ranks.rank() * share, (ranks.rank() + 1) * share)
        self.images = {name: images[mine].clone() for name, images in state.items() if name != "key"}
        self.keys = state["key"][mine]
