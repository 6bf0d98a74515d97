"""Reading of training samples: srzoo's stores against BasicSR's PairedImageDataset, per core and through a loader.

python scripts/benchmarks/data.py [--parts tiles images loader memory] [--runs 7]

A sample is a GT crop of 256x256 with its LQ crop of 64x64 in a batch of 16, as workers return it. Per core: samples per
second of processor time in one process, files in the page cache; forms interleaved, medians. BasicSR where the package
is importable; otherwise the same steps with OpenCV: read, decode, float32, crop, flips, RGB, tensor.
"""

import argparse
import importlib
import importlib.util
import itertools
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
from index_memory import resident
from torch.utils.data import DataLoader, Dataset, default_collate

from srzoo.data.gt_images import GTImages
from srzoo.data.imageset import ImageSet
from srzoo.data.levels import finished
from srzoo.data.loading import DrawnSamples, StepSampler, collate, training_loader
from srzoo.data.paired import PairedImages
from srzoo.data.storage.database_writer import write_database
from srzoo.data.storage.folder import files_below
from srzoo.data.storage.pack_writer import write_pack
from srzoo.data.transfer import DeviceBatches
from srzoo.images import write_image
from srzoo.ops.resize import imresize

SCALE, GT, BATCH = 4, 256, 16
# Name -> height, width and number of the images.
SETS = {"tiles": (480, 480, 48), "images": (1356, 2040, 4)}


class PlainPairs(Dataset[dict[str, object]]):
    """The steps of BasicSR's PairedImageDataset, written with OpenCV: GT and LQ of one name in two folders."""

    def __init__(self, folder: Path) -> None:
        self.names = sorted(path.name for path in (folder / "gt").iterdir())
        self.folder = folder

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, object]:
        gt, lq = (self._read(self.folder / kind / self.names[index]) for kind in ("gt", "lq"))
        side = GT // SCALE
        top, left = random.randint(0, lq.shape[0] - side), random.randint(0, lq.shape[1] - side)
        lq = lq[top : top + side, left : left + side]
        gt = gt[top * SCALE : top * SCALE + GT, left * SCALE : left * SCALE + GT]
        horizontal, vertical, transpose = (random.random() < 0.5 for _ in range(3))
        images = {}
        for name, image in (("lq", lq), ("gt", gt)):
            if horizontal:
                cv2.flip(image, 1, image)
            if vertical:
                cv2.flip(image, 0, image)
            image = image.transpose(1, 0, 2) if transpose else image
            rgb = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB)
            images[name] = torch.from_numpy(rgb.transpose(2, 0, 1)).float()  # (3, H, W)
        return images

    @staticmethod
    def _read(path: Path) -> np.ndarray:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return image.astype(np.float32) / 255.0


def make_images(folder: Path, height: int, width: int, count: int) -> None:
    """Write GT and LQ files, enlarged photographs with a little noise, so that PNG compresses them as usual."""
    sources = (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea())
    rng = np.random.default_rng(0)
    for number in range(count):
        source = sources[number % 3]
        side = min(source.shape[:2]) - number % 16
        window = cv2.resize(source[:side, :side], (width, height), interpolation=cv2.INTER_CUBIC)
        noisy = window + rng.normal(0, 3, window.shape)
        gt = np.clip(noisy, 0, 255).astype(np.uint8)  # (H, W, 3)
        lq = imresize(torch.from_numpy(gt).permute(2, 0, 1).contiguous(), 1 / SCALE)  # (3, h, w)
        write_image(folder / "gt" / f"{number:04}.png", gt)
        write_image(folder / "lq" / f"{number:04}.png", lq.permute(1, 2, 0).numpy())


