"""Batches of training samples: the samples of each step, rank and micro-batch, and the loader that reads them."""

import random
import signal
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from srzoo.batch import Batch, Sample
from srzoo.streams import Purpose, stream


class SampleKey(NamedTuple):
    """Address of a sample: slot `slot` of the batch of step `step` is filled with entry `image` of the dataset."""

    image: int
    step: int
    slot: int


class StepSampler(Sampler[list[SampleKey]]):
    """The micro-batches of one rank from step `start` up to `total`.

    Sample n = step * batch_size + slot of a run is entry n mod N of the permutation of epoch n div N, a function of
    (seed, n) alone. A batch is cut into equal micro-batches: first by rank, then by order within the rank.

    Args:
        num_images: N, entries of the dataset.
        batch_size: samples per update over all ranks and micro-batches.
        seed: of the run.
        start: first step.
        total: step before which to stop.
        rank: of this process.
        world_size: number of ranks.
        accumulate: micro-batches per update on each rank.

    Raises:
        ValueError: the batch is not divisible by ranks x micro-batches.
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
            split = f"{world_size} rank{'s' * (world_size > 1)} x {accumulate} micro-batch{'es' * (accumulate > 1)}"
            raise ValueError(
                f"batch_size {batch_size} is not divisible by {split}; choose a multiple of {world_size * accumulate}"
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
        """Return the address of one sample of the run."""
        epoch, position = divmod(step * self.batch_size + slot, self.num_images)
        # The permutation of the current epoch is kept; a batch across its end computes both.
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = stream(self.seed, Purpose.ORDER, epoch).permutation(self.num_images)
        return SampleKey(int(self._order[position]), step, slot)


class DrawnSamples(Dataset[Sample]):
    """A dataset addressed by :class:`SampleKey`, in which each sample draws from its own random stream.

    ``draw(index, generator)`` of the dataset gets the stream; for datasets without it (a user's plain ``torch``
    dataset) the global generators of random, NumPy and PyTorch are seeded from the stream before each sample.
    """

    def __init__(self, dataset: Dataset[Sample], seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, key: SampleKey) -> Sample:
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
    dataset: Dataset[Sample], sampler: StepSampler, *, num_workers: int, pin_memory: bool
) -> DataLoader[Batch]:
    """Return the loader of the micro-batches of `sampler`; they are the same for any number of workers."""
    # PyTorch's types do not know that collating samples makes batches.
    return DataLoader(  # pyright: ignore[reportReturnType]
        DrawnSamples(dataset, sampler.seed),
        batch_sampler=sampler,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=start_worker,
        # A separate generator: starting an iterator must not advance PyTorch's global one.
        generator=torch.Generator().manual_seed(sampler.seed),
    )


def start_worker(worker: int) -> None:
    """Prepare a process that loads samples: the main process decides what a signal to all processes means."""
    del worker
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)  # workers are the parallelism; OpenCV's threads would compete with them
