"""pytest in processes that are forked from one that has imported the large packages, which takes seconds each time."""

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

LARGE = ["torch", "torch.utils.data", "numpy", "cv2", "pydantic", "pytest", "hypothesis", "skimage.data", "yaml"]
TOO_SLOW = -1


def run_pytest(root: Path, arguments: list[str], environment: Mapping[str, str], longest: float) -> tuple[int, str]:
    """Run pytest in the folder `root`; return its exit code and its output.

    Args:
        root: checkout to test, which comes first on the module path.
        arguments: of pytest.
        environment: variables to set; PyTorch's number of threads is that of the first call.
        longest: time after which it is stopped, with exit code TOO_SLOW [seconds].
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LARGE)
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as output:
        process = context.Process(target=_worker, args=(root, arguments, dict(environment), output.name))
        process.start()
        process.join(longest)
        if process.exitcode is None:
            assert process.pid is not None
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that its tests have started
            process.join()
            return TOO_SLOW, "too slow"
        return process.exitcode, output.read()


def _worker(root: Path, arguments: list[str], environment: dict[str, str], output: str) -> None:
    """Run pytest as a fresh process would, with its output in a file."""
    import pytest

    os.setsid()
    for stream in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND), stream)
    os.chdir(root)
    os.environ.update(environment)
    sys.dont_write_bytecode = True
    sys.path[0] = str(root)
    # Workers of data loaders import the main module again: it is not this program.
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = ["pytest", *arguments]
    sys.exit(int(pytest.main(arguments)))
