"""Processes that load samples."""

import os
import subprocess
import sys

from tests.support import ROOT


def test_workers_that_are_alive_do_not_keep_the_process_from_its_exit():
    code = (
        "import sys; from torch.utils.data import DataLoader; from srzoo.data.loading import start_worker\n"
        "samples = iter(DataLoader(list(range(1000)), num_workers=2, worker_init_fn=start_worker))\n"
        "next(samples); sys.exit(75)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 75
    assert "Error" not in done.stderr


def test_other_processes_of_a_program_end_in_their_own_way(tmp_path):
    code = (
        "import multiprocessing, pathlib, signal, sys, time, srzoo.data.loading\n"
        "def work(ready):\n"
        "    signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path('tidied').touch(), sys.exit()))\n"
        "    ready.set(); time.sleep(60)\n"
        "context = multiprocessing.get_context('fork'); ready = context.Event()\n"
        "context.Process(target=work, args=(ready,), daemon=True).start(); ready.wait()\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=True
    )
    assert (tmp_path / "tidied").is_file()
