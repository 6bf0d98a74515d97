"""Batches of training samples: which sample belongs to which step, rank and micro-batch, and how it is fetched."""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from srzoo.streams import Purpose, stream


class SampleKey(NamedTuple):
    """Sample `slot` of the batch of step `step` is image `image` of the dataset."""

    image: int
    step: int
    slot: int


class StepSampler(Sampler[list[SampleKey]]):
    """The micro-batches of one rank from step `start` until `total`.

    Sample n = step * batch_size + slot of a run is entry n mod N of a permutation that changes every N samples, a
    function of (seed, n) alone. Ranks and micro-batches cut each batch into equal parts.

    Args:
        num_images: N, images in the dataset.
        batch_size: samples per update over all ranks and micro-batches.
        seed: of the run.
        start: first step.
        total: the step to stop before.
        rank: this process.
        world_size: number of processes.
        accumulate: micro-batches per update.

    Raises:
        ValueError: ranks and micro-batches do not divide the batch evenly.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        *,
        seed: int,
        start: int,
        total: int,
        rank: int = 0,
        world_size: int = 1,
        accumulate: int = 1,
    ) -> None:
        if batch_size % (world_size * accumulate):
            raise ValueError(
                f"batch_size is the total per update: {batch_size} cannot be cut into equal parts for {world_size} "
                f"process(es) with {accumulate} micro-batch(es) each; choose a multiple of {world_size * accumulate}"
            )
        self.num_images = num_images
        self.batch_size = batch_size
        self.seed = seed
        self.start = start
        self.total = total
        self.rank = rank
        self.accumulate = accumulate
        self.micro_size = batch_size // (world_size * accumulate)
        self._epoch, self._order = -1, np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        return (self.total - self.start) * self.accumulate

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for step in range(self.start, self.total):
            for micro in range(self.accumulate):
                first = (self.rank * self.accumulate + micro) * self.micro_size
                yield [self.key(step, slot) for slot in range(first, first + self.micro_size)]

    def key(self, step: int, slot: int) -> SampleKey:
        """The sample at one place of the run."""
        epoch, position = divmod(step * self.batch_size + slot, self.num_images)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = stream(self.seed, Purpose.ORDER, epoch).permutation(self.num_images)
        return SampleKey(int(self._order[position]), step, slot)


class DrawnSamples(Dataset[dict[str, Any]]):
    """A dataset addressed by :class:`SampleKey`: each sample draws from its own random stream.

    Datasets with ``draw(index, generator)`` get the stream; for others (a user's plain ``torch`` dataset) the global
    generators of random, numpy and torch are seeded from it before each sample.
    """

    def __init__(self, dataset: Dataset[dict[str, Any]], seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, key: SampleKey) -> dict[str, Any]:
        generator = stream(self.seed, Purpose.SAMPLE, key.step, key.slot)
        draw = getattr(self.dataset, "draw", None)
        if draw is not None:
            return draw(key.image, generator)
        seed = int(generator.integers(2**32))
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        return self.dataset[key.image]


def training_loader(
    dataset: Dataset[dict[str, Any]], sampler: StepSampler, *, num_workers: int, pin_memory: bool
) -> DataLoader[dict[str, Any]]:
    """Loader of the micro-batches of `sampler`; the same ones for any number of workers."""
    return DataLoader(
        DrawnSamples(dataset, sampler.seed),
        batch_sampler=sampler,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=_single_threaded,
        # A generator of its own: starting an iterator must not advance the process's random numbers.
        generator=torch.Generator().manual_seed(sampler.seed),
    )


def _single_threaded(worker: int) -> None:
    del worker
    cv2.setNumThreads(0)
