"""The degradation of a training: a batch of GT crops passes a list of stages and becomes LQ, on the training device.

The random numbers of a sample are a function of (seed, step, slot in the batch), so that resumed runs and other numbers
of ranks or micro-batches make the same images. Only the pair pool has a memory; it is saved with the training state.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from srzoo.batch import Batch, StateDict
from srzoo.degradations.pool import PairPool
from srzoo.degradations.samples import Samples, Stage
from srzoo.ops.sharpen import usm_sharpen
from srzoo.streams import Purpose, stream

# Numbers of stages that stay together and in order.
Group = list[int]


class ScheduledStage(NamedTuple):
    """A stage in the list of a degradation.

    Args:
        stage: the stage.
        prob: probability that a sample passes it.
        group: name of the group in which it moves when adjacent groups are shuffled; None: it never moves.
    """

    stage: Stage
    prob: float = 1.0
    group: str | None = None


class Degradation:
    """Stages over a batch; adjacent groups are applied in random order, per sample.

    Args:
        stages: in the order of the option file.
        scale: magnification.
        seed: of the run.
        usm: "lq": make LQ from sharpened GT; "gt": sharpen GT itself as well; "none": neither.
        gt_size: side of the random window cut from each pair afterwards, a multiple of `scale`; None: whole crops
            [GT pixels].
        pool: swaps finished pairs with earlier ones; None: batches stay as they are.
    """

    def __init__(
        self,
        stages: Sequence[ScheduledStage],
        *,
        scale: int,
        seed: int,
        usm: Literal["none", "lq", "gt"] = "none",
        gt_size: int | None = None,
        pool: PairPool | None = None,
    ) -> None:
        self.stages, self.scale, self.seed = stages, scale, seed
        self.usm, self.gt_size, self.pool = usm, gt_size, pool
        self.sections = _sections([scheduled.group for scheduled in stages])

    def __call__(self, batch: Batch, step: int, part: int) -> Batch:
        """Return the batch with "lq" (B, C, h, w) made from its "gt" (B, C, H, W), both in [0, 1].

        Args:
            batch: "gt" on any device, and "key".
            step: updates done before this one.
            part: number of the micro-batch among those of all ranks in this update.

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
        strays = {tuple(lq.shape[-2:]) for lq in lqs} - {expected}
        if strays:
            raise ValueError(
                f"degradation.stages end at {'x'.join(map(str, strays.pop()))}; GT of {height}x{width} at scale "
                f"{self.scale} needs {'x'.join(map(str, expected))}: add {{type: Resize}}, which resizes to LQ's size"
            )
        lq = torch.stack(lqs)  # (B, C, h, w)
        if self.gt_size is not None:
            lq, gt = self._crop_pairs(lq, gt, streams, self.gt_size)
        batch = {**batch, "lq": lq, "gt": gt}
        return batch if self.pool is None else self.pool.exchange(batch, stream(self.seed, Purpose.POOL, step, part))

    def _through_all(self, images: list[Tensor], samples: Samples, step: int) -> list[Tensor]:
        for groups in self.sections:
            if len(groups) == 1:
                images = self._through_group(groups[0], step, images, samples)
                continue
            orders = self._group_orders(groups, samples)
            # Samples that pass the same group at the same position pass it together.
            for position in range(len(groups)):
                for number, group in enumerate(groups):
                    chosen = (orders[:, position] == number).nonzero()[0].tolist()
                    images = _apply_to(chosen, functools.partial(self._through_group, group, step), images, samples)
        return images

    def _group_orders(self, groups: list[Group], samples: Samples) -> np.ndarray:
        """Return the order of groups for each sample, (B, groups); groups that begin with one type keep theirs."""
        orders = samples.random.permutations(len(groups))
        types = np.array([type(self.stages[group[0]].stage).__name__ for group in groups])
        for order in orders:
            for name in set(types):
                positions = (types[order] == name).nonzero()[0]
                order[positions] = np.sort(order[positions])
        return orders

    def _through_group(self, group: Group, step: int, images: list[Tensor], samples: Samples) -> list[Tensor]:
        for number in group:
            stage, prob, _ = self.stages[number]
            # Batch-wide numbers depend on the stage, not on how many samples drew before it.
            samples = replace(samples, shared=stream(self.seed, Purpose.SHARED_DEGRADATION, step, number))
            if prob == 1:
                images = stage(images, samples)
            else:
                chosen = samples.random.chance(prob).nonzero()[0].tolist()
                images = _apply_to(chosen, stage, images, samples)
        return images

    def _crop_pairs(
        self, lqs: Tensor, gts: Tensor, streams: Sequence[np.random.Generator], gt_size: int
    ) -> tuple[Tensor, Tensor]:
        """Cut one random window from each pair: LQ (B, C, s, s), GT (B, C, gt_size, gt_size), s = gt_size / scale."""
        side = gt_size // self.scale
        lq_windows, gt_windows = [], []
        for lq, gt, generator in zip(lqs, gts, streams, strict=True):
            top, left = (int(generator.integers(length - side + 1)) for length in lq.shape[-2:])
            lq_windows.append(lq[:, top : top + side, left : left + side])
            # The same window in GT pixels, so that both stay aligned.
            top, left = top * self.scale, left * self.scale
            gt_windows.append(gt[:, top : top + gt_size, left : left + gt_size])
        return torch.stack(lq_windows), torch.stack(gt_windows)

    def state_dict(self) -> StateDict:
        """Return the pool's samples, those of all ranks; empty without a pool. Call it on every rank."""
        return self.pool.state_dict() if self.pool is not None else {}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore the pool from the result of :meth:`state_dict`."""
        if self.pool is not None:
            self.pool.load_state_dict(state)


def _sections(names: Sequence[str | None]) -> list[list[Group]]:
    """Cut the list of stages into sections: the groups of a section are shuffled, sections keep their order."""
    sections: list[list[Group]] = []
    for moves, numbers in groupby(range(len(names)), lambda number: names[number] is not None):
        groups = [list(group) for _, group in groupby(numbers, lambda number: names[number])]
        # A stage without a name is a section by itself, with nothing to be shuffled against.
        sections += [groups] if moves else [[[number]] for group in groups for number in group]
    return sections


def _apply_to(chosen: list[int], stage: Stage, images: list[Tensor], samples: Samples) -> list[Tensor]:
    """Apply `stage` to the samples with these indices and leave the others unchanged."""
    if not chosen:
        return images
    degraded = stage([images[index] for index in chosen], samples.select(chosen))
    replaced = dict(zip(chosen, degraded, strict=True))
    return [replaced.get(index, image) for index, image in enumerate(images)]
