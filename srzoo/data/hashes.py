"""SHA-256 of files: read in parallel, once while they stay unchanged.

Hashes of large folders are kept across runs in a cache of the user's, outside the data folders.
"""

import functools
import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from srzoo.atomic import write_text
from srzoo.progress import shown
from srzoo.tensor_files import sha256

# A folder gets a file in the cache once this much of it was read at a time: less is read again in no time [bytes].
WORTH_KEEPING = 2**28
# A file that changed just before it was read may change again within the resolution of its time stamp [ns].
_SETTLED = 2_000_000_000

logger = logging.getLogger("srzoo")


def file_hashes(files: Sequence[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file, read in parallel with a progress bar; unchanged files are read once.

    A file counts as unchanged as long as its path, size and modification time stay. Hashes of large folders are kept in
    the folder `srzoo` of the user's cache ($XDG_CACHE_HOME or ~/.cache).
    """
    folders: dict[Path, list[Path]] = {}
    for file in dict.fromkeys(files):
        folders.setdefault(file.absolute().parent, []).append(file)
    known = {folder: _read_cache(folder) for folder in folders}

    def hashed(file: Path) -> tuple[Path, str, int]:
        """Hash a file; return the number of bytes that were read too."""
        status = file.stat()
        cached = known[file.absolute().parent].get(file.name)
        if cached is not None and cached[:2] == [status.st_size, status.st_mtime_ns]:
            return file, str(cached[2]), 0
        return file, file_hash(file), status.st_size

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(shown(pool.map(hashed, dict.fromkeys(files)), "hashing", len(set(files)), unit="file", delay=1))
    read: dict[Path, int] = {}
    for file, _, size in found:
        folder = file.absolute().parent
        read[folder] = read.get(folder, 0) + size
    hashes = {file: digest for file, digest, _ in found}
    for folder, size in read.items():
        if size >= WORTH_KEEPING:
            _write_cache(folder, known[folder], {file: hashes[file] for file in folders[folder]})
    return hashes


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content; unchanged files are read once per process."""
    status = path.stat()
    return _file_hash(path, status.st_size, status.st_mtime_ns)


# Checksums of more files are in the cache of their folder, unless the files are small.
@functools.lru_cache(2**17)
def _file_hash(path: Path, size: int, modified: int) -> str:
    del size, modified  # part of the cache's key
    return sha256(path)


def cache_folder() -> Path:
    """Return srzoo's folder in the user's cache: $XDG_CACHE_HOME or ~/.cache.

    Raises:
        RuntimeError: the user has no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "srzoo"


def _cache_of(folder: Path) -> Path:
    """Return the file of the cache with the hashes of one folder."""
    return cache_folder() / "hashes" / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"


def _read_cache(folder: Path) -> dict[str, list[object]]:
    """Return name -> [size, modification time in ns, SHA-256] of the files of a folder that were hashed before."""
    try:
        table = json.loads(_cache_of(folder).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no home folder
        logger.debug("hashes of %s are not read from the cache: %s", folder, error)
        return {}
    entries = table.items() if isinstance(table, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, list) and len(entry) == 3}


def _write_cache(folder: Path, known: Mapping[str, list[object]], hashes: Mapping[Path, str]) -> None:
    now, table = time.time_ns(), dict(known)
    try:
        for file, digest in hashes.items():
            status = file.stat()
            if now - status.st_mtime_ns > _SETTLED:
                table[file.name] = [status.st_size, status.st_mtime_ns, digest]
        write_text(_cache_of(folder), json.dumps(table))
    except (OSError, ValueError, RuntimeError) as error:
        logger.debug("hashes of %s are not kept in the cache: %s", folder, error)
