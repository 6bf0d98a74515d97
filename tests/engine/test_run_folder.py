"""The lock of a run folder, and files that killed runs left unfinished."""

import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys

import pytest

from srzoo.atomic import remove_leftovers
from srzoo.engine.run_folder import RunFolder
from tests.support import ROOT

# Holds the lock, starts a child that lives on, says so, and waits to be killed.
HOLDER = """
import os, sys, time
from pathlib import Path
from srzoo.engine.run_folder import RunFolder
import multiprocessing

def idle():
    time.sleep(600)

if __name__ == "__main__":
    with RunFolder(Path(sys.argv[1])).locked():
        worker = multiprocessing.get_context(sys.argv[2]).Process(target=idle)
        worker.start()
        print(worker.pid, flush=True)
        time.sleep(600)
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_the_lock_ends_with_the_main_process_while_its_workers_live(tmp_path, method):
    script = tmp_path / "holder.py"
    script.write_text(HOLDER)
    run = tmp_path / "run"
    command = [sys.executable, str(script), str(run), method]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert holder.stdout is not None
    worker = int(holder.stdout.readline())
    try:
        with pytest.raises(ValueError, match="another process is training in"), RunFolder(run).locked():
            pass
        holder.kill()
        holder.wait()
        os.kill(worker, 0)  # it lives
        with RunFolder(run).locked():
            pass
    finally:
        holder.kill()
        os.kill(worker, signal.SIGKILL)


def test_a_child_does_not_end_the_lock_of_its_parent(tmp_path):
    with RunFolder(tmp_path).locked():
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        with pytest.raises(ValueError, match="another process is training"), RunFolder(tmp_path).locked():
            pass
    with RunFolder(tmp_path).locked():
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_logged_and_used(tmp_path, monkeypatch, caplog, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(logging.getLogger("srzoo"), "propagate", True)
    unfinished = tmp_path / "states" / ".8.state.ab1_x9zz"
    unfinished.parent.mkdir()
    unfinished.touch()
    with RunFolder(tmp_path).locked():
        pass
    assert f"has no locks ({os.strerror(number)})" in caplog.text
    assert unfinished.exists()  # another training may be writing it


def test_files_of_killed_saves_are_removed_under_the_lock(tmp_path):
    names = ["models/.net_g_8.safetensors.ab1_x9zz", "states/.8.state.00000000", "results/.Set5.json.abcdefgh"]
    kept = ["models/net_g_4.safetensors", "states/.8.state", "states/4.state", "models/.gitignore", "states/.a.b.c"]
    for name in names + kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with RunFolder(tmp_path).locked():
        found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert found == sorted(kept)
    assert remove_leftovers(tmp_path / "nowhere") == []


def test_a_save_that_is_killed_leaves_what_the_next_start_removes(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from srzoo.atomic import write_atomic\n"
        "write_atomic(Path(sys.argv[1]) / 'states' / '8.state', lambda file: os.kill(os.getpid(), 9))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert len(list((tmp_path / "states").iterdir())) == 1
    with RunFolder(tmp_path).locked():
        assert not list((tmp_path / "states").iterdir())
