"""`srzoo doctor`: check that this machine can run srzoo, and explain what to do if it cannot."""

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import describe

# The versions that requirements.txt pins; docs/dependencies.md has the range.
TORCH_PAIR = ("2.12", "0.27")
_MIN_FREE_DISK = 5 * 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the description; there are no arguments."""
    describe(
        parser,
        "Check that this machine can run srzoo: Python, PyTorch, GPU, image codecs, free disk, write access. Prints a "
        "line for each check; a line that begins with FAIL says what to do. Exit code 0 if all checks pass, else 2.",
        "",
    )


def run(arguments: Arguments) -> None:
    """Run every check and print a line for each.

    Raises:
        ValueError: some checks failed; the message names them.
    """
    del arguments
    failed = []
    for name, check in CHECKS.items():
        try:
            line = f"ok    {name}: {check()}"
        except Exception as error:  # whatever a broken installation raises is a result of the check
            line = f"FAIL  {name}: {error}"
            failed.append(name)
        sys.stdout.write(line + "\n")
    if failed:
        raise ValueError(f"{len(failed)} check(s) failed: {', '.join(failed)}; each line above says what to do")


def python_version() -> str:
    """Check that Python is 3.11 to 3.13; return its version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise ValueError(f"{version}; srzoo supports 3.11 to 3.13: make a virtual environment with one of them")
    return version


def torch_pair() -> str:
    """Check that torch and torchvision were built for each other; return both versions."""
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError) as error:
        raise ValueError(
            f"torch and torchvision do not import together ({error}): pip install -r requirements.txt"
        ) from error
    found = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    # Every minor release of torch comes with one of torchvision: the difference of their numbers is constant.
    torch_minor, vision_minor = (int(v.split(".")[1]) for v in (torch.__version__, torchvision.__version__))
    wanted_torch, wanted_vision = (int(v.split(".")[1]) for v in TORCH_PAIR)
    if torch_minor - vision_minor != wanted_torch - wanted_vision:
        raise ValueError(f"{found} are not a pair (expected e.g. {TORCH_PAIR}): pip install -r requirements.txt")
    return found


def gpu() -> str:
    """Check that torch can compute on the GPU if there is one; return the names of all GPUs."""
    import torch

    if not torch.cuda.is_available():
        if Path("/proc/driver/nvidia").exists():
            raise ValueError(
                f"this machine has an NVIDIA driver but torch {torch.__version__} cannot use it: install the build of "
                "torch for your CUDA version, or update the driver"
            )
        return "none (CPU only: fine for tests and small runs)"
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if float(torch.ones(8, device="cuda").sum()) != 8:
        raise ValueError(f"{names} gave a wrong sum: update the driver to one that fits CUDA {torch.version.cuda}")
    return ", ".join(names)


def codecs() -> str:
    """Check that every format is written and read back, lossless ones exactly; return the formats.

    JPEG is decoded by OpenCV and Pillow, which must agree within 2 of 255 levels.
    """
    import numpy as np
    from PIL import Image

    from srzoo.images import read_image, write_image

    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".png", ".bmp", ".tif", ".jpg", ".webp"):
            path = Path(folder) / f"probe{suffix}"
            write_image(path, picture)
            again = read_image(path).rgb  # (32, 48, 3) uint8
            if suffix in (".png", ".bmp", ".tif") and not np.array_equal(again, picture):
                raise ValueError(f"{suffix} changes pixels: reinstall opencv-python-headless")
            if suffix == ".jpg":
                pillow = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB")).astype(int)
                difference = int(np.abs(pillow - again).max())
                if difference > 2:
                    raise ValueError(
                        f"JPEG decoders of OpenCV and Pillow differ by {difference} levels: reinstall both from wheels"
                    )
    return "PNG, BMP, TIFF, JPEG, WebP"


def disk() -> str:
    """Check that the working directory has room for runs; return the free space."""
    free = shutil.disk_usage(Path.cwd()).free
    if free < _MIN_FREE_DISK:
        raise ValueError(
            f"{free / 2**30:.1f} GiB free in {Path.cwd()}; runs need {_MIN_FREE_DISK / 2**30:.0f}: free some space, or "
            "set path.experiments to another disk"
        )
    return f"{free / 2**30:.0f} GiB free"


def write_access() -> str:
    """Check that runs can be written to the working directory; return its path."""
    try:
        with tempfile.TemporaryFile(dir=Path.cwd()) as file:
            file.write(b"x")
    except OSError as error:
        raise ValueError(
            f"cannot write in {Path.cwd()} ({error}): set path.experiments to a folder that you own"
        ) from error
    return str(Path.cwd())


CHECKS: dict[str, Callable[[], str]] = {
    "Python": python_version,
    "PyTorch": torch_pair,
    "GPU": gpu,
    "image codecs": codecs,
    "disk": disk,
    "write access": write_access,
}
