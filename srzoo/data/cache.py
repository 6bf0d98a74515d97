"""Caches of decoded images: in memory, or as a raw pack in a folder of the user's cache.

A pack of the cache is named after the paths, sizes and times of its files, so that changed files get another one; it is
written before the first step, with a bar, and continued if that is interrupted. Ranks of one machine share it.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from srzoo.data.hashes import cache_folder
from srzoo.data.storage import ImageStore, open_store, read_header, read_image
from srzoo.data.storage.journal import LockedError
from srzoo.data.storage.pack_index import INDEX
from srzoo.data.storage.packing import Packing
from srzoo.progress import shown

# True is "ram", False is "none".
Cache = bool | Literal["auto", "ram", "disk", "none"]

# Shares of the free memory and of the free disk that `auto` takes.
_MEMORY_SHARE, _DISK_SHARE = 0.5, 0.5
# Images that `auto` decodes and headers that it reads for its estimate.
_DECODED, _HEADERS = 4, 64
# Decoding that is quicker than this is left alone [s].
_QUICK = 0.0005
# Interval at which a rank looks for the pack that another one writes [s].
_INTERVAL = 1.0

logger = logging.getLogger("srzoo")


def chosen_cache(files: Sequence[Path], cache: Cache, copies: int) -> Literal["ram", "disk", "none"]:
    """Return the cache to use; `auto` measures, decides and logs its decision.

    Args:
        files: addresses of the images.
        cache: as in the option file.
        copies: processes that would each keep the images in memory.
    """
    if isinstance(cache, bool):
        return "ram" if cache else "none"
    if cache != "auto":
        return cache
    if not files:
        return "none"
    try:
        seconds, size = _measured(files)
    except (ValueError, OSError):  # the check of all files, which follows, reports it
        return "none"
    memory, disk = _MEMORY_SHARE * free_memory(), _DISK_SHARE * _free_disk(packs_folder())
    if seconds < _QUICK:
        choice, reason = "none", "that needs no cache"
    elif size * copies <= memory:
        choice, reason = "ram", f"{copies} processes may keep them in {memory / 1e9:.1f} GB of memory"
    elif size <= disk:
        choice, reason = (
            "disk",
            f"too much for {copies} processes in memory, and {disk / 1e9:.1f} GB of disk may be used",
        )
    else:
        choice, reason = "none", "too much for memory and disk; `srzoo data pack --codec png` saves opening files"
    logger.info(
        f"cache: auto: {len(files)} images take {1000 * seconds:.1f} ms each to decode and {size / 1e9:.2f} GB raw: "
        f"{choice} ({reason})"
    )
    return choice


def _measured(files: Sequence[Path]) -> tuple[float, float]:
    """Return the seconds to decode an image, and the size of all as pixels [bytes], estimated from some."""
    headers = [read_header(file) for file in files[:: max(1, len(files) // _HEADERS)][:_HEADERS]]
    sizes = [header.height * header.width * (1 if header.grey else 3) * header.bits // 8 for header in headers]
    some = files[:: max(1, len(files) // _DECODED)][:_DECODED]
    started = time.perf_counter()
    for file in some:
        read_image(file)
    return (time.perf_counter() - started) / len(some), len(files) * sum(sizes) / len(sizes)


def free_memory() -> int:
    """Return the memory that processes can still get [bytes]."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_disk(folder: Path) -> int:
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free


def packs_folder() -> Path:
    """Return the folder of the cache's packs.

    Raises:
        ValueError: the user has no home folder.
    """
    try:
        return cache_folder() / "packs"
    except RuntimeError as error:
        raise ValueError(f"cache: no folder for it ({error}): set XDG_CACHE_HOME") from error


def cached_name(file: Path) -> str:
    """Return the name of a file in a pack of the cache: its absolute path."""
    return file.absolute().as_posix().lstrip("/")


def disk_cache(files: Sequence[Path]) -> ImageStore:
    """Return the raw pack of these files in the cache; it is written if it is not there.

    Raises:
        ValueError, OSError: a file that cannot be used, or too little space.
    """
    by_name = {cached_name(file): file.absolute() for file in files}
    out = packs_folder() / _digest(by_name)
    packing = Packing(Path("/"), out, "mmap", "raw", 4 * 10**9, by_name, [], 0, False)
    checked = False
    while not (out / INDEX).is_file():
        if not checked:
            packing.refuse_full_disk(packing.estimate()[0])
            checked = True
        try:
            for _ in shown(packing.write(), f"cache: disk: packing to {out}", len(by_name), delay=1):
                pass
        except LockedError:  # another rank, or another run, writes it
            time.sleep(_INTERVAL)
    store = open_store(out)
    assert store is not None
    return store


def _digest(files: Mapping[str, Path]) -> str:
    lines = []
    for name, file in files.items():
        status = file.stat()
        lines.append(f"{name}\0{status.st_size}\0{status.st_mtime_ns}")
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()[:32]
