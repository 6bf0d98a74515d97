"""Memory of large indices and of long trainings, over the main process and its workers."""

import os
import subprocess
import sys

import pytest

from scripts.benchmarks import index_memory
from tests.support import ROOT, write_photographs

# 200 MB for 1.3 million images [bytes].
PER_IMAGE = 200e6 / 1.3e6
COUNT = 150_000


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two pairs of packs with synthetic names and no pixels, and lists of them: a small one and a large one."""
    folder = tmp_path_factory.mktemp("stores")
    index_memory.write_stores(folder / "small", 100)
    index_memory.write_stores(folder / "large", COUNT)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("pack", "fork"),
        ("sources", "fork"),
        ("list", "fork"),
        ("pairs", "fork"),
        ("pair_list", "fork"),
        ("list", "spawn"),
    ],
)
def test_an_index_takes_150_bytes_per_image_in_all_processes_together(stores, form, start):
    _, memory = index_memory.in_new_process(form, start, stores / "small", stores / "large")
    images = COUNT * (2 if form in ("pairs", "pair_list") else 1)
    assert memory * 1e6 < PER_IMAGE * images + 8e6  # four processes differ by as much from run to run


# Batches of a loader with four workers; memory of all processes after a tenth of them and after all [MB].
LONG = """
import os, sys
from pathlib import Path
import torch
from scripts.benchmarks.index_memory import resident
from srzoo.data.gt_images import GTImages
from srzoo.data.loading import StepSampler, training_loader

def main():
    torch.set_num_threads(1)
    dataset = GTImages(gt=Path(sys.argv[1]), scale=2, phase="train", gt_size=16, use_hflip=True)
    total, at = 2000, []
    sampler = StepSampler(len(dataset), 4, seed=0, start=0, total=total + 40)
    torch.multiprocessing.set_start_method(sys.argv[2])
    loader = training_loader(dataset, sampler, num_workers=4, pin_memory=False)
    for number, _ in enumerate(loader, 1):
        if number in (total // 10, total):
            at.append(resident(os.getpid()))
    print(*at)

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_memory_after_2000_batches_is_that_after_200(tmp_path, start):
    write_photographs(tmp_path / "gt", 8, 32, 32)
    (tmp_path / "long.py").write_text(LONG)
    words = [sys.executable, str(tmp_path / "long.py"), str(tmp_path / "gt"), start]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=environment, timeout=900)
    early, late = map(float, done.stdout.split())
    assert early > 100  # all processes were counted
    assert late < 1.05 * early
