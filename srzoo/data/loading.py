"""Batches of training samples: the samples of each step, rank and micro-batch, and the loader that reads them."""

import atexit
import contextlib
import multiprocessing
import random
import signal
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from srzoo.batch import Batch, Sample
from srzoo.data.imageset import ImageSet
from srzoo.data.levels import Crop, collate_crops
from srzoo.data.transfer import DeviceBatches
from srzoo.stop_signals import SIGNALS
from srzoo.streams import Purpose, stream

# Time that other processes have to end when the interpreter exits while samples are loaded [s].
_PATIENCE = 2.0


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


class FaultySample(NamedTuple):
    """A sample of step `step` that could not be read.

    It is passed on in place of the sample, because an exception would arrive with the traceback of a loader process.
    """

    step: int
    reason: str


class DrawnSamples(Dataset["Sample | Crop | FaultySample"]):
    """A dataset addressed by :class:`SampleKey`, in which each sample draws from its own random stream.

    ``draw(index, generator)`` of the dataset gets the stream; for datasets without it (a user's plain ``torch``
    dataset) the global generators of random, NumPy and PyTorch are seeded from the stream before each sample.

    Args:
        dataset: of images.
        seed: of the run.
        skip_faulty: replace an image that cannot be read by the next one of the dataset that can.
        levels: return the crops of the built-in datasets as levels, to be converted on the device.
    """

    def __init__(self, dataset: Dataset[Sample], seed: int, skip_faulty: bool = False, levels: bool = False) -> None:
        self.dataset = dataset
        self.seed = seed
        self.skip_faulty = skip_faulty
        # A subclass with another `draw` is asked for its samples.
        self.levels = levels and isinstance(dataset, ImageSet) and type(dataset).draw is ImageSet.draw

    def __getitem__(self, key: SampleKey) -> "Sample | Crop | FaultySample":
        try:
            sample = self._draw(key)
        except (ValueError, OSError) as error:
            fault = FaultySample(key.step, str(error))
            return self._replacement(key, fault) if self.skip_faulty else fault
        return _noted(sample, "") if self.skip_faulty else sample

    def _replacement(self, key: SampleKey, fault: FaultySample) -> "Sample | Crop | FaultySample":
        size = len(self.dataset)  # pyright: ignore[reportArgumentType]  # map-style datasets have a length
        for further in range(1, size):
            with contextlib.suppress(ValueError, OSError):
                sample = self._draw(key._replace(image=(key.image + further) % size))
                return _noted(sample, fault.reason)
        return fault

    def _draw(self, key: SampleKey) -> Sample | Crop:
        generator = stream(self.seed, Purpose.SAMPLE, key.step, key.slot)
        if self.levels:
            assert isinstance(self.dataset, ImageSet)
            return self.dataset.draw_crop(key.image, generator).alone()
        draw = getattr(self.dataset, "draw", None)
        if draw is not None:
            return draw(key.image, generator)
        seed = int(generator.integers(2**32))
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        return self.dataset[key.image]


def training_loader(
    dataset: Dataset[Sample],
    sampler: StepSampler,
    *,
    num_workers: int,
    pin_memory: bool,
    skip_faulty: bool = False,
    device: torch.device | None = None,
) -> Iterable[Batch]:
    """Return the micro-batches of `sampler` on `device`, the CPU by default; the same for any number of workers."""
    loader = DataLoader(
        DrawnSamples(dataset, sampler.seed, skip_faulty, levels=True),
        batch_sampler=sampler,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=start_worker,
        collate_fn=collate,
        # A separate generator: starting an iterator must not advance PyTorch's global one.
        generator=torch.Generator().manual_seed(sampler.seed),
    )
    return DeviceBatches(loader, device or torch.device("cpu"))


def _noted(sample: Sample | Crop, reason: str) -> Sample | Crop:
    """Note the reason why an image was replaced by this one, "" for none."""
    if isinstance(sample, Crop):
        return sample._replace(skipped=reason)
    return cast(Sample, {**sample, "skipped": reason})


def collate(samples: list[object]) -> object:
    """Stack samples to a batch; the first faulty one stands for the batch."""
    faulty = [sample for sample in samples if isinstance(sample, FaultySample)]
    crops = [sample for sample in samples if isinstance(sample, Crop)]
    return faulty[0] if faulty else collate_crops(crops) if crops else default_collate(samples)


def start_worker(worker: int) -> None:
    """Prepare a process that loads samples: the main process decides what a signal to all processes means."""
    del worker
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)  # workers are the parallelism; OpenCV's threads would compete with them


@atexit.register
def _end_workers() -> None:
    """End the processes that still load samples when the interpreter exits, as after an error or a signal.

    Python would send SIGTERM to all its daemons, which these ignore (:func:`start_worker`), and wait for them forever.
    Others, of a program that uses srzoo, have a moment to end in their own way.
    """
    workers = [child for child in multiprocessing.active_children() if child.daemon]
    if workers:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch would raise their end as an error
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + _PATIENCE
    for worker in workers:
        worker.join(max(until - time.monotonic(), 0))
        worker.kill()