def store(folder: Path, form: str) -> int:
    """Write both folders as stores of a form, and return their size [bytes]."""
    total = 0
    for kind in ("gt", "lq"):
        source, out = folder / kind, folder / f"{kind}.{form}"
        files = {path.name: path for path in files_below(source)[0]}
        if form == "lmdb":
            written = write_database(files, source, out, codec="png")
        else:
            written = write_pack(files, source, out, codec="raw" if form == "raw" else "png", shard_size=10**9)
        for _ in written:
            pass
        total += sum(path.stat().st_size for path in out.iterdir())
    return total


def ours(folder: Path, end: str = "", cache: bool = False) -> PairedImages:
    return PairedImages(
        scale=SCALE,
        phase="train",
        gt=folder / f"gt{end}",
        lq=folder / f"lq{end}",
        gt_size=GT,
        use_hflip=True,
        use_rot=True,
        cache=cache,
    )


def gt_alone(folder: Path, gt_only: bool) -> GTImages:
    """Return GT from a raw pack; LQ is made of it, or left to a degradation on the device."""
    return GTImages(
        scale=SCALE,
        phase="train",
        gt=folder / "gt.raw",
        gt_size=GT,
        gt_only=gt_only,
        use_hflip=True,
        use_rot=True,
    )


def theirs(folder: Path) -> Dataset[dict[str, object]]:
    """Return BasicSR's dataset, or the same steps with OpenCV."""
    if importlib.util.find_spec("basicsr") is None:
        return PlainPairs(folder)
    from srzoo.compat.basicsr.networks import supply_functional_tensor

    supply_functional_tensor()  # its release does not import without
    module = importlib.import_module("basicsr.data.paired_image_dataset")

    options = {"dataroot_gt": str(folder / "gt"), "dataroot_lq": str(folder / "lq"), "filename_tmpl": "{}"}
    options |= {"io_backend": {"type": "disk"}, "scale": SCALE, "gt_size": GT, "phase": "train"}
    return module.PairedImageDataset({**options, "use_hflip": True, "use_rot": True})


def endless(dataset: ImageSet) -> Iterator[object]:
    """Yield the collated batches of one process."""
    samples = DrawnSamples(dataset, 0, levels=True)
    for keys in StepSampler(len(dataset), BATCH, seed=0, start=0, total=10**9):
        yield collate([samples[key] for key in keys])


def endless_plain(dataset: Dataset[dict[str, object]]) -> Iterator[object]:
    for first in itertools.count(0, BATCH):
        indices = [number % len(dataset) for number in range(first, first + BATCH)]  # pyright: ignore[reportArgumentType]
        yield default_collate([dataset[index] for index in indices])


