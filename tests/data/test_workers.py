"""Processes that load samples."""

import subprocess
import sys


def test_workers_that_are_alive_do_not_keep_the_process_from_its_exit():
    code = (
        "import sys; from torch.utils.data import DataLoader; from srzoo.data.loading import start_worker\n"
        "samples = iter(DataLoader(list(range(1000)), num_workers=2, worker_init_fn=start_worker))\n"
        "next(samples); sys.exit(75)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 75
    assert "Error" not in done.stderr
