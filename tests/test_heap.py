"""Feature maps use memory that was freed again, instead of borrowing it from the system anew."""

import ctypes
import subprocess
import sys

import pytest

from tests.support import ROOT

# Pages that are borrowed by ten training steps on feature maps of 4 MB, after two others.
COUNT = """
import resource, sys
import torch
from srzoo import heap
if sys.argv[1] == "kept":
    heap.keep_freed()
net = torch.nn.Sequential(*[torch.nn.Conv2d(16, 16, 3, padding=1) for _ in range(6)])
image = torch.ones(4, 16, 128, 128)
def step():
    net(image).mean().backward()
for _ in range(2):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_training_steps_borrow_few_pages_where_freed_memory_is_kept():
    counts = {}
    for how in ("plain", "kept"):
        done = subprocess.run(
            [sys.executable, "-c", COUNT, how], cwd=ROOT, capture_output=True, text=True, check=True
        )  # fmt: skip
        counts[how] = int(done.stdout)
    assert counts["kept"] < counts["plain"] / 4, counts
