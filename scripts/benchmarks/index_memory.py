"""Cost of large indices: memory over the main process and its workers, and time to open, with synthetic names.

python scripts/benchmarks/index_memory.py [--count 1300000] [--forms pack pairs ...] [--starts fork spawn]

Packs have names like ImageNet's and no pixels. Memory is the proportional set size (a page that n processes share
counts as 1/n in each; libraries left out) of all processes, beyond that of the same processes with an index of 100
images, after workers have looked up images at random.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader, Dataset

from srzoo.data.gt_images import GTImages, Source
from srzoo.data.imageset import ImageSet
from srzoo.data.names import order
from srzoo.data.paired import PairedImages
from srzoo.data.storage import pack_index, read_header

WORKERS = 4
# Line of /proc/PID/smaps that begins a mapping, and the end of one whose file is a library or a program.
_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")
_LIBRARY = re.compile(r"\.so(\.[\d.]+)?$|/bin/[^/]+$")
# Look-ups by all workers together: more than the addresses that a process may remember.
LOOKUPS = 20_000


def name(number: int, end: str = "") -> str:
    """Return a name as in ImageNet: a folder for 1300 images."""
    return f"n{number // 1300:08}/n{number // 1300:08}_{number}{end}.JPEG"


def write_stores(folder: Path, count: int) -> None:
    """Write the indices of two packs, GT and LQ named {}x4, and lists that name their images."""
    for kind, end in (("gt", ""), ("lq", "x4")):
        names = sorted((name(number, end) for number in range(count)), key=order)
        places, origins = np.zeros(count, pack_index.PLACE), np.zeros(count, pack_index.ORIGIN)
        places["channels"], places["bits"] = 3, 8
        facts = {"codec": "raw", "shards": [], "source": "none", "source_absolute": "/none", "with_suffix": []}
        pack_index.write_index(folder / kind, names=names, places=places, origins=origins, facts=facts)
    with (folder / "list.txt").open("w") as file:
        file.writelines(f"{name(number)} (500,375,3)\n" for number in range(count))
    with (folder / "pairs.txt").open("w") as file:
        file.writelines(f"lq/{name(number, 'x4')} gt/{name(number)}\n" for number in range(count))


TRAIN = {"scale": 4, "phase": "train", "gt_size": 256}
FORMS: dict[str, Callable[[Path], ImageSet]] = {
    "pack": lambda folder: GTImages(gt=folder / "gt", **TRAIN),
    "pairs": lambda folder: PairedImages(gt=folder / "gt", lq=folder / "lq", lq_template="{}x4", **TRAIN),
    "sources": lambda folder: GTImages(
        sources={"a": Source(gt=folder / "gt", weight=1.5), "b": Source(gt=folder / "gt", limit=1000)}, **TRAIN
    ),
    "list": lambda folder: GTImages(gt=folder / "gt", meta_info=folder / "list.txt", **TRAIN),
    "pair_list": lambda folder: PairedImages(pairs=folder / "pairs.txt", **TRAIN),
}


class Lookups(Dataset[int]):
    """Random look-ups of images: their keys and headers."""

    def __init__(self, dataset: ImageSet) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return LOOKUPS

    def __getitem__(self, index: int) -> int:
        number = int(np.random.default_rng(index).integers(len(self.dataset)))
        pair = self.dataset.pairs[self.dataset.candidates[number][0]]
        read_header(pair.main_file)
        return len(pair.key)


def resident(process: int, field: str = "Pss") -> float:
    """Return the memory of a process and its children [MB]; Rss counts shared pages in each of them.

    Libraries are left out: other programs share them, and their share changes when one of those starts or ends.
    """
    total = 0.0
    for number in [process, *map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]:
        with contextlib.suppress(OSError):  # it has ended
            counted = True
            for line in Path(f"/proc/{number}/smaps").read_text().splitlines():
                if _MAPPING.match(line):
                    counted = _LIBRARY.search(line) is None
                elif counted and line.startswith(f"{field}:"):
                    total += int(line.split()[1]) / 1000
    return total


def with_workers(dataset: ImageSet, start: str) -> float:
    """Return the memory of all processes while the last looked-up images arrive [MB]."""
    loader = DataLoader(Lookups(dataset), 100, num_workers=WORKERS, multiprocessing_context=start)
    number, memory = 0, 0.0
    for number, _ in enumerate(loader, 1):
        if number == LOOKUPS // 100 - 1:
            memory = resident(os.getpid())
    return memory


def measure(form: str, start: str, small: Path, large: Path) -> tuple[float, float]:
    """Return the seconds in which an index opens, and the memory that it takes [MB]."""
    before = with_workers(FORMS[form](small), start)
    started = time.perf_counter()
    dataset = FORMS[form](large)
    seconds = time.perf_counter() - started
    read_header(dataset.pairs[0].main_file)  # as the check before a training does
    return seconds, with_workers(dataset, start) - before


def in_new_process(form: str, start: str, small: Path, large: Path) -> tuple[float, float]:
    """Measure in a new process, whose memory no earlier measurement has left in disorder."""
    root = str(Path(__file__).resolve().parents[2])
    words = [sys.executable, __file__, "--measure", form, start, str(small), str(large)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root})
    seconds, memory = map(float, done.stdout.split())
    return seconds, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # pyright: ignore[reportOptionalMemberAccess]
    parser.add_argument("--count", type=int, default=1_300_000)
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--starts", nargs="+", default=["fork", "spawn"])
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        form, start, small, large = arguments.measure
        sys.stdout.write("{} {}\n".format(*measure(form, start, Path(small), Path(large))))
        return
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        write_stores(small, 100)
        write_stores(large, arguments.count)
        for form in arguments.forms:
            for start in arguments.starts:
                seconds, memory = in_new_process(form, start, small, large)
                sys.stdout.write(f"{arguments.count} {form}: {seconds:.2f} s, {memory:.0f} MB ({start})\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
