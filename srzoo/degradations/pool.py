"""A pool of finished pairs, from which each batch takes samples of many earlier batches' degradations.

Wang et al., "Real-ESRGAN", ICCVW 2021, arXiv:2107.10833, section 4.1 ("training pair pool"): the way to varied batches
where all samples of a batch share one resize factor.
"""

from typing import cast

import numpy as np
import torch
from torch import Tensor

from srzoo import ranks
from srzoo.batch import Batch, StateDict


class PairPool:
    """Pairs of LQ and GT held by this rank; batches pass unchanged until it is full, then swap with random members.

    Args:
        size: samples over all ranks.

    Raises:
        ValueError: `size` is not divisible by the number of ranks.
    """

    def __init__(self, size: int) -> None:
        if size % ranks.world_size():
            raise ValueError(f"degradation.pool {size} is not divisible by {ranks.world_size()} ranks")
        self.size = size // ranks.world_size()
        # "lq" (size, C, h, w) and "gt" (size, C, H, W), on the batches' device
        self.images: dict[str, Tensor] = {}
        self.keys: list[str] = []

    def exchange(self, batch: Batch, generator: np.random.Generator) -> Batch:
        """Put `batch` into the pool and return as many samples drawn from it without replacement.

        Args:
            batch: with "lq", "gt" and "key"; returned unchanged while the pool has room.
            generator: chooses the samples.
        """
        images = {"lq": batch["lq"], "gt": batch["gt"]}
        keys = batch["key"]
        if len(self.keys) + len(keys) <= self.size:
            held = self.images or {name: new[:0] for name, new in images.items()}
            self.images = {name: torch.cat([held[name].to(new), new]) for name, new in images.items()}
            self.keys = self.keys + keys
            return batch
        chosen = generator.choice(self.size, len(keys), replace=False)
        index = torch.from_numpy(chosen).to(batch["gt"].device)
        # A resumed pool is on the CPU; after the first exchange this moves nothing.
        self.images = {name: held.to(index.device) for name, held in self.images.items()}
        # Indexing copies, so that the new samples cannot overwrite those drawn.
        drawn = {name: held[index] for name, held in self.images.items()}
        for name, new in images.items():
            self.images[name].index_copy_(0, index, new)
        drawn_keys = [self.keys[number] for number in chosen]
        for number, key in zip(chosen, keys, strict=True):
            self.keys[number] = key
        return {**batch, "lq": drawn["lq"], "gt": drawn["gt"], "key": drawn_keys}

    def state_dict(self) -> StateDict:
        """Return the samples of all ranks, on the CPU, and the number of ranks. Call it on every rank."""
        parts = ranks.gather(({name: images.cpu() for name, images in self.images.items()}, self.keys))
        keys = [key for _, held in parts for key in held]
        # Parts are in the order of ranks, which load_state_dict relies on.
        state: StateDict = {name: torch.cat([images[name] for images, _ in parts]) for name in self.images}
        return state | {"key": keys, "ranks": ranks.world_size()}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore this rank's part: exactly its own samples.

        Raises:
            ValueError: the state is of another number of ranks, of which each would draw from other samples.
        """
        saved = state.get("ranks", ranks.world_size())
        if saved != ranks.world_size():
            raise ValueError(
                f"degradation.pool: its samples lie on {saved} rank(s), so that the training continues with as many; "
                f"there are {ranks.world_size()} now"
            )
        keys = cast(list[str], state["key"])
        images = {name: value for name, value in state.items() if isinstance(value, Tensor)}
        count = len(keys) // ranks.world_size()
        part = slice(ranks.rank() * count, (ranks.rank() + 1) * count)
        # Cloned: a view would keep the samples of all ranks in memory.
        self.images = {name: value[part].clone() for name, value in images.items()}
        self.keys = keys[part]