def rates(sources: dict[str, Iterator[object]], runs: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return samples per second of each source: runs of at least 0.2 s, interleaved, medians; the first is left out."""
    found: dict[str, list[float]] = {name: [] for name in sources}
    for run in range(runs + 1):
        for name, batches in sources.items():
            started, count = clock(), 0
            while clock() - started < 0.2:
                next(batches)
                count += BATCH
            if run:
                found[name].append(count / (clock() - started))
    return {name: statistics.median(values) for name, values in found.items()}


def report(title: str, found: dict[str, float], sizes: dict[str, int]) -> None:
    base = next(iter(found.values()))
    sys.stdout.write(f"{title}\n")
    for name, rate in found.items():
        size = f"  {sizes[name] / 1e6:8.1f} MB on disk" if name in sizes else ""
        sys.stdout.write(f"  {name:32}{rate:9.0f}/s  {rate / base:6.1f}x{size}\n")
    sys.stdout.flush()


def per_core(kind: str, runs: int, folder: Path) -> None:
    height, width, count = SETS[kind]
    make_images(folder, height, width, count)
    png = sum(path.stat().st_size for sub in ("gt", "lq") for path in (folder / sub).iterdir())
    sizes = {"PNG folders": png} | {
        f"pack, {form}" if form != "lmdb" else form: store(folder, form) for form in ("raw", "png", "lmdb")
    }
    sources: dict[str, Iterator[object]] = {
        baseline_name(): endless_plain(theirs(folder)),
        "PNG folders": endless(ours(folder)),
        "lmdb": endless(ours(folder, ".lmdb")),
        "pack, png": endless(ours(folder, ".png")),
        "cache: true": endless(ours(folder, cache=True)),
        "pack, raw": endless(ours(folder, ".raw")),
        "pack, raw, GT alone": endless(gt_alone(folder, True)),
        "pack, raw, LQ made by GTImages": endless(gt_alone(folder, False)),
        "pack, raw, converted": map(finished, endless(ours(folder, ".raw"))),  # pyright: ignore[reportArgumentType]
    }
    report(
        f"{count} images of {width}x{height}, samples per second of processor time:",
        rates(sources, runs, time.process_time),
        sizes,
    )


def through_loader(runs: int, folder: Path) -> None:
    """Time whole batches from two workers, conversion included."""
    height, width, count = SETS["tiles"]
    make_images(folder, height, width, count)
    store(folder, "raw")
    order = [number % count for number in range(10**6)]
    sources: dict[str, Callable[[], Iterator[object]]] = {
        baseline_name(): lambda: iter(DataLoader(theirs(folder), BATCH, sampler=order, num_workers=2)),
        "PNG folders": lambda: loader(ours(folder)),
        "pack, raw, converted": lambda: loader(ours(folder, ".raw")),
        "pack, raw, as levels": lambda: loader(ours(folder, ".raw"), convert=False),
    }
    found: dict[str, list[float]] = {name: [] for name in sources}
    for _, (name, start) in itertools.product(range(runs), sources.items()):
        batches = start()
        for _ in range(8):  # beyond those that workers read ahead
            next(batches)
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < 1.5:
            next(batches)
            count += BATCH
        found[name].append(count / (time.perf_counter() - started))
        del batches  # its workers end: they would read ahead beside the next source
    title = "480x480 tiles through a loader with 2 workers, samples per second of wall time:"
    report(title, {name: statistics.median(values) for name, values in found.items()}, {})


def baseline_name() -> str:
    return "BasicSR" if importlib.util.find_spec("basicsr") else "OpenCV, BasicSR's steps"


def loader(
    dataset: PairedImages, workers: int = 2, total: int = 10**9, batch: int = BATCH, convert: bool = True
) -> Iterator[object]:
    """Iterate over the batches of workers, converted on the CPU, or as they travel to a GPU."""
    sampler = StepSampler(len(dataset), batch, seed=0, start=0, total=total)
    batches = training_loader(dataset, sampler, num_workers=workers, pin_memory=False)
    assert isinstance(batches, DeviceBatches)
    return iter(batches if convert else batches.loader)


def memory(folder: Path) -> None:
    """Compare the memory of all processes after 200 and 2,000 batches."""
    height, width, count = SETS["tiles"]
    make_images(folder, height, width, count)
    store(folder, "raw")
    at: dict[int, float] = {}
    for number, _ in enumerate(loader(ours(folder, ".raw"), workers=4, total=2001, batch=4), 1):
        if number in (200, 2000):
            at[number] = resident(os.getpid(), "Rss")
    sys.stdout.write(
        f"resident memory of 4 workers and the main process: {at[200]:.0f} MB after 200 batches, {at[2000]:.0f} MB "
        f"after 2000 ({100 * (at[2000] / at[200] - 1):+.1f} %)\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--parts", nargs="+", default=["tiles", "images", "loader", "memory"])
    parser.add_argument("--runs", type=int, default=7, help="interleaved runs of each form")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    sys.stdout.write(f"torch {torch.__version__}, OpenCV {cv2.__version__}, one thread\n")
    for part in arguments.parts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "data"
            if part in SETS:
                per_core(part, arguments.runs, folder)
            elif part == "loader":
                through_loader(arguments.runs, folder)
            else:
                memory(folder)


if __name__ == "__main__":
    main()
