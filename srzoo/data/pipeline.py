"""LQ from GT during training: a batch of GT crops through a list of stages, on the device it trains on.

Each sample's random numbers are a function of (seed, step, place in the batch), so that a resumed run, another number
of processes or of micro-batches makes the same images. The pool of pairs is the exception: it remembers, and is saved.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from srzoo.data.pool import PairPool
from srzoo.degradations.samples import Samples, Stage
from srzoo.ops.sharpen import usm_sharpen
from srzoo.streams import Purpose, stream


class Planned(NamedTuple):
    """A stage, the probability of going through it, and the name of the block that changes places, if any."""

    stage: Stage
    prob: float = 1.0
    shuffle: str | None = None


class Pipeline:
    """Stages in order; neighbouring stages with a `shuffle` name change places at random for each sample.

    Args:
        plan: the stages.
        scale: magnification.
        seed: of the run.
        usm: sharpen nothing first, only what LQ is made from, or GT itself.
        gt_size: side that both are cut to afterwards, by LQ pixels; None: whole [GT pixels].
        pool: exchanges finished pairs with earlier ones; None: the batch stays as it is.
    """

    def __init__(
        self,
        plan: Sequence[Planned],
        *,
        scale: int,
        seed: int,
        usm: Literal["none", "lq", "gt"] = "none",
        gt_size: int | None = None,
        pool: PairPool | None = None,
    ) -> None:
        self.plan, self.scale, self.seed = plan, scale, seed
        self.usm, self.gt_size, self.pool = usm, gt_size, pool
        # A stage by itself, or the blocks that change places with each other.
        self.sections: list[list[list[int]]] = []
        for shuffled, numbers in groupby(range(len(plan)), lambda number: plan[number].shuffle is not None):
            blocks = [list(block) for _, block in groupby(numbers, lambda number: plan[number].shuffle)]
            self.sections += [blocks] if shuffled else [[[number]] for block in blocks for number in block]

    def __call__(self, batch: dict[str, Any], step: int, part: int) -> dict[str, Any]:
        """The batch with "lq" (B, C, h, w) made from its "gt" (B, C, H, W), both in [0, 1].

        Args:
            batch: "gt" on any device, and "key".
            step: the coming update.
            part: which part of that update's batch this is.

        Raises:
            ValueError: the stages do not end at LQ's size.
        """
        source = batch["gt"] if self.usm == "none" else usm_sharpen(batch["gt"])
        gt = source if self.usm == "gt" else batch["gt"]
        count, (height, width) = len(gt), gt.shape[-2:]
        slots = range(part * count, (part + 1) * count)
        streams = [stream(self.seed, Purpose.DEGRADATION, step, slot) for slot in slots]
        samples = Samples(streams, stream(self.seed, Purpose.SHARED_DEGRADATION, step), (height, width))
        with torch.inference_mode():  # nothing here is learned, and operations cost less
            lqs = self._through_all(list(source.unbind()), samples, step)
        expected = (height // self.scale, width // self.scale)
        strayed = {tuple(lq.shape[-2:]) for lq in lqs} - {expected}
        if strayed:
            raise ValueError(
                f"degradation.stages end at {'x'.join(map(str, strayed.pop()))} where GT of {height}x{width} at scale "
                f"{self.scale} asks for {'x'.join(map(str, expected))}: add {{type: Resize}}, which goes to LQ's size"
            )
        batch = batch | {"lq": torch.stack(lqs), "gt": gt}
        if self.gt_size is not None:
            batch |= self._cut(batch, streams, self.gt_size)
        return batch if self.pool is None else self.pool.exchanged(batch, stream(self.seed, Purpose.POOL, step, part))

    def _through_all(self, images: list[Tensor], samples: Samples, step: int) -> list[Tensor]:
        for blocks in self.sections:
            if len(blocks) == 1:
                images = self._through(blocks[0], step, images, samples)
                continue
            orders = self._orders(blocks, samples)
            for place in range(len(blocks)):
                for number, block in enumerate(blocks):
                    chosen = (orders[:, place] == number).nonzero()[0].tolist()
                    images = _on_some(images, samples, chosen, functools.partial(self._through, block, step))
        return images

    def _orders(self, blocks: list[list[int]], samples: Samples) -> np.ndarray:
        """Which block comes when, for each sample: (B, blocks). Those that begin with one type keep their order."""
        orders = samples.draws.permutations(len(blocks))
        kinds = np.array([type(self.plan[block[0]].stage).__name__ for block in blocks])
        for order in orders:
            for kind in set(kinds):
                places = (kinds[order] == kind).nonzero()[0]
                order[places] = np.sort(order[places])
        return orders

    def _through(self, numbers: list[int], step: int, images: list[Tensor], samples: Samples) -> list[Tensor]:
        for number in numbers:
            stage, prob, _ = self.plan[number]
            samples = replace(samples, shared=stream(self.seed, Purpose.SHARED_DEGRADATION, step, number))
            if prob == 1:
                images = stage(images, samples)
            else:
                chosen = samples.draws.chance(prob).nonzero()[0].tolist()
                images = _on_some(images, samples, chosen, stage)
        return images

    def _cut(self, batch: dict[str, Any], streams: list[np.random.Generator], gt_size: int) -> dict[str, Tensor]:
        """The same random window of each pair."""
        windows: dict[str, list[Tensor]] = {"lq": [], "gt": []}
        for lq, gt, source in zip(batch["lq"], batch["gt"], streams, strict=True):
            side = gt_size // self.scale
            corner = [int(source.integers(length - side + 1)) for length in lq.shape[-2:]]
            for name, image, factor in (("lq", lq, 1), ("gt", gt, self.scale)):
                top, left = (place * factor for place in corner)
                windows[name].append(image[:, top : top + side * factor, left : left + side * factor])
        return {name: torch.stack(images) for name, images in windows.items()}

    def state_dict(self) -> dict[str, Any]:
        """What the pool holds, on all processes together; to be called on all of them."""
        return self.pool.state_dict() if self.pool is not None else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state_dict` took."""
        if self.pool is not None:
            self.pool.load_state_dict(state)


def _on_some(images: list[Tensor], samples: Samples, chosen: list[int], stage: Stage) -> list[Tensor]:
    """`stage` on the images of the samples chosen, the others as they are."""
    if not chosen:
        return images
    done = stage([images[index] for index in chosen], samples.of(chosen))
    replaced = dict(zip(chosen, done, strict=True))
    return [replaced.get(index, image) for index, image in enumerate(images)]
